//! A database and its oracle, moved together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use kithdb::{CodeSet, Db, Error, Id, ItemSet, Preset, Repeats, RowIds, Snapshot, TrainOptions};

use crate::check::{KeptSet, Outcome, check, check_stats, meet, same, told};
use crate::oracle::{Code, Oracle, Published};
use crate::step::{Dice, Names, Said, Step, codes};

/// Snapshots kept at a time.
const SNAPSHOTS: usize = 4;

/// Going back to a generation that was trained, and to one that was imported.
pub const ROLLBACKS: [&str; 2] = ["back to what was trained", "back to what was imported"];

pub struct Machine {
    /// `None` only while it is opened again.
    db: Option<Db>,
    oracle: Oracle,
    names: Names,
    dice: Dice,
    sets: Vec<KeptSet>,
    /// With the oracle of their moment, and the opening they are of.
    snapshots: Vec<(Snapshot, Oracle, u64)>,
    opening: u64,
    /// All that were published, by number.
    published: BTreeMap<u64, Rc<Published>>,
    /// The generations that are kept beside the current one, newest first.
    kept: Vec<u64>,
    directory: tempfile::TempDir,
}

impl Machine {
    pub fn new(seed: u64) -> Outcome<Self> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut machine = Self {
            db: None,
            oracle: Oracle { repeats: Repeats::ALL[(seed / 4 % 4) as usize], ..Oracle::default() },
            names: Names::of(seed),
            dice: Dice::new(!seed),
            sets: Vec::new(),
            snapshots: Vec::new(),
            opening: 0,
            published: BTreeMap::new(),
            kept: Vec::new(),
            directory,
        };
        let options = Db::options().repeats(machine.oracle.repeats);
        machine.db = Some(options.open(machine.path()).map_err(|error| error.to_string())?);
        Ok(machine)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("db.kith")
    }

    fn db(&self) -> Outcome<&Db> {
        self.db.as_ref().ok_or_else(|| "the database is not open".to_owned())
    }

    /// Takes a step on both sides and compares them.
    pub fn take(&mut self, step: &Step) -> Outcome {
        self.perform(step)?;
        let snapshot = self.db()?.snapshot();
        check_stats(self.db()?, &self.oracle)?;
        let sets: Vec<&KeptSet> = self.sets.iter().filter(|set| set.opening == self.opening).collect();
        check(&snapshot, &self.oracle, self.names, &sets, &mut self.dice)?;
        let strange = |set: &&KeptSet| set.opening != self.opening;
        if let Some(strange) = self.sets.iter().find(strange) {
            let result = snapshot.query().user(self.names.user(0)).allow(&strange.set).or_popular().run();
            same("a set of another opening", matches!(result, Err(Error::InvalidArgument { .. })), true)?;
        }
        if !self.snapshots.is_empty() {
            let at = self.dice.below(self.snapshots.len() as u64) as usize;
            self.check_snapshot(at)?;
        }
        if self.dice.once_in(10) { self.verify() } else { Ok(()) }
    }

    /// Compares all that is still held.
    pub fn finish(mut self) -> Outcome {
        self.perform(&Step::Reopen)?;
        (0..self.snapshots.len()).try_for_each(|at| self.check_snapshot(at))?;
        self.verify()
    }

    fn verify(&self) -> Outcome {
        let report = self.db()?.verify().map_err(|error| error.to_string())?;
        if report.is_sound() { Ok(()) } else { Err(format!("not sound: {report:?}")) }
    }

    fn check_snapshot(&mut self, at: usize) -> Outcome {
        let (snapshot, oracle, opening) = &self.snapshots[at];
        let sets: Vec<&KeptSet> = self.sets.iter().filter(|set| set.opening == *opening).collect();
        check(snapshot, oracle, self.names, &sets, &mut self.dice)
            .map_err(|error| format!("snapshot {at}, at {}: {error}", snapshot.last_sequence()))
    }

    fn perform(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Import { seed } => self.import(*seed),
            Step::Train { seed, planes, meanwhile } => self.train(*seed, *planes, meanwhile),
            Step::Rollback { pick } => self.rollback(*pick),
            Step::Reopen => self.reopen(),
            Step::Snapshot => {
                if self.snapshots.len() == SNAPSHOTS {
                    self.snapshots.remove(self.dice.below(SNAPSHOTS as u64) as usize);
                }
                self.snapshots.push((self.db()?.snapshot(), self.oracle.clone(), self.opening));
                Ok(())
            }
            Step::ItemSet { items } => self.keep_set(items),
            write => self.write(write).map_err(|error| error.to_string())?,
        }
    }

    /// Performs what is a write; whether the answer is the oracle's.
    fn write(&mut self, step: &Step) -> kithdb::Result<Outcome> {
        let (Some(db), names, oracle) = (&self.db, self.names, &mut self.oracle) else { return Ok(Ok(())) };
        Ok(match *step {
            Step::Insert(touch) => {
                let interaction = names.interaction(touch);
                oracle.insert(&interaction);
                db.insert_interaction(interaction)?;
                Ok(())
            }
            Step::InsertMany(ref touches) => {
                let interactions: Vec<_> = touches.iter().map(|&touch| names.interaction(touch)).collect();
                interactions.iter().for_each(|interaction| oracle.insert(interaction));
                same("inserted", db.insert_many(interactions)?, touches.len() as u64)
            }
            Step::Remove { user, item } => {
                let (user, item) = (names.user(user), names.item(item));
                let expected = oracle.remove(&user, &item);
                same("removed", db.remove(user, item)?, expected)
            }
            Step::Forget { user } => {
                let user = names.user(user);
                let expected = oracle.forget(&user);
                same("forgotten", db.forget_user(user)?, expected)
            }
            Step::DescribeItem { item, said } => {
                let item = names.item(item);
                oracle.items.insert(item.clone());
                let own = oracle.said_of_items.entry(item.clone()).or_default();
                *own = merged(*own, said);
                db.set_item(item, said.attributes())?;
                Ok(())
            }
            Step::DescribeUser { user, said } => {
                let user = names.user(user);
                let number = oracle.user(&user);
                let own = oracle.said_of_users.entry(number).or_default();
                *own = merged(*own, said);
                db.set_user(user, said.attributes())?;
                Ok(())
            }
            Step::Retire { item } => {
                let item = names.item(item);
                let expected = oracle.retire(&item);
                same("retired", db.retire_item(item)?, expected)
            }
            Step::Unretire { item } => {
                let item = names.item(item);
                let expected = oracle.unretire(&item);
                same("unretired", db.unretire_item(item)?, expected)
            }
            _ => Ok(()),
        })
    }

    fn keep_set(&mut self, items: &[u64]) -> Outcome {
        let items: BTreeSet<Id> = items.iter().map(|&item| self.names.item(item)).collect();
        let set: ItemSet = self.db()?.item_set(&items).map_err(|error| error.to_string())?;
        let unknown: Vec<Id> = items.difference(&self.oracle.items).cloned().collect();
        same("items of a set nobody knows", set.unknown(), &unknown)?;
        same("items of a set", set.len(), items.len() as u64)?;
        self.sets.push(KeptSet { set, items, opening: self.opening });
        Ok(())
    }

    fn import(&mut self, seed: u64) -> Outcome {
        let (set, users, items) = codes(self.names, seed);
        let outcome = self.db()?.import_codes(set.clone()).map_err(|error| format!("import: {error}"))?;
        let counts = (outcome.interactions, outcome.users, outcome.items);
        same("imported", counts, (self.oracle.edges.len() as u64, users.len() as u64, items.len() as u64))?;
        users.iter().for_each(|user| _ = self.oracle.user(user));
        self.oracle.items.extend(items.iter().cloned());
        let cut = self.oracle.clone();
        self.oracle.forgotten = false;
        self.publish(&cut, outcome.generation, &set, false)
    }

    /// Has the oracle answer from a generation of the state `cut` with these codes.
    fn publish(&mut self, cut: &Oracle, number: u64, set: &CodeSet, learned: bool) -> Outcome {
        let last = self.oracle.generation.as_ref().map_or(0, |generation| generation.number);
        same("a later generation has a larger number", number > last, true)?;
        let (shape, planes) = (set.items.shape().as_ref().clone(), set.users.planes());
        let items = Published::item_codes(&listed(&set.item_ids), &set.items);
        let (layers, words) = (shape.layers(), shape.words() * planes as usize);
        let code = |(row, id): (usize, &Id)| {
            let (words, scalers) = (&set.users.words()[row * words..][..words], &set.users.scalers()[row * layers..]);
            Some((*self.oracle.users.get(id)?, Code::read(&shape, planes, words, &scalers[..layers])?))
        };
        let users = listed(&set.user_ids).iter().enumerate().filter_map(code).collect();
        let held: BTreeSet<&Id> = cut.edges.keys().map(|(_, item)| item).collect();
        let shown = |item: &&Id| !items.contains_key(*item) && held.contains(*item) && learned;
        let hidden = self.oracle.retired.iter().filter(shown).cloned().collect();
        let (edges, extents) = (cut.edges.clone(), (cut.numbers, cut.items.len() as u64));
        self.answers(cut, Published { number, edges, extents, shape, planes, users, items, hidden, learned })
    }

    /// Has the oracle answer from a generation of the state `cut`, and keep the one before; none where somebody was forgotten since that.
    fn answers(&mut self, cut: &Oracle, generation: Published) -> Outcome {
        let before = self.oracle.generation.as_ref().filter(|_| !cut.forgotten);
        self.kept = before.map(|before| before.number).into_iter().collect();
        let stats = self.db()?.stats().map_err(|error| error.to_string())?;
        let kept: Vec<u64> = stats.kept_generations.iter().map(|kept| kept.number).collect();
        same("generations kept", &kept, &self.kept)?;
        let generation = Rc::new(generation);
        self.published.insert(generation.number, Rc::clone(&generation));
        self.oracle.generation = Some(generation);
        Ok(())
    }

    /// Goes back to a generation that is kept; nothing but codes goes back.
    fn rollback(&mut self, pick: u64) -> Outcome {
        let Some(&to) = self.kept.get(pick as usize % self.kept.len().max(1)) else {
            let none = self.db()?.rollback(pick);
            return same("back to nothing", matches!(none, Err(Error::InvalidArgument { .. })), true);
        };
        let old = Rc::clone(self.published.get(&to).ok_or("a generation that was never published")?);
        let cut = self.oracle.clone();
        let number = self.db()?.rollback(to).map_err(|error| format!("rollback: {error}"))?;
        self.oracle.forgotten = false;
        meet(if old.learned { ROLLBACKS[0] } else { ROLLBACKS[1] }.to_owned());
        if !old.learned {
            let generation = cut.over(&old, number);
            return self.answers(&cut, generation);
        }
        let set = self.exported()?;
        self.publish(&cut, number, &set, true)?;
        let new = self.oracle.generation.clone().ok_or("no generation")?;
        let told = |id: &&Id| !cut.retired.contains(*id) && !old.hidden.contains(*id);
        for id in old.items.keys().filter(told) {
            same(format_args!("the code of {id} gone back to"), new.items.get(id), old.items.get(id))?;
        }
        let same_row = |user: u64| cut.row(user) == Oracle::row_of(&old.edges, user);
        for &user in cut.users.values().filter(|&&user| same_row(user)) {
            same(format_args!("the code of user {user} gone back to"), new.users.get(&user), old.users.get(&user))?;
        }
        Ok(())
    }

    /// The codes that answer, as they are exported.
    fn exported(&self) -> Outcome<CodeSet> {
        let folder = self.directory.path().join("codes");
        self.db()?.export_npy(&folder).map_err(|error| format!("export: {error}"))?;
        CodeSet::read_folder(&folder).map_err(|error| format!("what was exported: {error}"))
    }

    fn train(&mut self, seed: u64, planes: u32, meanwhile: &[Step]) -> Outcome {
        let options = TrainOptions::new(Preset::Fast).bits(64).query_planes(planes).seed(seed);
        let cut = self.oracle.clone();
        let nothing = cut.edges.is_empty() && !cut.forgotten;
        let job = self.db()?.train(options).map_err(|error| error.to_string())?;
        while !job.is_finished() && ["queued", "fold"].contains(&job.progress().phase.as_str()) {
            std::thread::yield_now();
        }
        self.oracle.forgotten = false;
        for step in meanwhile {
            self.write(step).map_err(|error| error.to_string())??;
        }
        let outcome = match job.wait() {
            Err(Error::NothingToTrain { .. }) if nothing => return Ok(()),
            Err(error) => return Err(format!("training: {error}")),
            Ok(_) if nothing => return Err("trained on nothing".into()),
            Ok(outcome) => outcome,
        };
        same("trained on", outcome.interactions, cut.edges.len() as u64)?;
        let set = self.exported()?;
        self.publish(&cut, outcome.generation, &set, true)
    }

    fn reopen(&mut self) -> Outcome {
        let before = told(self.db()?, self.names);
        self.db = None;
        self.db = Some(Db::open(self.path()).map_err(|error| format!("opening again: {error}"))?);
        self.opening += 1;
        let after = told(self.db()?, self.names);
        before.iter().zip(&after).try_for_each(|(before, after)| same("opened again", after, before))
    }
}

/// What is said of somebody after something more was.
fn merged(own: (Option<u64>, Option<bool>), said: Said) -> (Option<u64>, Option<bool>) {
    (said.number.unwrap_or(own.0), said.flag.unwrap_or(own.1))
}

/// The ids of rows, as a list.
fn listed(ids: &RowIds) -> Vec<Id> {
    match ids {
        RowIds::Listed(ids) => ids.clone(),
        RowIds::Integers(ids) => ids.iter().map(|&id| id.into()).collect(),
        RowIds::RowNumbers => Vec::new(),
    }
}
