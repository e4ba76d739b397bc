//! Spans for whoever traces an application with the crate `tracing`, behind the feature of that name. Without it they are nothing, and cost nothing.

pub(crate) use here::{Entered, Phases, span};

#[cfg(feature = "tracing")]
mod here {
    use parking_lot::Mutex;
    use tracing::Span;
    pub(crate) use tracing::span::EnteredSpan as Entered;

    /// Enters a span on this thread, from `let _span = span!(INFO, "open", path = %path)` to the end of the block.
    macro_rules! span {
        ($level:ident, $($rest:tt)*) => {
            tracing::span!(target: "kithdb", tracing::Level::$level, $($rest)*).entered()
        };
    }
    pub(crate) use span;

    /// The phases of a job. Their work is on threads of pools, so that each is a child of the job's span by name, and open until the next begins.
    pub(crate) struct Phases {
        job: Span,
        now: Mutex<Span>,
    }

    impl Phases {
        /// Of the job whose span it is.
        pub(crate) fn of(job: &Entered) -> Self {
            Self { job: (**job).clone(), now: Mutex::new(Span::none()) }
        }

        /// Ends the phase before and begins another.
        pub(crate) fn begin(&self, name: &str) {
            let mut now = self.now.lock();
            // The one before is closed first.
            *now = Span::none();
            *now = tracing::info_span!(target: "kithdb", parent: &self.job, "phase", name);
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod here {
    /// Nothing: spans are opened with the feature `tracing`.
    macro_rules! span {
        ($level:ident, $($rest:tt)*) => {
            $crate::span::Entered
        };
    }
    pub(crate) use span;

    /// What stands for a span.
    pub(crate) struct Entered;

    /// Nothing: phases are traced with the feature `tracing`.
    pub(crate) struct Phases;

    impl Phases {
        pub(crate) fn of(_: &Entered) -> Self {
            Self
        }

        pub(crate) fn begin(&self, _: &str) {}
    }
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use crate::{Db, Preset, TrainOptions};

    thread_local! {
        /// The spans this thread is in.
        static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }

    /// Keeps each span with its fields, after its parent's, and which were closed.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Spans>>);

    #[derive(Default)]
    struct Spans {
        names: BTreeMap<u64, String>,
        closed: Vec<String>,
    }

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0 += &format!(" {field}={value:?}");
        }
    }

    impl Subscriber for Seen {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "kithdb"
        }

        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut fields = Fields(span.metadata().name().to_owned());
            span.record(&mut fields);
            let entered = || ENTERED.with_borrow(|entered| entered.last().copied()).filter(|_| span.is_contextual());
            let mut seen = self.0.lock();
            let parent = span.parent().map(Id::into_u64).or_else(entered).and_then(|parent| seen.names.get(&parent));
            let name = parent.map_or(fields.0.clone(), |parent| format!("{parent} > {}", fields.0));
            let id = seen.names.len() as u64 + 1;
            seen.names.insert(id, name);
            Id::from_u64(id)
        }

        fn enter(&self, id: &Id) {
            ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
        }

        fn exit(&self, _: &Id) {
            ENTERED.with_borrow_mut(|entered| entered.truncate(entered.len().saturating_sub(1)));
        }

        fn try_close(&self, id: Id) -> bool {
            let mut seen = self.0.lock();
            let name = seen.names.get(&id.into_u64()).cloned();
            seen.closed.extend(name);
            true
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
    }

    #[test]
    fn what_takes_time_is_in_spans_that_close() {
        let seen = Seen::default();
        // Of the process, since a database has threads of its own.
        tracing::subscriber::set_global_default(seen.clone()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("traced.kith");
        let db = Db::open(&path).unwrap();
        db.insert_many((0..600u32).map(|at| (at / 10, at % 17 + at / 300))).unwrap();
        db.train(TrainOptions::new(Preset::Fast)).unwrap().wait().unwrap();
        db.nearest(3u32, 13).unwrap();
        db.close().unwrap();
        let closed = seen.0.lock().closed.clone();
        let one = |of: &dyn Fn(&str) -> bool| closed.iter().any(|name| of(name));
        for whole in [format!("open path={}", path.display()), "insert_many".into(), "query k=13".into()] {
            assert!(one(&|name| name == whole), "{whole}: {closed:#?}");
        }
        assert!(one(&|name| name.starts_with("commit operations=")), "{closed:#?}");
        for part in ["publish", "phase name=\"fold\"", "phase name=\"index\"", "phase name=\"manifest\""] {
            let within = format!(" > {part}");
            assert!(
                one(&|name| name.starts_with("job kind=\"train\"") && name.ends_with(&within)),
                "{part}: {closed:#?}"
            );
        }
    }
}
