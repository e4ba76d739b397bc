//! A made-up shop: who bought what and when, for the demo and for tests.
//!
//! Nothing here is real, but it is shaped like the real thing: a few things sell far more than most (Zipf), customers come back to a few
//! aisles they like and lean to a style, an evening's purchases are of one kind, and a part of everything is a whim that no model can know.
//! Popularity thus beats chance by far, and knowing the customer beats popularity.

mod catalogue;
mod customer;
mod draw;
mod history;

pub use catalogue::{Catalogue, Item};
pub use history::{Purchase, Shop};
