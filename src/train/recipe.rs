//! Settings chosen from the graph itself.

use super::options::{Preset, TrainOptions};
use super::student::Listwise;
use super::teacher::ImplicitAls;
use crate::graph::Bipartite;

/// The models of a preset, with settings for one graph.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) teacher: ImplicitAls,
    pub(crate) student: Listwise,
}

impl Recipe {
    /// Looks at size and density. The share of pairs that are observed decides how much the unobserved ones weigh: on
    /// validation the best weight was near half its square root, over three sets from 0.08 % to 4 %.
    pub(crate) fn new(options: &TrainOptions, graph: &Bipartite) -> Recipe {
        let pairs = (graph.n_users() as f64 * graph.n_items() as f64).max(1.0);
        let density = graph.n_edges() as f64 / pairs;
        let fast = options.preset == Preset::Fast;
        let nodes = graph.n_users().min(graph.n_items());
        let factors = match (fast, density > 0.01) {
            (true, true) => 64,
            (true, false) | (false, true) => 128,
            (false, false) => 256,
        };
        // More factors than the smaller side has structure for only memorise it.
        let factors = factors.min((nodes / 4).next_multiple_of(8).max(8)).min(options.bits as usize);
        let teacher = ImplicitAls {
            factors,
            sweeps: if fast { 8 } else { 12 },
            steps: 3,
            unobserved: (0.5 * density.sqrt()) as f32,
            regularisation: 0.008,
            exponent: 1.0,
        };
        let student = Listwise {
            epochs: if fast { 2 } else { 12 },
            batch: 256,
            list: 4096,
            positives: 64,
            distil: 0.9,
            temperature: 0.1,
            rate: 0.01,
            user_rate: 0.05,
            scale_rate: 0.01,
        };
        Recipe { teacher, student }
    }

    /// The settings by name, for the report.
    pub(crate) fn settings(&self) -> Vec<(String, f64)> {
        let (t, s) = (&self.teacher, &self.student);
        [
            ("teacher.factors", t.factors as f64),
            ("teacher.sweeps", t.sweeps as f64),
            ("teacher.unobserved", f64::from(t.unobserved)),
            ("teacher.regularisation", f64::from(t.regularisation)),
            ("student.epochs", s.epochs as f64),
            ("student.batch", s.batch as f64),
            ("student.list", s.list as f64),
            ("student.positives", s.positives as f64),
            ("student.distil", f64::from(s.distil)),
            ("student.temperature", f64::from(s.temperature)),
            ("student.rate", f64::from(s.rate)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
