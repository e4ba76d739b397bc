//! The admin program of kithdb.

fn main() -> std::process::ExitCode {
    kithdb_tools::run()
}
