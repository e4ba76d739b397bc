//! The program under the shim: `kithdb-scripted run SCRIPT DATABASE` works as an application would that goes on after errors and says on
//! its standard output what it asked for and what came of it; `kithdb-scripted look DATABASE` says what a database holds.
//!
//! Before each opening, and after each that was refused, it waits for a line on its standard input, so that whoever judges it can look at
//! the files meanwhile.

mod look;
mod script;
mod session;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name, database] => script::run(name, Path::new(database)),
        ["make", name, database] => script::make(name, Path::new(database)),
        ["look", database] => look::look(Path::new(database)),
        _ => {
            eprintln!("usage: kithdb-scripted run SCRIPT DATABASE | make BASE DATABASE | look DATABASE");
            std::process::exit(2);
        }
    }
}
