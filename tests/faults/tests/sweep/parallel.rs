//! Rounds at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

const AT_A_TIME: usize = 2;

/// Runs `work` on everything in a list, a few at a time.
pub fn each<T: Sync>(list: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(one) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}
