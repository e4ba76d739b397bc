use super::TopK;

/// A way to find the best k. All give the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// Every code is scored.
    Linear,
    /// Every head is looked at, and the codes whose head may reach the list are scored; of codes of one layer, a piece after another for as long as they may.
    Head,
    /// Nodes are opened best bound first.
    Tree,
    /// Buckets of codes that share a substring with the query are looked up.
    Mih,
    /// The admitted rows alone are scored.
    Allowed,
}

impl EngineKind {
    /// The engines that can be asked for, whatever the filter.
    pub const ALL: [EngineKind; 4] = [EngineKind::Linear, EngineKind::Head, EngineKind::Tree, EngineKind::Mih];

    /// The name it is reported as.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Linear => "linear",
            EngineKind::Head => "head",
            EngineKind::Tree => "tree",
            EngineKind::Mih => "mih",
            EngineKind::Allowed => "allowed",
        }
    }
}

/// How much a search does for its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Effort {
    /// All it takes: the list is that of an exhaustive scan.
    #[default]
    Exact,
    /// At most so many codes are scored, or as many more as it takes to find min(k, rows admitted) rows.
    Budget(u64),
    /// As many codes are scored as found this share of the exact list for sample queries, on average.
    Recall(f32),
}

impl Effort {
    /// What finds a share of the exact list, all of it for 1.
    pub fn of_share(share: f32) -> Self {
        if share == 1.0 { Self::Exact } else { Self::Recall(share) }
    }
}

/// A row and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The row in the codes the index was built from.
    pub row: u32,
    /// Its score.
    pub score: f32,
}

/// What a search touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Nodes whose bound was computed.
    pub nodes: u64,
    /// Buckets that were looked up.
    pub buckets: u64,
    /// Heads, or pieces, whose bound was computed.
    pub heads: u64,
    /// Codes whose full score was computed; of those that were read by pieces, in blocks one of whose items reached the list.
    pub codes: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.buckets += other.buckets;
        self.heads += other.heads;
        self.codes += other.codes;
    }
}

/// What a search found, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// min(k, rows admitted) rows: descending score, ties by ascending rank.
    pub matches: Vec<Match>,
    /// How they were found.
    pub engine: EngineKind,
    /// What was touched on the way.
    pub work: Work,
    /// Whether every row that was not scored has a bound below the last score of the list, so that the list is that of an exhaustive scan. Only
    /// a search that ran out of its budget is not.
    pub exact: bool,
    /// The share of the exact list that such a search finds on average, as far as it is known: 1 where this one is exact.
    pub recall: Option<f32>,
}

impl Found {
    /// The end of an exact search.
    pub(super) fn new(top: TopK, engine: EngineKind, work: Work) -> Self {
        Self::within(top, engine, work, true, None)
    }

    /// The end of a search that was `exact`, or ran out of its budget, when `recall` is what it is expected to have found.
    pub(super) fn within(top: TopK, engine: EngineKind, work: Work, exact: bool, recall: Option<f32>) -> Self {
        let matches = top.into_sorted().into_iter().map(|(row, score)| Match { row, score }).collect();
        Self { matches, engine, work, exact, recall: if exact { Some(1.0) } else { recall } }
    }
}
