//! What a training has come to, kept so that one that is broken off can go on from there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kithdb_storage::{Checkpoint, State};

use super::model::report::Epoch;
use super::state::read_table;
use super::state::taught::{read_neighbours, weight_lists};
use super::student::Tables;
use super::teacher::Weighting;
use super::teacher::layers::Layers;
use crate::code::CodeShape;
use crate::error::Result;
use crate::kernel::dense::Matrix;

/// What is noted with a checkpoint, by name.
pub(crate) type Notes = BTreeMap<String, String>;

/// Where a training keeps what it has come to, and finds what the same training had come to before it was broken off. What it finds was written by
/// the same training, so that going on from it gives the same codes, bit for bit, as beginning again.
pub(crate) trait Checkpoints: Sync {
    /// Whether so much was done since the last one that another is worth its writing.
    fn is_due(&self) -> bool {
        false
    }

    /// Keeps one, in place of the one before. What cannot be kept costs a restart.
    fn keep(&self, notes: Notes, arrays: &[Array<'_>]) {
        let _ = (notes, arrays);
    }

    /// What the same training had come to.
    fn found(&self) -> Option<Checkpoint> {
        None
    }

    /// Learns that what was found is gone on with, and from where.
    fn resumed(&self, found: &Checkpoint, stage: Stage) {
        let _ = (found, stage);
    }
}

/// Nothing is kept.
impl Checkpoints for () {}

/// An array of a checkpoint, row-major.
pub(crate) struct Array<'a> {
    pub(crate) name: String,
    pub(crate) shape: [u64; 2],
    pub(crate) values: Values<'a>,
}

/// The elements of an array.
pub(crate) enum Values<'a> {
    Floats(Cow<'a, [f32]>),
    Integers(Cow<'a, [u32]>),
    Words(Cow<'a, [u64]>),
}

impl Array<'_> {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let width = match self.values {
            Values::Floats(_) | Values::Integers(_) => 4,
            Values::Words(_) => 8,
        };
        width * self.shape[0] * self.shape[1]
    }
}

/// The parts of a training that take long, in order. What is kept is what each came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The teacher and its neighbours are learned, and everything is chosen.
    Taught,
    /// The student is, from that.
    Distilled,
    /// The teacher is learned again, from all interactions.
    Retaught,
    /// So is the student.
    Redistilled,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::Taught, Stage::Distilled, Stage::Retaught, Stage::Redistilled];

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Taught => "teacher",
            Stage::Distilled => "student",
            Stage::Retaught => "teacher of all",
            Stage::Redistilled => "student of all",
        }
    }
}

/// Where a training stands after a stage: all that the stages after it need.
pub(crate) struct Stand {
    pub(crate) stage: Stage,
    /// What was chosen of the teacher, by the name of the setting.
    pub(crate) chosen: Vec<(String, f32)>,
    pub(crate) added: Weighting,
    pub(crate) teacher_epochs: Vec<Epoch>,
    pub(crate) teacher_recall: Option<f64>,
    pub(crate) start_recall: Option<f64>,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) recall: Option<f64>,
    pub(crate) layers: Layers,
    /// Once there are any.
    pub(crate) tables: Option<Tables>,
}

impl Stand {
    /// Of a teacher that was learned, with nothing known of how well.
    pub(crate) fn taught(layers: Layers) -> Stand {
        Stand {
            stage: Stage::Taught,
            chosen: Vec::new(),
            added: Weighting::default(),
            teacher_epochs: Vec::new(),
            teacher_recall: None,
            start_recall: None,
            epochs: Vec::new(),
            recall: None,
            layers,
            tables: None,
        }
    }

    /// Whether the student finds more than what it started from.
    pub(crate) fn gains(&self) -> bool {
        self.recall > self.start_recall
    }

    /// Where the same training stood when it was broken off, with a row for each of so many users and items; `None` where that is not known, not whole, or
    /// not what `serves`.
    pub(crate) fn found(
        checkpoints: &dyn Checkpoints,
        shape: &CodeShape,
        nodes: (usize, usize),
        serves: impl FnOnce(&Stand) -> bool,
    ) -> Option<Stand> {
        let checkpoint = checkpoints.found()?;
        // What cannot be read any more costs a restart, and no more.
        let stand = Stand::read(&checkpoint, shape, nodes).ok().flatten().filter(|stand| serves(stand))?;
        checkpoints.resumed(&checkpoint, stand.stage);
        Some(stand)
    }

    /// Keeps it, where that is due. Of the layers those that the teacher gave.
    pub(crate) fn keep(&self, checkpoints: &dyn Checkpoints) {
        if checkpoints.is_due() {
            checkpoints.keep(self.notes(), &self.arrays());
        }
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes::new();
        let mut note = |name: &str, value: String| drop(notes.insert(name.to_owned(), value));
        note(STAGE, self.stage.name().to_owned());
        self.chosen.iter().for_each(|(name, value)| note(&format!("{CHOSEN}{name}"), value.to_string()));
        self.added.settings().for_each(|(name, value)| note(&format!("{ADDED}{name}"), value.to_string()));
        for (name, recall) in
            [(TEACHER_RECALL, self.teacher_recall), (START_RECALL, self.start_recall), (RECALL, self.recall)]
        {
            recall.iter().for_each(|recall| note(name, recall.to_string()));
        }
        note(TEACHER_EPOCHS, written(&self.teacher_epochs));
        note(EPOCHS, written(&self.epochs));
        self.tables.iter().for_each(|tables| note(CLIP, tables.clip.to_string()));
        notes
    }

    fn arrays(&self) -> Vec<Array<'_>> {
        let named = |name: String, matrix: &Matrix| (name, [matrix.rows() as u64, matrix.cols() as u64]);
        let mut arrays = Vec::new();
        let mut push = |(name, shape): (String, [u64; 2]), values| arrays.push(Array { name, shape, values });
        let Layers { users, items, weights, neighbours, matrices } = &self.layers;
        // Layers that carry no score are made again from the others.
        let kept = weights.iter().take_while(|weight| **weight != 0.0).count();
        push((LAYERS.to_owned(), [1, kept as u64]), Values::Floats(Cow::Borrowed(&weights[..kept])));
        for layer in 0..kept {
            for (side, matrix) in [("users", &users[layer]), ("items", &items[layer])] {
                push(named(format!("layer.{layer}.{side}"), matrix), Values::Floats(Cow::Borrowed(matrix.data())));
            }
        }
        for ([counts, near, values], weights) in weight_lists(neighbours) {
            let row = |name: &str, len: usize| (name.to_owned(), [1, len as u64]);
            push(row(counts, weights.n_rows()), Values::Integers(Cow::Owned(weights.degrees())));
            let edges = weights.n_edges();
            let (targets, weights) = match weights {
                Cow::Owned(weights) => {
                    let (targets, weights) = weights.into_entries();
                    (Cow::Owned(targets), Cow::Owned(weights))
                }
                Cow::Borrowed(weights) => {
                    (Cow::Borrowed(weights.targets()), Cow::Borrowed(weights.values().unwrap_or_default()))
                }
            };
            push(row(near, edges), Values::Integers(targets));
            push(row(values, edges), Values::Floats(weights));
        }
        for (name, matrix) in matrices {
            push(named(format!("{MATRIX}{name}"), matrix), Values::Floats(Cow::Borrowed(matrix.data())));
        }
        for (name, shape, values) in self.tables.iter().flat_map(Tables::arrays) {
            push((name.to_owned(), shape), values);
        }
        arrays
    }

    fn read(checkpoint: &Checkpoint, shape: &CodeShape, (n_users, n_items): (usize, usize)) -> Result<Option<Stand>> {
        let (notes, state) = (checkpoint.notes(), checkpoint.arrays());
        let number = |name: &str| notes.get(name).and_then(|value| value.parse::<f64>().ok());
        let Some(stage) = Stage::ALL.into_iter().find(|stage| notes.get(STAGE).is_some_and(|on| on == stage.name()))
        else {
            return Ok(None);
        };
        let Some(layers) = read_layers(state, n_users, n_items)? else { return Ok(None) };
        let tables = match stage {
            Stage::Taught => None,
            _ => {
                let tables = Tables::read(state, (shape.widths(), shape.weights()), (n_users, n_items))?;
                let Some((tables, clip)) = tables.zip(number(CLIP)) else { return Ok(None) };
                Some(Tables { clip: clip as f32, ..tables })
            }
        };
        let chosen = notes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(CHOSEN)?.to_owned(), value.parse::<f32>().ok()?)));
        let added = Weighting::of(|name| notes.get(&format!("{ADDED}{name}"))?.parse().ok());
        // Neighbours whose weights are not told could not be fitted again.
        if !layers.neighbours.are(added) {
            return Ok(None);
        }
        let epochs = |name: &str| notes.get(name).map_or_else(Vec::new, |text| read_epochs(text));
        Ok(Some(Stand {
            stage,
            chosen: chosen.collect(),
            added,
            teacher_epochs: epochs(TEACHER_EPOCHS),
            teacher_recall: number(TEACHER_RECALL),
            start_recall: number(START_RECALL),
            epochs: epochs(EPOCHS),
            recall: number(RECALL),
            layers,
            tables,
        }))
    }
}

const STAGE: &str = "stage";
const CHOSEN: &str = "chosen.";
const ADDED: &str = "added.";
const TEACHER_RECALL: &str = "teacher_recall";
const START_RECALL: &str = "start_recall";
const RECALL: &str = "recall";
const TEACHER_EPOCHS: &str = "teacher_epochs";
const EPOCHS: &str = "epochs";
const CLIP: &str = "clip";
/// Begins the name of a matrix beside the layers.
const MATRIX: &str = "matrix.";
/// The weights of the layers.
const LAYERS: &str = "layer.weights";

fn read_layers(state: &State, n_users: usize, n_items: usize) -> Result<Option<Layers>> {
    let Some(weights) = state.part::<f32>(LAYERS)? else { return Ok(None) };
    let (mut users, mut items) = (Vec::new(), Vec::new());
    for layer in 0..weights.len() {
        let table = |side: &str, rows| read_table(state, &format!("layer.{layer}.{side}"), "", rows, 0.0);
        let Some((of_users, of_items)) = table("users", n_users)?.zip(table("items", n_items)?) else {
            return Ok(None);
        };
        users.push(of_users);
        items.push(of_items);
    }
    let mut matrices = Vec::new();
    for name in state.names().filter(|name| name.starts_with(MATRIX)) {
        let rows = state.shape(name).and_then(|shape| shape.first()).map_or(0, |&rows| rows as usize);
        let matrix = read_table(state, name, "", rows, 0.0)?;
        matrices.extend(matrix.map(|matrix| (name[MATRIX.len()..].to_owned(), matrix)));
    }
    Ok(Some(Layers { users, items, weights, neighbours: read_neighbours(state, n_users, n_items)?, matrices }))
}

/// Epochs as text: every number as it is, to the last bit.
fn written(epochs: &[Epoch]) -> String {
    let one = |epoch: &Epoch| match epoch.recall {
        Some(recall) => format!("{} {recall}", epoch.loss),
        None => epoch.loss.to_string(),
    };
    epochs.iter().map(one).collect::<Vec<_>>().join(",")
}

fn read_epochs(text: &str) -> Vec<Epoch> {
    let one = |epoch: &str| {
        let (loss, recall) = epoch.split_once(' ').map_or((epoch, None), |(loss, recall)| (loss, Some(recall)));
        Some(Epoch { loss: loss.parse().ok()?, recall: recall.and_then(|recall| recall.parse().ok()) })
    };
    text.split(',').filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_read_as_they_were_written() {
        let epochs = vec![
            Epoch { loss: 0.1 + 0.2, recall: None },
            Epoch { loss: 1.0 / 3.0, recall: Some(0.25) },
            Epoch { loss: 2.0, recall: Some(1e-17) },
        ];
        assert_eq!(read_epochs(&written(&epochs)), epochs);
        assert_eq!(read_epochs(&written(&[])), []);
    }
}
