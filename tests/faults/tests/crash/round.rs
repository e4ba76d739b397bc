//! One image: what was on the disk when the power went, opened twice and judged.

use std::fs;
use std::path::Path;

use crate::disk::{Deaf, Disk, Kind};
use crate::facts::Found;
use crate::process::look;
use crate::random::Random;
use crate::recording::{DATABASE, Recording};
use crate::trace::Event;

/// What must not be, in the order of the table's columns.
pub const PROBLEMS: [&str; 4] = ["lost", "torn", "unopenable", "changed"];
const LOST: usize = 0;
const TORN: usize = 1;
const UNOPENABLE: usize = 2;
const CHANGED: usize = 3;

/// Where the power goes, and what is on the disk then.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub kind: Kind,
    /// Events that have taken place.
    pub events: usize,
    pub seed: u64,
}

impl Cut {
    /// Anywhere, or close to where something becomes durable, is renamed or removed, or was acknowledged.
    pub fn pick(events: &[Event<'_>], kind: Kind, random: &mut Random) -> Cut {
        let first = events.iter().position(|event| *event == Event::Begun).map_or(0, |at| at + 1);
        let any = |random: &mut Random| first + random.below(events.len() - first + 1);
        let mut at = any(random);
        if random.happens(2) {
            let near = |event: &Event<'_>| match event {
                Event::Said(text) => text.starts_with("ACK"),
                Event::Synced { .. } | Event::Renamed { .. } | Event::Removed { .. } | Event::Truncated { .. } => true,
                _ => false,
            };
            at = (at..events.len()).find(|&at| near(&events[at])).unwrap_or(at) + random.below(2);
        }
        Cut { kind, events: at.min(events.len()), seed: random.next() }
    }
}

/// What was wrong, as columns of [`PROBLEMS`] with the story of each.
pub type Wrong = Vec<(usize, String)>;

/// Makes the image in a new directory, which is left to the caller, and judges it.
pub fn judge(events: &[Event<'_>], cut: Cut, deaf: Deaf, room: &Path) -> Wrong {
    let past = &events[..cut.events];
    Disk::after(past, deaf).image(cut.kind, &mut Random::new(cut.seed), room);
    let database = room.join(DATABASE);
    let mut looks = Vec::new();
    for time in ["first", "second"] {
        match look(&database) {
            Ok(lines) => looks.push(lines),
            Err(why) => return vec![(UNOPENABLE, format!("at the {time} look: {why}"))],
        }
    }
    let found = Found::of(&looks[0]);
    let mut wrong: Wrong = found.damage.iter().map(|damage| (TORN, damage.clone())).collect();
    // Training state is worth less than the rest, and no less durable once it is named.
    let warned = looks[0].iter().filter(|line| line.starts_with("WARNED"));
    wrong.extend(warned.map(|warning| (TORN, warning.clone())));
    let facts = Recording::facts(past).against(&found);
    if !facts.is_empty() {
        wrong.push((LOST, format!("{} facts: {}", facts.len(), facts[..facts.len().min(4)].join("; "))));
    }
    if looks[0] != looks[1] {
        let differ = looks[0].iter().zip(&looks[1]).find(|(first, second)| first != second);
        wrong.push((CHANGED, format!("two looks differ: {differ:?}")));
    }
    wrong
}

/// The end of what had happened, for whoever looks for the reason.
pub fn story(events: &[Event<'_>]) -> String {
    let mut lines = Vec::new();
    let mut paths = std::collections::HashMap::new();
    for (index, event) in events.iter().enumerate() {
        let line = match event {
            Event::Created { path, inode } | Event::Made { path, inode } => {
                paths.insert(*inode, (*path).to_owned());
                format!("created {path}")
            }
            Event::Renamed { old, new } => {
                let moved = paths.values_mut().filter(|path| path.starts_with(old));
                moved.for_each(|path| *path = path.replacen(old, new, 1));
                format!("{old} is now {new}")
            }
            Event::Removed { path } => format!("removed {path}"),
            Event::Written { inode, at, data } => format!("wrote {} at {at} of {:?}", data.len(), paths.get(inode)),
            Event::Truncated { inode, length } => format!("{:?} has {length} bytes", paths.get(inode)),
            Event::Synced { inode, begun } => {
                let path = inode.map_or("", |inode| paths.get(&inode).map_or("/", String::as_str));
                format!("synced {path} as of {begun}")
            }
            Event::Said(text) => format!("said {:?}", text.chars().take(60).collect::<String>()),
            other => format!("{other:?}"),
        };
        lines.push(format!("  {index} {line}"));
    }
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// A directory of a round, removed when dropped.
pub struct Room(pub std::path::PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
