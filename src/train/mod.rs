//! Training: a teacher learns vectors of full precision from the graph, a student turns them into layered codes.

mod adam;
mod context;
mod holdout;
mod layers;
mod monitor;
mod random;
mod rotation;
mod student;
mod teacher;
mod validation;

pub use monitor::Monitor;

#[cfg(test)]
mod tests {
    use super::context::Context;
    use super::holdout::Holdout;
    use super::monitor::Monitor;
    use super::validation::Validation;
    use crate::graph::Bipartite;
    use crate::kernel::dense::Isa;

    /// A context over a whole graph, with nothing held out.
    pub(super) fn context<'a>(graph: &'a Bipartite, monitor: &'a dyn Monitor) -> Context<'a> {
        let validation = Box::leak(Box::new(Validation::new(&Holdout::none(graph), 0)));
        Context { graph, validation, isa: Isa::chosen().unwrap(), seed: 1, monitor }
    }
}
