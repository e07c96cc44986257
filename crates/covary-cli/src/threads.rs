//! The pool of threads that a command computes on.

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::output::say;

/// More threads than this many times the cores gain nothing and cost memory each.
const TIMES_CORES: usize = 4;

/// A pool of so many threads, 0 for as many as there are cores; a number out of all proportion is lowered, and said.
///
/// # Errors
/// A system that refuses to start them.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = TIMES_CORES * cores;
    if threads > most {
        say(&format!(
            "threads = {threads} is out of proportion to the {cores} cores of this machine: {most} are used"
        ));
    }
    ThreadPoolBuilder::new()
        .num_threads(threads.min(most))
        .build()
        .context("starting the threads")
}
