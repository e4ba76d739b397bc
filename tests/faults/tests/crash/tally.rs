//! Images counted, and printed as a table.

use std::collections::BTreeMap;

use crate::disk::Kind;
use crate::round::{PROBLEMS, Wrong};

/// Images counted, by kind and recording.
#[derive(Default)]
pub struct Tally(BTreeMap<(Kind, String), (usize, [usize; PROBLEMS.len()])>);

impl Tally {
    pub fn count(&mut self, kind: Kind, name: &str, wrong: &Wrong) {
        // Recoveries are counted together.
        let name = name.split('-').next().unwrap_or(name).to_owned();
        for name in [name, "all".to_owned()] {
            let (images, problems) = self.0.entry((kind, name)).or_default();
            *images += 1;
            for (at, count) in problems.iter_mut().enumerate() {
                *count += usize::from(wrong.iter().any(|(problem, _)| *problem == at));
            }
        }
    }

    pub fn print(&self) {
        let head: String = PROBLEMS.iter().map(|problem| format!("{problem:>12}")).collect();
        println!("{:<9}{:<10}{:>7}{head}", "kind", "script", "images");
        for ((kind, name), (images, problems)) in &self.0 {
            let problems: String = problems.iter().map(|count| format!("{count:>12}")).collect();
            println!("{:<9}{name:<10}{images:>7}{problems}", kind.to_string());
        }
    }

    /// Images with a problem of each kind.
    pub fn problems(&self) -> [usize; PROBLEMS.len()] {
        let all = self.0.iter().filter(|((_, name), _)| name == "all");
        all.fold([0; PROBLEMS.len()], |sum, (_, (_, problems))| std::array::from_fn(|at| sum[at] + problems[at]))
    }
}
