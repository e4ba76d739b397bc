//! Puts load on the server: it makes a shop, serves it, and asks for lists while touches, changes of stock and compactions go on.
//!
//! `cargo run --release -p kithdb-example-web --bin load -- [SECONDS] [CLIENTS]`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kithdb::{Attributes, Compaction, Db, Policy, Preset, TrainOptions};
use kithdb_example_web::router;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const USERS: u64 = 2_000;
const ITEMS: u64 = 1_000;
const AISLES: u64 = 20;

/// A number that depends on its argument alone.
fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// An item somebody may touch: mostly of the two aisles they like.
fn touched(user: u64, n: u64) -> u64 {
    let x = mix(user << 32 | n);
    let aisle = if x.is_multiple_of(8) { x >> 8 } else { user + (x >> 3 & 1) * 7 } % AISLES;
    aisle + AISLES * ((x >> 40) % (ITEMS / AISLES))
}

fn shop(db: &Db) -> kithdb::Result<()> {
    let touches = (0..USERS).flat_map(|user| (0..25).map(move |n| (user, touched(user, n))));
    db.insert_many(touches.map(|(user, item)| (format!("user-{user}"), format!("item-{item}"))))?;
    db.set_items((0..ITEMS).map(|item| {
        let attributes = Attributes::titled(format!("Item {item}"))
            .set("category", format!("aisle {}", item % AISLES))
            .set("price", (mix(item) % 10_000) as f64 / 100.0)
            .set("in_stock", !item.is_multiple_of(5));
        (format!("item-{item}"), attributes)
    }))?;
    db.train(TrainOptions::new(Preset::Fast))?.wait().map(drop)
}

/// A connection that asks one thing after another.
struct Client(BufReader<TcpStream>);

impl Client {
    /// The status of a request's answer.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<u16> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(request.as_bytes()).await?;
        let (mut line, mut length, mut status) = (String::new(), 0, None);
        loop {
            line.clear();
            self.0.read_line(&mut line).await?;
            let text = line.trim_end();
            if status.is_none() {
                status = Some(text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0));
            } else if let Some((_, value)) =
                text.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap_or(0);
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(status.unwrap_or(0))
    }
}

/// How long requests of a kind took, in microseconds, and how many failed.
#[derive(Default)]
struct Tally {
    times: Mutex<Vec<u64>>,
    failures: AtomicU64,
}

impl Tally {
    fn text(&self) -> String {
        let mut times = self.times.lock().map(|times| times.clone()).unwrap_or_default();
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |&time| time as f64 / 1e3);
        let failures = self.failures.load(Ordering::Relaxed);
        format!("{} requests, {failures} failures, p50 {:.2} ms, p99 {:.2} ms", times.len(), at(0.5), at(0.99))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let seconds = arguments.next().transpose()?.unwrap_or(60);
    let clients = arguments.next().transpose()?.unwrap_or(4);
    let path = std::env::temp_dir().join(format!("kithdb-example-web-{}.kith", std::process::id()));
    let policy = Policy::default().minor_changes(500).minor_share(0.01).pause(Duration::from_secs(5));
    let db = Db::options().policy(policy).open(&path)?;
    let served = db.clone();
    tokio::task::spawn_blocking(move || shop(&served)).await??;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&stop);
    let server = tokio::spawn(
        axum::serve(listener, router(db.clone()))
            .with_graceful_shutdown(async move { told.notified().await })
            .into_future(),
    );

    let kinds = ["lists of users", "lists of guests", "touches", "changes of stock"];
    let tallies: Arc<[Tally; 4]> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for client in 0..clients {
        let (tallies, over) = (Arc::clone(&tallies), Arc::clone(&over));
        tasks.push(tokio::spawn(async move {
            let mut connection = Client(BufReader::new(TcpStream::connect(address).await?));
            for n in (client..).step_by(clients as usize) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let x = mix(n);
                let (user, item) = (x % (USERS + 50), touched(x % USERS, n + 1000));
                let (kind, method, path, body) = match x >> 32 & 15 {
                    0..=7 => (
                        0,
                        "GET",
                        format!("/users/user-{user}/recommendations?k=20&filter=price%20%3C%2080"),
                        String::new(),
                    ),
                    8..=10 => (
                        1,
                        "GET",
                        format!("/recommendations?k=20&items=item-{item},item-{}", (item + AISLES) % ITEMS),
                        String::new(),
                    ),
                    11..=14 => {
                        (2, "POST", "/touches".to_owned(), format!(r#"{{"user":"user-{user}","item":"item-{item}"}}"#))
                    }
                    _ => (3, "PUT", format!("/items/item-{item}"), format!(r#"{{"in_stock":{}}}"#, x >> 40 & 3 != 0)),
                };
                let start = Instant::now();
                let status = connection.ask(method, &path, &body).await?;
                let took = start.elapsed().as_micros() as u64;
                let tally = &tallies[kind];
                if let Ok(mut times) = tally.times.lock() {
                    times.push(took);
                }
                if status != 200 {
                    tally.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<(), std::io::Error>(())
        }));
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    stop.notify_one();
    server.await??;
    for (kind, tally) in kinds.iter().zip(tallies.iter()) {
        println!("{kind}: {}", tally.text());
    }
    let jobs = db.jobs()?;
    let of = |kind: &str| jobs.iter().filter(|job| job.kind == kind).count();
    println!("compactions begun by the database: {} minor, {} major", of("minor"), of("major"));
    match db.compact(Compaction::Minor)?.wait() {
        Ok(_) | Err(kithdb::Error::NothingNew { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    println!("verified: {}", if db.verify()?.is_sound() { "sound" } else { "damage" });
    tokio::task::spawn_blocking(move || db.close()).await??;
    std::fs::remove_dir_all(&path)?;
    Ok(())
}
