//! Serves a database over HTTP until it is told to stop.
//!
//! `cargo run --release -p kithdb-example-web -- shop.kith 127.0.0.1:8080`

use std::path::PathBuf;

use kithdb_example_web::{open, router};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().ok_or("usage: kithdb-example-web DB [ADDRESS]")?);
    let address = arguments.next().map_or(Ok("127.0.0.1:8080".to_owned()), std::ffi::OsString::into_string);
    let address = address.map_err(|address| format!("{} is no address", address.display()))?;
    // Opening reads and checks everything: not on a thread that others wait for.
    let db = tokio::task::spawn_blocking(move || open(&path)).await??;
    let listener = TcpListener::bind(&address).await?;
    println!("serving on http://{}", listener.local_addr()?);
    axum::serve(listener, router(db.clone())).with_graceful_shutdown(told_to_stop()).await?;
    // All requests are answered. What was acknowledged is on the disk; closing tells whether anything else went wrong.
    tokio::task::spawn_blocking(move || db.close()).await??;
    println!("closed");
    Ok(())
}

/// Waits for an interrupt, or for what service managers send.
async fn told_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(interrupt.await),
    }
}
