//! The admin program of kithdb.
fn main() {}
