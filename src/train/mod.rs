//! Training: a teacher learns vectors of full precision from the graph, a student turns them into layered codes.
//!
//! [`Db::train`](crate::Db::train) is what an application calls. [`train()`] does the same to a graph alone, and gives codes, report and state; [`SETTINGS`]
//! lists what a model can be told. These types follow the models and may change with any version, where those at the root of the crate do not.
//!
//! The same graph, options, seed and kernel give the same bits at any number of threads: random numbers are drawn on one
//! thread, parallel loops write disjoint rows, and every sum has a fixed order.

// A training (`training`) holds out some interactions (`measure`), makes its parts from the options (`model`), fits a `teacher` and, where they help,
// averages it with neighbours of items and of users, adds a layer per hop of propagation, takes signs of the layers, fits or trains them (`student`), and
// encodes. Models are one file each behind the two traits; what gradients need is in `optim`, what is kept in `state`.
mod checkpoint;
mod context;
mod measure;
mod model;
mod optim;
mod resume;
mod state;
mod student;
mod teacher;
mod training;

pub use crate::graph::{Bipartite, Csr};
pub(crate) use checkpoint::{Array, Checkpoints, Notes, Stage, Values};
pub(crate) use measure::holdout::is_held_out;
pub use measure::monitor::Monitor;
pub use model::estimate::Estimate;
pub use model::options::{Preset, TrainOptions};
pub use model::report::{Epoch, TrainReport};
pub use model::settings::{Domain, SETTINGS, Setting, SettingValue};
pub use model::{Loss, Model, Sampler, StudentKind, TeacherKind};
pub(crate) use resume::{Choices, Learned, Recoded, Resumed, Rows, major as resume_all, minor as refit};
pub(crate) use state::cuts;
pub(crate) use state::taught::{Scorer, Taught};
pub use state::{StateData, StatePart, TrainState};
pub(crate) use student::rotation::rotation;
pub(crate) use training::train_here;
pub use training::{Trained, train};

#[cfg(test)]
mod tests;
