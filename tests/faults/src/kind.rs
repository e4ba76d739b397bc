//! Kinds of calls that can fail.

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Kind {
    Open,
    Read,
    Write,
    Sync,
    Rename,
    Mkdir,
    Unlink,
    Truncate,
    Stat,
    List,
    Thread,
}

impl Kind {
    pub(crate) const ALL: [(Kind, &str); 11] = [
        (Kind::Open, "open"),
        (Kind::Read, "read"),
        (Kind::Write, "write"),
        (Kind::Sync, "sync"),
        (Kind::Rename, "rename"),
        (Kind::Mkdir, "mkdir"),
        (Kind::Unlink, "unlink"),
        (Kind::Truncate, "truncate"),
        (Kind::Stat, "stat"),
        (Kind::List, "list"),
        (Kind::Thread, "thread"),
    ];

    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().find(|(_, known)| *known == name).map(|&(kind, _)| kind)
    }
}
