//! A shop's recommendations over HTTP: kithdb inside an axum server.
//!
//! What a request needs of the database runs on tokio's blocking threads, since queries take processor time and writes wait for the disk. The handle is
//! cheap to clone; there is one database a process.

mod reply;
mod shop;

pub use shop::open;

use axum::Router;
use axum::routing::{get, post, put};
use kithdb::Db;

/// The server's routes over a database.
pub fn router(db: Db) -> Router {
    Router::new()
        .route("/users/{user}/recommendations", get(shop::for_user))
        .route("/recommendations", get(shop::for_guest))
        .route("/items/{item}/similar", get(shop::similar))
        .route("/items/{item}", put(shop::set_item))
        .route("/touches", post(shop::touch))
        .route("/stats", get(shop::stats))
        .with_state(db)
}
