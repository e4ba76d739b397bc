//! A moment of a database as a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use kithdb_storage::{Element, Side};
use roaring::RoaringBitmap;
use serde::Serialize;

use super::folder::{Folder, Writer, io, sync, write_synced};
use crate::code::PlaneCodes;
use crate::error::{Error, Result};
use crate::generation::stored::{PartsWriter, kind_attribute, lengths, write_attributes, write_content};
use crate::generation::{Columns, Generation};
use crate::graph::postings::{NO_TIME, Postings, PostingsBuilder};
use crate::pool::Pool;
use crate::snapshot::Snapshot;

/// The file that names the newest folder of a place.
pub(super) const POINTER: &str = "SNAPSHOT";
/// What folders of moments are called: `moment-GENERATION-HASH`.
const PREFIX: &str = "moment-";
/// The file that is locked while a moment is written.
const LOCK: &str = "SNAPSHOT.lock";
/// What is under way ends with this.
const UNFINISHED: &str = ".tmp";

/// How a snapshot is written, for [`Db::snapshot_to`](crate::Db::snapshot_to).
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    interactions: bool,
    keep: usize,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self { interactions: true, keep: 2 }
    }
}

impl SnapshotOptions {
    /// With the interactions; two snapshots are kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether interactions go along; `true` by default. Without them there are codes and ids alone: users who came since the training, what users have, and
    /// popularity are not known then, and nothing is left out of a list for having been seen. The items of a basket count alike, where else those that few users
    /// have count more, so that lists of baskets are others.
    pub fn interactions(mut self, interactions: bool) -> Self {
        self.interactions = interactions;
        self
    }

    /// How many snapshots are kept at the place, this one among them; 2 by default, at least 1. Who has an older one open goes on with it.
    pub fn keep(mut self, snapshots: usize) -> Self {
        self.keep = snapshots.max(1);
        self
    }
}

/// What [`Db::snapshot_to`](crate::Db::snapshot_to) wrote.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SnapshotOutcome {
    /// The folder's name within its place.
    pub name: String,
    /// The generation whose codes it has.
    pub generation: u64,
    /// The last operation it has seen.
    pub sequence: u64,
    /// The hash of everything in it.
    pub hash: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it was there before, with the same content, and nothing was written.
    pub repeated: bool,
    /// Why one before it that is not kept could not be removed; the next call tries again.
    pub not_removed: Option<String>,
}

/// Writes the moment that `take` gives into a folder of its own at `place`, which is made where it is absent, and has `SNAPSHOT` name it. One call works at a
/// place at a time, of all processes, and takes its moment then: what is named last is the last of one database.
pub(crate) fn write(
    take: impl FnOnce() -> Snapshot,
    pool: &Pool,
    place: &Path,
    options: &SnapshotOptions,
) -> Result<SnapshotOutcome> {
    prepare(place)?;
    let lock = place.join(LOCK);
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(|e| io("lock", &lock, e))?;
    let snapshot = take();
    let generation = snapshot.tail().generation().ok_or(Error::NotTrained)?;
    let temporary = place.join(format!("{PREFIX}{UNFINISHED}"));
    // Of a call that was broken off.
    remove(&temporary)?;
    let fill = || {
        let writer = Writer::begin(temporary.clone(), snapshot.token().cloned())?;
        fill(&snapshot, generation, writer, options.interactions)
    };
    let written = pool.run(fill);
    let (hash, bytes) = written.inspect_err(|_| drop(remove(&temporary)))?;
    let name = format!("{PREFIX}{:010}-{}", generation.number(), hash.get(..16).unwrap_or(&hash));
    let folder = place.join(&name);
    // One that is not whole any more is replaced.
    let repeated = Folder::open(&folder).and_then(|folder| folder.check()).is_ok();
    match repeated {
        true => remove(&temporary)?,
        false => {
            remove(&folder)?;
            fs::rename(&temporary, &folder).map_err(|e| io("rename", &temporary, e))?;
        }
    }
    sync(place)?;
    point(place, &name)?;
    // Readers have gone on by now, whatever is left behind.
    let not_removed = prune(place, &name, options.keep).err().map(|error| error.to_string());
    drop(held);
    let (generation, sequence) = (generation.number(), snapshot.last_sequence());
    Ok(SnapshotOutcome { name, generation, sequence, hash, bytes, repeated, not_removed })
}

/// Removes a folder that may be there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder, e)),
        _ => Ok(()),
    }
}

/// Makes the place where it is absent, and refuses one that has something else.
fn prepare(place: &Path) -> Result<()> {
    let is_absent = |level: &&Path| !level.as_os_str().is_empty() && !level.exists();
    let made: Vec<&Path> = place.ancestors().take_while(is_absent).collect();
    fs::create_dir_all(place).map_err(|e| io("make", place, e))?;
    for level in made {
        sync(level.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    let entries = fs::read_dir(place).map_err(|e| io("list", place, e))?;
    for entry in entries {
        let name = entry.map_err(|e| io("list", place, e))?.file_name();
        let name = name.to_string_lossy();
        let of_pointer = [POINTER, LOCK, &format!("{POINTER}{UNFINISHED}")].contains(&name.as_ref());
        if !is_moment(&name) && !of_pointer {
            return Err(Error::InvalidArgument {
                what: format!("{} has {name}, which is of no snapshot", place.display()),
                remedy: "give a folder that is absent, empty, or has snapshots".into(),
            });
        }
    }
    Ok(())
}

/// Whether a folder is called as those of moments are, finished or not: others are nobody's to remove.
fn is_moment(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let is = |text: &str, least: usize, digit: fn(&u8) -> bool| text.len() >= least && text.bytes().all(|b| digit(&b));
    rest == UNFINISHED
        || rest.split_once('-').is_some_and(|(generation, hash)| {
            is(generation, 10, u8::is_ascii_digit) && is(hash, 16, u8::is_ascii_hexdigit)
        })
}

/// Sets the pointer, by a rename: who reads it sees the name before or this one.
fn point(place: &Path, name: &str) -> Result<()> {
    let temporary = place.join(format!("{POINTER}{UNFINISHED}"));
    write_synced(&temporary, format!("{name}\n").as_bytes())?;
    let pointer = place.join(POINTER);
    fs::rename(&temporary, &pointer).map_err(|e| io("rename", &temporary, e))?;
    sync(place)
}

/// Removes folders but the last `keep` that were written and the one named, and those whose removal was broken off.
fn prune(place: &Path, name: &str, keep: usize) -> Result<()> {
    let entries = fs::read_dir(place).map_err(|e| io("list", place, e))?;
    let folders = entries
        .filter_map(Result::ok)
        .filter(|entry| is_moment(&entry.file_name().to_string_lossy()) && entry.file_name() != name);
    let (mut whole, mut broken) = (Vec::new(), Vec::new());
    for entry in folders {
        match entry.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) if Folder::is_at(&entry.path()) => whole.push((modified, entry.path())),
            _ => broken.push(entry.path()),
        }
    }
    whole.sort_unstable_by(|a, b| b.cmp(a));
    let old = whole.into_iter().skip(keep.saturating_sub(1)).map(|(_, folder)| folder);
    // One that cannot be removed keeps no other.
    let mut outcome = Ok(());
    for folder in old.chain(broken) {
        outcome = outcome.and(remove(&folder));
    }
    outcome
}

/// Writes all parts; the hash of the whole, and its bytes.
fn fill(snapshot: &Snapshot, generation: &Generation, mut writer: Writer, interactions: bool) -> Result<(String, u64)> {
    let (catalogues, tail) = (snapshot.catalogues(), snapshot.tail());
    let mut attributes = generation.manifest().map_or_else(BTreeMap::new, |manifest| manifest.attributes.clone());
    let rows = (generation.users().len() as u64, generation.n_items() as u64);
    for (side, catalogue, rows) in [("users", &catalogues.users, rows.0), ("items", &catalogues.items, rows.1)] {
        let (keys, ends) = catalogue.encode();
        writer.ragged(&format!("{side}.ids"), &lengths(&ends), &keys)?;
        if let Some(kind) = catalogue.kind() {
            attributes.insert(format!("{side}.id_kind"), kind_attribute(kind).to_owned());
        }
        attributes.insert(format!("snapshot.{side}"), rows.to_string());
    }
    write_attributes(&mut writer, Side::Item, &catalogues.attributes.items, catalogues.items.len())?;
    if interactions {
        write_attributes(&mut writer, Side::User, &catalogues.attributes.users, catalogues.users.len())?;
    }
    let items = generation.item_codes();
    let gone = tail.forgotten();
    // Who was forgotten since the generation is in none of its rows, and rows without a code are as they are read: of zeros.
    let empty = gone | codeless(generation.users());
    let blanked = (!empty.is_empty()).then(|| without(generation.users(), &empty)).transpose()?;
    let users = blanked.as_ref().unwrap_or(generation.users());
    let postings = (!gone.is_empty() || !interactions).then(|| kept(generation.postings(), gone, interactions));
    let columns = Columns {
        postings: postings.as_ref().unwrap_or(generation.postings()),
        retired: generation.retired(),
        users,
        items: &items,
        ranks: generation.ranks(),
        fold_in: generation.fold_in(),
        encoder: generation.encoder(),
    };
    write_content(&mut writer, &columns, generation.item_index(), &mut attributes)?;
    drop(items);
    if interactions {
        write_tail(&mut writer, snapshot)?;
    }
    writer.part("tail.forgotten", &[gone.len()], &gone.iter().collect::<Vec<u32>>())?;
    writer.part("tail.retired", &[tail.retired().len()], &tail.retired().iter().collect::<Vec<u32>>())?;
    // What processes share lies as the kernels read it.
    let (layout, [words, scalers]) = generation.item_index().stored_codes();
    writer.bytes("shared.items.words", u8::DTYPE, words)?;
    writer.bytes("shared.items.scalers", u8::DTYPE, scalers)?;
    writer.part("shared.users.words", &[users.words().len() as u64], users.words())?;
    for (name, value) in [
        ("layout", layout.to_owned()),
        ("generation", generation.number().to_string()),
        ("content_hash", generation.content_hash().to_owned()),
        ("sequence", snapshot.last_sequence().to_string()),
        ("repeats", tail.repeats().name().to_owned()),
        ("interactions", interactions.to_string()),
    ] {
        attributes.insert(format!("snapshot.{name}"), value);
    }
    writer.finish(&attributes)
}

/// What is not as in the generation: an edge a row, of weight 0 where there is none any more.
fn write_tail(writer: &mut Writer, snapshot: &Snapshot) -> Result<()> {
    let (mut users, mut items, mut weights, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (user, item, edge) in snapshot.tail().changed() {
        users.push(user);
        items.push(item);
        weights.push(edge.map_or(0.0, |edge| edge.weight));
        times.push(edge.and_then(|edge| edge.time).unwrap_or(NO_TIME));
    }
    let rows = [users.len() as u64];
    writer.part("tail.users", &rows, &users)?;
    writer.part("tail.items", &rows, &items)?;
    writer.part("tail.weights", &rows, &weights)?;
    writer.part("tail.times", &rows, &times)
}

/// Posting lists without those of some users, or of all.
fn kept(postings: &Postings, gone: &RoaringBitmap, interactions: bool) -> Postings {
    let mut builder = PostingsBuilder::with_capacity(postings.n_users() as usize, 0);
    for user in 0..postings.n_users() {
        if interactions && !gone.contains(user) {
            postings.row(user).edges().for_each(|(item, edge)| builder.push(item, edge));
        }
        builder.end_row();
    }
    builder.finish()
}

/// The users without a code.
fn codeless(users: &PlaneCodes) -> RoaringBitmap {
    let rows = (0..).zip(users.scalers().chunks_exact(users.shape().layers()));
    rows.filter(|(_, scalers)| scalers.iter().all(|&scaler| scaler == 0.0)).map(|(row, _)| row).collect()
}

/// Codes in which some users have none.
fn without(users: &PlaneCodes, gone: &RoaringBitmap) -> Result<PlaneCodes> {
    let (mut words, mut scalers) = (users.words().to_vec(), users.scalers().to_vec());
    let (width, layers) = (users.shape().words() * users.planes() as usize, users.shape().layers());
    for user in gone.iter().map(|user| user as usize).filter(|&user| user < users.len()) {
        words[user * width..][..width].fill(0);
        scalers[user * layers..][..layers].fill(0.0);
    }
    Ok(PlaneCodes::from_parts(users.shape().clone(), users.planes(), words, scalers)?)
}
