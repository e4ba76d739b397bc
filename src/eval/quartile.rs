use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Recall within a quarter of the users, or of the items, by how many interactions the training data has of them.
///
/// Somebody's quarter is that of the first in ascending order of degree who has as many: equal degrees are in one quarter, and quarters are
/// unequal, or missing, where many are equal. Serializes as a map with keys like `recall@20`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quartile {
    /// The least degree in it.
    pub least_degree: u32,
    /// The largest.
    pub most_degree: u32,
    /// How many users, or items, are in it.
    pub count: u64,
    /// Test interactions of them.
    pub interactions: u64,
    /// Recall at each cut-off, in the order asked for: of users the mean of theirs, of items the share of their test interactions that were
    /// found.
    pub recall: Vec<(usize, f64)>,
}

impl Serialize for Quartile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("least_degree", &self.least_degree)?;
        map.serialize_entry("most_degree", &self.most_degree)?;
        map.serialize_entry("count", &self.count)?;
        map.serialize_entry("interactions", &self.interactions)?;
        for (k, recall) in &self.recall {
            map.serialize_entry(&format!("recall@{k}"), recall)?;
        }
        map.end()
    }
}

/// What became of the test interactions of one user or item.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) degree: u32,
    /// Test interactions.
    pub(super) tests: u64,
    /// How many of them were found, by cut-off.
    pub(super) hits: Vec<u64>,
}

impl Outcome {
    pub(super) fn new(degree: u32, cuts: usize) -> Self {
        Self { degree, tests: 0, hits: vec![0; cuts] }
    }
}

/// The mean of everybody's own recall.
pub(super) fn mean(outcomes: &[Outcome], cut: usize) -> f64 {
    let recalls = outcomes.iter().map(|outcome| outcome.hits[cut] as f64 / outcome.tests.max(1) as f64);
    recalls.sum::<f64>() / outcomes.len() as f64
}

/// The recall of all test interactions together.
pub(super) fn pooled(outcomes: &[Outcome], cut: usize) -> f64 {
    let hits: u64 = outcomes.iter().map(|outcome| outcome.hits[cut]).sum();
    let tests: u64 = outcomes.iter().map(|outcome| outcome.tests).sum();
    hits as f64 / tests.max(1) as f64
}

/// The quarters that are not empty, of ascending degree. Those of equal degree are averaged in the order given.
pub(super) fn quartiles(
    mut outcomes: Vec<Outcome>,
    cuts: &[usize],
    recall: impl Fn(&[Outcome], usize) -> f64,
) -> Vec<Quartile> {
    outcomes.sort_by_key(|outcome| outcome.degree);
    let (n, degrees) = (outcomes.len(), outcomes.iter().map(|outcome| outcome.degree).collect::<Vec<_>>());
    let quarter = |degree: u32| 4 * degrees.partition_point(|&other| other < degree) / n;
    let quarters = outcomes.chunk_by(|a, b| quarter(a.degree) == quarter(b.degree));
    quarters
        .map(|outcomes| Quartile {
            least_degree: outcomes.first().map_or(0, |outcome| outcome.degree),
            most_degree: outcomes.last().map_or(0, |outcome| outcome.degree),
            count: outcomes.len() as u64,
            interactions: outcomes.iter().map(|outcome| outcome.tests).sum(),
            recall: cuts.iter().enumerate().map(|(at, &k)| (k, recall(outcomes, at))).collect(),
        })
        .collect()
}
