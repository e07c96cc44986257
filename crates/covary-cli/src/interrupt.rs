//! Ctrl-C and SIGTERM, seen in every part of every command: exit code 130, nothing half-written.
//!
//! While steps are taken, the first signal sets a flag: the step is finished and a checkpoint made. In any other part nothing is lost by
//! ending at once, as files appear whole or not at all. A second signal ends the process wherever it is.

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::INTERRUPTED;
use crate::output::say;

static STOP: AtomicBool = AtomicBool::new(false);
static FINISHES_BY_ITSELF: AtomicBool = AtomicBool::new(false);
static ADVICE: Mutex<String> = Mutex::new(String::new());

/// Listens from here on.
///
/// # Errors
/// A system that refuses to tell of signals.
pub(crate) fn listen() -> Result<()> {
    report_full_files().context("listening for files over the limit")?;
    ctrlc::set_handler(|| {
        let is_first = !STOP.swap(true, Ordering::SeqCst);
        if !(is_first && FINISHES_BY_ITSELF.load(Ordering::SeqCst)) {
            end();
        }
    })
    .context("listening for Ctrl-C")
}

/// Set once the program was asked to stop.
pub(crate) fn stop() -> &'static AtomicBool {
    &STOP
}

/// Says whether the part of the program that begins looks at [`stop`] itself. One that does not is ended at once, also by a signal that
/// came before.
pub(crate) fn finishes_by_itself(answer: bool) {
    FINISHES_BY_ITSELF.store(answer, Ordering::SeqCst);
    if !answer && STOP.load(Ordering::SeqCst) {
        end();
    }
}

/// What is said where the process ends at once: how to go on.
pub(crate) fn advise(text: String) {
    *ADVICE.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

#[expect(
    clippy::exit,
    reason = "an interrupt ends the process wherever its threads are"
)]
fn end() {
    // A thread that talks at this moment may hold the advice; it is then not said.
    let advice = ADVICE.try_lock().map(|text| text.clone());
    match advice {
        Ok(text) if !text.is_empty() => say(&format!("\nstopped; {text}")),
        _ => say("\nstopped"),
    }
    exit(INTERRUPTED.into());
}

/// Has writes over the limit of a file's size fail (EFBIG) instead of ending the process.
#[cfg(unix)]
fn report_full_files() -> std::io::Result<()> {
    let seen = std::sync::Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen).map(drop)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
fn report_full_files() -> std::io::Result<()> {
    Ok(())
}
