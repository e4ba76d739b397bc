//! Durable storage of kithdb: the interaction log and generations of named parts, fenced over sled.

mod error;

pub use error::Error;
