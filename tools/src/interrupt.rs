//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kithdb::CancelToken;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// The exit status of a run that Ctrl-C ended: 128 and the number of the signal, as shells have it.
pub(crate) const STATUS: u8 = 130;

/// A token that Ctrl-C cancels from now on; a second time it ends the program at once. For what would leave something half written: whatever else is going
/// on ends at once by itself, and loses nothing.
pub(crate) fn token() -> CancelToken {
    let pressed = Arc::new(AtomicBool::new(false));
    // In this order: whoever presses twice has the flag set by then. Where there is no such thing, Ctrl-C ends the program as ever.
    let again = flag::register_conditional_shutdown(SIGINT, STATUS.into(), Arc::clone(&pressed));
    if again.is_ok() {
        let _ = flag::register(SIGINT, Arc::clone(&pressed));
    }
    CancelToken::of(pressed)
}
