//! What a training did, for people and for `--report`.

use serde::{Deserialize, Serialize};

use super::settings::SettingValue;

/// What a training did and how well its codes did on held-out interactions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The teacher's name.
    pub teacher: String,
    /// The student's name.
    pub student: String,
    /// Width of every layer, in bits.
    pub widths: Vec<u32>,
    /// Interactions trained on.
    pub trained_edges: u64,
    /// Interactions held out.
    pub held_out_edges: u64,
    /// Settings, by name: those the caller chose and all others.
    pub settings: Vec<(String, SettingValue)>,
    /// The teacher's epochs, if it has any; recall is that of its full-precision vectors.
    pub teacher_epochs: Vec<Epoch>,
    /// Recall at 20 of the full-precision teacher on held-out interactions; absent when there are none.
    pub teacher_recall: Option<f64>,
    /// Recall at 20 on the same interactions of a list of the most popular items, by users among the interactions trained on, which is the same for
    /// everybody but for what each has: what codes have to beat.
    pub popularity_recall: Option<f64>,
    /// Recall at 20 of the codes before distillation, with 1-bit queries.
    pub start_recall: Option<f64>,
    /// The student's epochs.
    pub epochs: Vec<Epoch>,
    /// Recall at 20 of the codes learned without the held-out interactions, with 1-bit queries.
    pub recall: Option<f64>,
    /// Whether the codes published were then learned anew, with the same settings, from all interactions.
    pub refit: bool,
}

impl TrainReport {
    /// Of a training that goes on from another with its settings, on `trained_edges` interactions, to codes of layers of these widths.
    pub(crate) fn kept(widths: &[u32], trained_edges: u64, settings: &[(String, SettingValue)]) -> TrainReport {
        TrainReport {
            teacher: "implicit ALS".to_owned(),
            student: "discrete coordinate descent".to_owned(),
            widths: widths.to_vec(),
            trained_edges,
            settings: settings.to_vec(),
            ..TrainReport::default()
        }
    }
}

/// One epoch of a student, or of a teacher trained by gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss over the epoch.
    pub loss: f64,
    /// Recall at 20 on held-out interactions after it, of a student with 1-bit queries; absent where it was not measured.
    pub recall: Option<f64>,
}
