//! Queries: from whom or what is asked for to the best items.

mod batch;
mod builder;
mod diversity;
mod explain;
mod fold_in;
mod hits;
mod item_set;
mod popularity;
mod quota;
mod similar_users;
mod subject;
mod vector;

pub use builder::Query;
pub(crate) use builder::check_effort;
pub(crate) use explain::explain;
pub use explain::{Explanation, LayerShare, Pull};
pub(crate) use fold_in::moved;
pub use hits::{Basis, Engine, Hit, Hits};
pub use item_set::ItemSet;
pub(crate) use similar_users::similar_users;
