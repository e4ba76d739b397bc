//! The tables of a student as states and checkpoints keep them.

use std::borrow::Cow;

use kithdb_storage::State;

use super::served::Served;
use super::tables::{CLIP, TARGETS, Tables, segments};
use crate::error::Result;
use crate::kernel::dense::{Isa, Matrix, SignMatrix};
use crate::train::checkpoint::Values;
use crate::train::state::{ITEMS, TrainState, USERS, read_signs, read_table};

/// What magnitudes are called among arrays.
const MAGNITUDES: &str = "student.user_magnitudes";
/// And what is served in their place.
const PLANES: &str = "student.user_planes";
const MAP: &str = "student.fold_in";

impl Tables {
    /// Keeps what later trainings go on from.
    pub(crate) fn save(self, state: &mut TrainState) {
        state.push_signs("student.user_signs", self.users);
        state.push_signs("student.item_signs", self.items);
        state.push("student.user_scales", self.user_scales);
        state.push("student.item_scales", self.item_scales);
        if self.targets.cols() > 0 {
            state.push("student.user_targets", self.targets);
        }
    }

    /// The arrays that [`Tables::save`] moves into a state, as they are, and the magnitudes of users or what is served of them, where there are any.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = (&'static str, [u64; 2], Values<'_>)> {
        let signs = [("student.user_signs", &self.users), ("student.item_signs", &self.items)].map(|(name, signs)| {
            let shape = [signs.rows() as u64, signs.stride() as u64];
            (name, shape, Values::Words(Cow::Borrowed(signs.words())))
        });
        let planes = self.served.iter().filter(|served| !served.words.is_empty()).map(|Served { words, .. }| {
            let rows = self.users.rows() as u64;
            (PLANES, [rows, words.len() as u64 / rows.max(1)], Values::Words(Cow::Borrowed(words)))
        });
        let floats = [
            ("student.user_scales", &self.user_scales),
            ("student.item_scales", &self.item_scales),
            ("student.user_targets", &self.targets),
            (MAGNITUDES, &self.magnitudes),
        ];
        let floats = floats.into_iter().chain(self.served.iter().map(|served| (MAP, &served.map)));
        let floats = floats.filter(|(_, matrix)| matrix.cols() > 0).map(|(name, matrix)| {
            (name, [matrix.rows() as u64, matrix.cols() as u64], Values::Floats(Cow::Borrowed(matrix.data())))
        });
        signs.into_iter().chain(planes).chain(floats)
    }

    /// Reads them back, of codes with layers of these widths and weights; `None` where the state holds none of so many users and items. Of a state of before
    /// it was signs that are kept, those of the vectors.
    ///
    /// # Errors
    /// `Storage`.
    pub(crate) fn read(
        state: &State,
        (widths, weights): (&[u32], &[f32]),
        (n_users, n_items): (usize, usize),
    ) -> Result<Option<Tables>> {
        let widths: Vec<usize> = widths.iter().map(|&width| width as usize).collect();
        let (bits, layers) = (widths.iter().sum::<usize>(), widths.len());
        let segments = segments(&widths);
        let read = |name: &str, named: &str, rows: usize, cols: usize, blank: f32| -> Result<Option<Matrix>> {
            Ok(read_table(state, name, named, rows, blank)?.filter(|table| table.cols() == cols))
        };
        let table = |name: &str, named: &str, rows: usize, cols: usize| read(name, named, rows, cols, 0.0);
        let signs = |name: &str, named: &str, rows: usize| read_signs(state, name, named, rows, &segments);
        let of = |vectors: &Matrix| SignMatrix::of(Isa::BASELINE, vectors, &segments);
        let mut magnitudes = table(MAGNITUDES, USERS, n_users, bits)?;
        let users = match signs("student.user_signs", USERS, n_users)? {
            Some(signs) => Some(signs),
            None => {
                magnitudes = table("student.users", USERS, n_users, bits)?;
                magnitudes.as_ref().map(of)
            }
        };
        let items = match signs("student.item_signs", ITEMS, n_items)? {
            Some(signs) => Some(signs),
            None => table("student.items", ITEMS, n_items, bits)?.as_ref().map(of),
        };
        // Who has no row has no code.
        let user_scales = read("student.user_scales", USERS, n_users, layers, f32::NEG_INFINITY)?;
        let item_scales = read("student.item_scales", ITEMS, n_items, layers, f32::NEG_INFINITY)?;
        let targets = table("student.user_targets", USERS, n_users, TARGETS)?;
        let (Some(users), Some(items), Some(user_scales), Some(item_scales)) = (users, items, user_scales, item_scales)
        else {
            return Ok(None);
        };
        let [targets, magnitudes] = [targets, magnitudes].map(|table| table.unwrap_or_else(|| Matrix::zeros(0, 0)));
        let served = match table(MAP, "", bits, bits)? {
            Some(map) => Some(Served { words: state.part::<u64>(PLANES)?.unwrap_or_default(), map }),
            None => None,
        };
        let weights = weights.to_vec();
        let clip = CLIP;
        Ok(Some(Tables {
            segments,
            weights,
            users,
            items,
            user_scales,
            item_scales,
            magnitudes,
            served,
            clip,
            targets,
        }))
    }
}

#[cfg(test)]
mod tests {
    use kithdb_storage::{Draft, Store, StoreOptions};

    use super::*;
    use crate::graph::Bipartite;
    use crate::kernel::dense::SignedMatrix;
    use crate::train::optim::random::normal_matrix;
    use crate::train::state::StateData;
    use crate::train::teacher::layers::Layers;

    /// What is kept comes back, of all rows or of some; and until it was signs that are kept, it was vectors.
    #[test]
    fn tables_are_read_as_they_are_kept_and_as_they_were() {
        let graph = Bipartite::from_edges(4, 3, &[(0, 1, 1.0), (1, 0, 1.0), (3, 1, 1.0)]).unwrap();
        let context = crate::train::tests::context(&graph, &());
        let mut rng = context.rng("tables");
        let [users, items] = [4, 3].map(|rows| normal_matrix(&mut rng, rows, 6, 1.0));
        let tables = Tables::rotated(&context, &Layers::of(users, items), &[70]);
        let mut kept = TrainState::default();
        tables.clone().save(&mut kept);
        let kept = kept.of_active(&graph);
        // As before signs were kept: every vector, under another name.
        let before = |name: &str| match name {
            "student.user_signs" => Some(("student.users", tables.magnitudes.gather(&[0, 1, 3]))),
            "student.item_signs" => {
                let signed = SignedMatrix { sizes: ones(3), signs: tables.items.clone() };
                Some(("student.items", signed.gather(Isa::BASELINE, &[0, 1])))
            }
            _ => None,
        };
        for old in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path(), &StoreOptions::default()).unwrap();
            let mut writer = store.begin_generation().unwrap();
            writer.part("any", &[1], &[0u32]).unwrap();
            for part in &kept.parts {
                match (&part.data, before(&part.name).filter(|_| old)) {
                    (_, Some((name, vectors))) => {
                        writer.state_part(name, &[vectors.rows() as u64, 70], vectors.data()).unwrap();
                    }
                    (StateData::Floats(data), None) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                    (StateData::Integers(data), None) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                    (StateData::Words(data), None) => writer.state_part(&part.name, &part.shape, data).unwrap(),
                }
            }
            let manifest = writer.publish(Draft::default()).unwrap();
            let state = store.read_state(&manifest).unwrap().unwrap();
            let read = Tables::read(&state, (&[70], &[1.0]), (4, 3)).unwrap().unwrap();
            for user in [0, 1, 3] {
                assert_eq!(read.users.row(user), tables.users.row(user), "{old}");
                assert_eq!(read.user_scales.row(user), tables.user_scales.row(user), "{old}");
            }
            for item in [0, 1] {
                assert_eq!(read.items.row(item), tables.items.row(item), "{old}");
                assert_eq!(read.item_scales.row(item), tables.item_scales.row(item), "{old}");
            }
            let nothing = [f32::NEG_INFINITY];
            assert_eq!((read.user_scales.row(2), read.item_scales.row(2)), (&nothing[..], &nothing[..]), "{old}");
            assert_eq!(read.magnitudes.rows(), if old { 4 } else { 0 });
            // Of codes of another shape, or of more nodes than there are, there are none.
            assert!(Tables::read(&state, (&[140], &[1.0]), (4, 3)).unwrap().is_none(), "{old}");
            assert!(Tables::read(&state, (&[70], &[1.0]), (2, 3)).unwrap().is_none(), "{old}");
        }
    }

    fn ones(rows: usize) -> Matrix {
        let mut ones = Matrix::zeros(rows, 1);
        ones.data_mut().fill(1.0);
        ones
    }
}
