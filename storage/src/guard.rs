//! The wall around the embedded engine: its panics become errors, silently.
//!
//! sled 0.34 panics on most kinds of damaged files. Every call into it runs inside [`guarded`], which catches the unwinding and keeps
//! the message for the error instead of the standard error stream.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;
use std::sync::Once;

use crate::error::{Error, RESTORE, Result, is_full};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Prefix of the names of the engine's own writer threads, whose panics never reach a caller's stack.
pub(crate) const ENGINE_THREADS: &str = "sled-io-";

/// Runs one call into the engine. A panic, a corruption report, or an end of file where bytes should be is [`Error::Corrupt`].
pub(crate) fn guarded<T>(path: &Path, action: &'static str, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    install_hook();
    // A visitor may call back into storage: the flag is restored, not cleared.
    let outer = INSIDE.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    INSIDE.set(outer);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(path, action, error)),
        Err(_) => {
            let message = MESSAGE.take().unwrap_or_else(|| "no message".to_owned());
            Err(Error::corrupt(path, format!("cannot {action}: the storage engine gave up ({message})"), RESTORE))
        }
    }
}

fn translate(path: &Path, action: &'static str, error: sled::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
    match error {
        sled::Error::Io(source) if is_full(source.kind()) => Error::io(action, path, source),
        sled::Error::Io(source) if matches!(source.kind(), UnexpectedEof | InvalidData | InvalidInput | NotFound) => {
            Error::corrupt(path, format!("cannot {action}: {source}"), RESTORE)
        }
        sled::Error::Io(source) => Error::io(action, path, source),
        // `Unsupported` only comes from reading the engine's `conf` file: we never ask for another setting.
        other => Error::corrupt(path, format!("cannot {action}: {other}"), RESTORE),
    }
}

/// Adds, once a process, a panic hook that keeps quiet about panics inside [`guarded`] and passes all others on to the hook that was
/// there before.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.get() {
                MESSAGE.set(Some(describe(info)));
            } else if !std::thread::current().name().is_some_and(|name| name.starts_with(ENGINE_THREADS)) {
                previous(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned());
    // The engine prints whole pages into some of its assertions: the first line says which one it was.
    let first = text.lines().next().unwrap_or_default();
    let short: String = first.chars().take(160).collect();
    match info.location() {
        Some(location) => {
            let file = location.file().rsplit(['/', '\\']).next().unwrap_or_default();
            format!("{short}, {file}:{}", location.line())
        }
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_keeps_its_message() {
        let error = guarded::<()>(Path::new("x"), "look", || panic!("page {} is gone\nsecond line", 7)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Corrupt { .. }));
        assert!(text.contains("page 7 is gone") && !text.contains("second line"), "{text}");
        assert!(!INSIDE.get());
    }

    #[test]
    fn a_full_disk_is_told_from_damage() {
        let full = || Err::<(), _>(sled::Error::Io(std::io::ErrorKind::StorageFull.into()));
        assert!(matches!(guarded(Path::new("x"), "write", full), Err(Error::DiskFull { .. })));
        let short = || Err::<(), _>(sled::Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
        assert!(matches!(guarded(Path::new("x"), "read", short), Err(Error::Corrupt { .. })));
    }
}
