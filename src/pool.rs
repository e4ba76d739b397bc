//! Threads of the library's own.
//!
//! rayon's global pool is never used: it belongs to the application, and where its threads cannot be started the process ends. Whoever has
//! much to do in parallel does it inside [`Pool::run`]. Loops that are reached from outside too, as those behind the public constructors are,
//! are [`map`] and [`try_rows`]: they split over the pool that the calling thread belongs to, and run in order where it belongs to none.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Error, Result};

/// Threads that are started together and end with the value.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: rayon::ThreadPool,
}

impl Pool {
    /// Starts `threads` threads, one a processor for 0, named after `name`.
    ///
    /// # Errors
    /// [`Error::Thread`] where one cannot be started; the others have ended then.
    pub(crate) fn start(name: &'static str, threads: usize) -> Result<Self> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(Self::resolve(threads))
            .thread_name(move |thread| format!("kithdb-{name}-{thread}"))
            .build()
            .map(|threads| Self { threads })
            .map_err(|error| Error::Thread { source: std::io::Error::other(error) })
    }

    /// The threads that `threads` stands for: one a processor for 0.
    pub(crate) fn resolve(threads: usize) -> usize {
        match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Runs `job` on one of its threads, where parallel loops split over all of them, and waits for it. The caller holds no lock that a job
    /// may take.
    pub(crate) fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> R {
        self.threads.install(job)
    }
}

/// Runs `job` on the pool the calling thread belongs to, or on one of `threads` threads that is made for the call.
///
/// # Errors
/// [`Error::Thread`].
pub(crate) fn within<R: Send>(threads: usize, job: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    if is_inside() { job() } else { Pool::start("call", threads)?.run(job) }
}

/// Whether the calling thread belongs to a pool.
fn is_inside() -> bool {
    rayon::current_thread_index().is_some()
}

/// What `of` makes of every run of `length` of the numbers below `n`, in their order.
pub(crate) fn map<T: Send>(n: usize, length: usize, of: impl Fn(Range<usize>) -> T + Sync + Send) -> Vec<T> {
    let length = length.max(1);
    let run = |at: usize| of(at * length..n.min((at + 1) * length));
    if is_inside() {
        (0..n.div_ceil(length)).into_par_iter().map(run).collect()
    } else {
        (0..n.div_ceil(length)).map(run).collect()
    }
}

/// Calls `each` with every one of `jobs`.
pub(crate) fn each<T: Send>(jobs: Vec<T>, each: impl Fn(T) + Sync + Send) {
    if is_inside() { jobs.into_par_iter().for_each(each) } else { jobs.into_iter().for_each(each) }
}

/// Calls `each` with the number of every row, its values of `a` and its values of `b`, of which a row has so many; at least `least` rows at
/// a time on one thread.
///
/// # Errors
/// That of `each` for the first row it fails for.
pub(crate) fn try_rows<A: Send, B: Send, E: Send>(
    (a, of_a): (&mut [A], usize),
    (b, of_b): (&mut [B], usize),
    least: usize,
    each: impl Fn(usize, &mut [A], &mut [B]) -> Result<(), E> + Sync + Send,
) -> Result<(), E> {
    if is_inside() {
        let rows = a.par_chunks_exact_mut(of_a).zip(b.par_chunks_exact_mut(of_b)).enumerate();
        let failed = rows.with_min_len(least).filter_map(|(row, (a, b))| Some((row, each(row, a, b).err()?)));
        failed.min_by_key(|(row, _)| *row).map_or(Ok(()), |(_, error)| Err(error))
    } else {
        let mut rows = a.chunks_exact_mut(of_a).zip(b.chunks_exact_mut(of_b)).enumerate();
        rows.try_for_each(|(row, (a, b))| each(row, a, b))
    }
}

/// [`try_rows`] of what cannot fail.
pub(crate) fn rows<A: Send, B: Send>(
    a: (&mut [A], usize),
    b: (&mut [B], usize),
    least: usize,
    each: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
) {
    let done = try_rows(a, b, least, |row, a, b| -> Result<(), std::convert::Infallible> {
        each(row, a, b);
        Ok(())
    });
    match done {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_and_outside_give_the_same() {
        let pool = Pool::start("test", 3).unwrap();
        assert_eq!(pool.threads(), 3);
        for (n, length) in [(0, 4), (1, 4), (1000, 7), (1000, 1), (5, 0)] {
            let outside = map(n, length, |run| run);
            assert_eq!(outside, pool.run(|| map(n, length, |run| run)));
            assert_eq!(outside.into_iter().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
        let fill = || {
            let (mut a, mut b) = (vec![0; 300], vec![0; 200]);
            rows((&mut a, 3), (&mut b, 2), 4, |row, a, b| {
                a.fill(row);
                b.fill(2 * row);
            });
            (a, b)
        };
        let (a, b) = fill();
        assert_eq!((a.clone(), b.clone()), pool.run(fill));
        assert!(a.iter().zip(0..).all(|(&x, at)| x == at / 3) && b.iter().zip(0..).all(|(&x, at)| x == at / 2 * 2));
    }

    #[test]
    fn a_call_inside_a_pool_makes_no_other() {
        let pool = Pool::start("test", 2).unwrap();
        assert_eq!(pool.run(|| within(5, || Ok(rayon::current_num_threads()))).unwrap(), 2);
        assert_eq!(within(5, || Ok(rayon::current_num_threads())).unwrap(), 5);
    }

    #[test]
    fn an_error_of_a_row_comes_back() {
        let mut values = [0u8; 10];
        let fail = |row: usize| if row >= 7 { Err(row) } else { Ok(()) };
        let failing = |values: &mut [u8]| try_rows((values, 1), (&mut [0u8; 10], 1), 1, |row, _, _| fail(row));
        assert_eq!(failing(&mut values), Err(7));
        assert_eq!(Pool::start("test", 2).unwrap().run(|| failing(&mut values)), Err(7));
    }
}
