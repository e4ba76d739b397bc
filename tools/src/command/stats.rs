//! `kithdb stats`: counts and sizes.

use clap::Args;

use super::database::Database;
use crate::cli::Answer;
use crate::output::{self, Output};

/// Show counts and sizes of a database
#[derive(Args)]
#[command(after_help = "Examples:
  kithdb stats shop.kith
  kithdb stats shop.kith --json")]
pub(crate) struct Stats {
    #[command(flatten)]
    database: Database,
}

impl Stats {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<Answer> {
        let stats = self.database.open()?.stats()?;
        output.result(&stats, text)?;
        Ok(Answer::Yes)
    }
}

fn text(stats: &kithdb::Stats) -> String {
    let (count, bytes) = (output::count, output::bytes);
    let mut lines = vec![
        ("users", count(stats.users)),
        ("items", count(stats.items)),
        ("interactions", count(stats.interactions)),
        ("retired items", count(stats.retired_items)),
        ("last sequence", count(stats.last_sequence)),
    ];
    match &stats.generation {
        None => lines.push(("generation", "none yet: run `kithdb train`".into())),
        Some(generation) => {
            let widths: Vec<String> = generation.layer_bits.iter().map(ToString::to_string).collect();
            lines.extend([
                ("generation", generation.number.to_string()),
                ("content", generation.content_hash.clone()),
                (
                    "code",
                    format!("{} bits in layers of {}", generation.layer_bits.iter().sum::<u32>(), widths.join(" + ")),
                ),
                ("bytes an item", count(generation.bytes_per_item)),
                (
                    "bytes a user",
                    format!("{} ({} query bits)", count(generation.bytes_per_user), generation.query_bits),
                ),
                ("bytes", bytes(generation.bytes)),
                ("changes since", count(stats.tail_changes)),
            ]);
            if let Some(how) = generation.made_by {
                let seconds = generation.seconds.map_or_else(String::new, |seconds| format!(" in {seconds:.1} s"));
                lines.push(("made by", format!("{how}{seconds}")));
            }
            if let Some(drift) = &generation.drift {
                lines.push(("drift", output::drift(drift)));
            }
        }
    }
    if !stats.kept_generations.is_empty() {
        let kept = stats.kept_generations.iter();
        let kept: Vec<String> = kept
            .map(|kept| format!("{} ({})", kept.number, kept.made_by.unwrap_or("before origins were noted")))
            .collect();
        lines.push(("kept", kept.join(", ")));
    }
    lines.push(("on disk", format!("{}, of which {} are in use", bytes(stats.disk.total), bytes(stats.disk.live))));
    lines.extend(stats.left_behind.iter().map(|why| ("left behind", why.clone())));
    let memory = &stats.memory;
    lines.extend([
        ("graph", format!("{} in memory, where something is learned", bytes(memory.graph))),
        ("state", format!("{} in memory, where something is learned", bytes(memory.training_state))),
        ("answers by", format!("{} in memory, with all ids", bytes(memory.generation))),
        ("attributes", format!("{} in memory", bytes(memory.attributes))),
        ("storage cache", format!("{} at most", bytes(memory.storage_cache))),
    ]);
    lines.iter().map(|(name, value)| format!("{name:<14} {value}")).collect::<Vec<_>>().join("\n")
}
