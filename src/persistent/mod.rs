//! Containers whose copies are cheap and share what they have in common: a copy is a moment that later changes leave alone.
//!
//! A change copies the nodes between the root and what it changes, where a copy of the container still holds them; nodes nobody else holds
//! are changed in place.

mod counts;
mod pages;
mod tree;

pub(crate) use counts::Counts;
pub(crate) use pages::Pages;
pub(crate) use tree::Tree;
