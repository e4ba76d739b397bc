//! What may be in a database after work of which some was acknowledged and some refused.

use std::collections::BTreeMap;

type Edge = (u64, u64);

/// What is allowed of one fact: to be so, not to be so, or either.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Allowed {
    yes: bool,
    no: bool,
}

const YES: Allowed = Allowed { yes: true, no: false };
const NO: Allowed = Allowed { yes: false, no: true };

impl Allowed {
    /// After a change to `to` that was acknowledged, or may or may not have happened.
    fn change(&mut self, to: Allowed, acknowledged: bool) {
        *self = match acknowledged {
            true => to,
            false => Allowed { yes: self.yes || to.yes, no: self.no || to.no },
        };
    }

    fn fits(self, found: bool) -> bool {
        if found { self.yes } else { self.no }
    }
}

/// The facts that were acknowledged, and those that are open.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    edges: BTreeMap<Edge, Allowed>,
    retired: BTreeMap<u64, Allowed>,
    stocked: BTreeMap<u64, Allowed>,
    /// Number and hash of the last generation that was acknowledged.
    generation: Option<(u64, String)>,
}

/// What a look into a database has found.
pub struct Found {
    pub edges: Vec<Edge>,
    shown: Vec<u64>,
    stocked: Vec<u64>,
    generation: Option<(u64, String)>,
    pub damage: Vec<String>,
}

fn numbers(text: &str) -> Vec<u64> {
    text.split([' ', ':', ',']).filter_map(|word| word.parse().ok()).collect()
}

fn generation(text: &str) -> Option<(u64, String)> {
    let (number, hash) = text.split_once(' ')?;
    Some((number.parse().ok()?, hash.to_owned()))
}

impl Found {
    pub fn of(lines: &[String]) -> Found {
        let mut found =
            Found { edges: Vec::new(), shown: Vec::new(), stocked: Vec::new(), generation: None, damage: Vec::new() };
        for line in lines {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "E" => found.edges.push((numbers(rest)[0], numbers(rest)[1])),
                "A" => found.stocked.extend(numbers(rest)),
                "S" => found.shown.extend(numbers(rest)),
                "G" => found.generation = generation(rest),
                "DAMAGED" => found.damage.push(rest.to_owned()),
                _ => {}
            }
        }
        found
    }

    /// Items that have users but are on no list.
    fn retired(&self) -> Vec<u64> {
        let mut items: Vec<u64> = self.edges.iter().map(|edge| edge.1).collect();
        items.sort_unstable();
        items.dedup();
        items.retain(|item| !self.shown.contains(item));
        items
    }
}

impl Facts {
    /// All that was found in a database, as acknowledged.
    pub fn all_of(found: &Found) -> Facts {
        Facts {
            edges: found.edges.iter().map(|&edge| (edge, YES)).collect(),
            retired: found.retired().into_iter().map(|item| (item, YES)).collect(),
            stocked: found.stocked.iter().map(|&item| (item, YES)).collect(),
            generation: found.generation.clone(),
        }
    }

    /// Takes in something that was asked for, and its outcome if it was acknowledged.
    pub fn take(&mut self, asked: &str, acknowledged: Option<&str>) {
        let (what, rest) = asked.split_once(' ').unwrap_or((asked, ""));
        let (n, sure) = (numbers(rest), acknowledged.is_some());
        match what {
            "insert" | "many" => {
                for edge in n.chunks_exact(2) {
                    self.edges.entry((edge[0], edge[1])).or_insert(NO).change(YES, sure);
                }
            }
            "remove" => self.edges.entry((n[0], n[1])).or_insert(NO).change(NO, sure),
            "forget" => self.edges.iter_mut().filter(|(edge, _)| edge.0 == n[0]).for_each(|(_, a)| a.change(NO, sure)),
            "stock" => self.stocked.entry(n[0]).or_insert(NO).change(YES, sure),
            "retire" => self.retired.entry(n[0]).or_insert(NO).change(YES, sure),
            "train" | "import" => self.generation = acknowledged.and_then(generation).or(self.generation.take()),
            _ => {}
        }
    }

    /// What was found that may not be, and what was not that has to be.
    pub fn against(&self, found: &Found) -> Vec<String> {
        let mut wrong = Vec::new();
        let edges: std::collections::BTreeSet<Edge> = found.edges.iter().copied().collect();
        for edge in self.edges.keys().chain(edges.iter().filter(|edge| !self.edges.contains_key(edge))) {
            let allowed = self.edges.get(edge).copied().unwrap_or(NO);
            if !allowed.fits(edges.contains(edge)) {
                wrong.push(format!("edge {edge:?}: {allowed:?}"));
            }
        }
        let retired = found.retired();
        for (item, allowed) in &self.retired {
            // An item that nobody has any more is on no list either way.
            if found.edges.iter().any(|edge| edge.1 == *item) && !allowed.fits(retired.contains(item)) {
                wrong.push(format!("retired {item}: {allowed:?}"));
            }
        }
        wrong.extend(
            retired.iter().filter(|item| !self.retired.contains_key(item)).map(|item| format!("retired {item}")),
        );
        let strange = found.stocked.iter().filter(|item| !self.stocked.contains_key(item)).map(|item| (item, NO));
        for (item, allowed) in self.stocked.iter().map(|(item, &allowed)| (item, allowed)).chain(strange) {
            if !allowed.fits(found.stocked.contains(item)) {
                wrong.push(format!("in stock {item}: {allowed:?}"));
            }
        }
        if let Some((number, hash)) = &self.generation {
            match &found.generation {
                Some((found, other)) if found == number && other != hash => {
                    wrong.push(format!("generation {number} is {other}, not {hash}"));
                }
                Some((found, _)) if found >= number => {}
                other => wrong.push(format!("generation {number} was acknowledged, found {other:?}")),
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> Found {
        Found::of(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_was_acknowledged_has_to_be_there_and_what_was_refused_may_be() {
        let mut facts = Facts::default();
        facts.take("many 1:2,3:4", Some("2"));
        facts.take("insert 5 6", None);
        facts.take("remove 3 4", Some("true"));
        facts.take("remove 1 2", None);
        let wrong = |lines: &[&str]| facts.against(&found(lines)).len();
        assert_eq!([wrong(&["S 2", "S 6"]), wrong(&["E 1 2 1 None", "E 5 6 1 None", "S 2", "S 6"])], [0, 0]);
        assert_eq!(wrong(&["E 3 4 1 None", "S 4"]), 1, "taken back, and back again");
        assert_eq!(wrong(&["E 7 8 1 None", "S 8"]), 1, "out of thin air");
        facts.take("insert 1 2", Some(""));
        assert_eq!(facts.against(&found(&["S 2"])).len(), 1, "lost");
    }

    #[test]
    fn what_is_said_of_items_stays() {
        let mut facts = Facts::default();
        facts.take("stock 3", Some(""));
        facts.take("stock 4", None);
        let wrong = |lines: &[&str]| facts.against(&found(lines)).len();
        assert_eq!([wrong(&["A 3"]), wrong(&["A 3", "A 4"]), wrong(&["A 4"]), wrong(&["A 3", "A 5"])], [0, 0, 1, 1]);
    }

    #[test]
    fn retired_items_and_generations_stay() {
        let mut facts = Facts::default();
        facts.take("insert 1 2", Some(""));
        facts.take("retire 2", Some("true"));
        facts.take("train", Some("3 abc"));
        let wrong = |lines: &[&str]| facts.against(&found(lines)).len();
        assert_eq!(wrong(&["E 1 2 1 None", "G 3 abc"]), 0);
        assert_eq!(wrong(&["E 1 2 1 None", "S 2", "G 3 abc"]), 1, "an item that came back");
        assert_eq!(wrong(&["E 1 2 1 None", "G 3 abd"]), 1, "another content");
        assert_eq!([wrong(&["E 1 2 1 None", "G 2 x"]), wrong(&["E 1 2 1 None"])], [1, 1], "an older generation, none");
    }
}
