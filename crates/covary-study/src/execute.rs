//! Trains the runs that are missing, each in a child process of the same program.
//!
//! A child holds the run's lock as its standard input, so that a study that goes on after its parent was killed waits for a child that
//! was not, instead of training the same run twice. A run that fails is written down and the study goes on.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::json;

use crate::folder::write;
use crate::{Design, PlannedRun, Record, RunState, StudyError, StudyFolder};

/// Between two looks at the children.
const PAUSE: Duration = Duration::from_millis(100);
/// Exit code of a child that was asked to stop.
const INTERRUPTED: i32 = 130;
/// Lines of a failed run's talk that are kept.
const LAST_WORDS: usize = 6;

/// How runs are made.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The program, whose `pretrain` is called.
    pub program: PathBuf,
    /// Runs at a time, at least 1.
    pub jobs: usize,
    /// Threads of each.
    pub threads: usize,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A run begins, or goes on.
    Started {
        /// Name of its arm.
        arm: &'a str,
        /// The run.
        run: &'a PlannedRun,
        /// Whether it was begun before.
        resumed: bool,
    },
    /// A process of an earlier call still trains the run.
    Waiting {
        /// Name of its arm.
        arm: &'a str,
        /// The run.
        run: &'a PlannedRun,
    },
    /// A run has ended.
    Ended {
        /// Name of its arm.
        arm: &'a str,
        /// The run.
        run: &'a PlannedRun,
        /// What became of it.
        state: RunState,
        /// Seconds since it was started here.
        seconds: f64,
    },
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every run has ended.
    Finished,
    /// Asked to stop; the runs begun have checkpoints.
    Interrupted,
}

/// A run in the making.
struct Job<'a> {
    arm: &'a str,
    run: &'a PlannedRun,
    /// None while a process of an earlier call holds the lock.
    child: Option<Child>,
    started: Instant,
}

/// Trains what is missing, until done or asked to stop.
///
/// # Errors
/// Files that cannot be read or written, a program that cannot be started.
pub fn execute(
    design: &Design,
    folder: &StudyFolder,
    execution: &Execution,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<Ending, StudyError> {
    let mut waiting = Vec::new();
    for (arm, run) in design.runs() {
        if !Record::state_in(folder, &run.key)?.has_ended() {
            waiting.push((&*design.arms[arm].name, run));
        }
    }
    waiting.reverse();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    let outcome = loop {
        if stop.load(Ordering::Relaxed) {
            break Ok(Ending::Interrupted);
        }
        match advance(folder, execution, &mut waiting, &mut jobs, watch) {
            Ok(()) if jobs.is_empty() && waiting.is_empty() => break Ok(Ending::Finished),
            Ok(()) => std::thread::sleep(PAUSE),
            Err(error) => break Err(error),
        }
    };
    // Whatever is still under way is asked to make its checkpoint.
    for job in &mut jobs {
        if let Some(child) = &mut job.child {
            interrupt(child);
            let _ = child.wait();
        }
    }
    outcome
}

/// Starts what there is room for and collects what has ended.
fn advance<'a>(
    folder: &StudyFolder,
    execution: &Execution,
    waiting: &mut Vec<(&'a str, &'a PlannedRun)>,
    jobs: &mut Vec<Job<'a>>,
    watch: &mut dyn FnMut(Event<'_>),
) -> Result<(), StudyError> {
    while jobs.len() < execution.jobs {
        let Some((arm, run)) = waiting.pop() else {
            break;
        };
        let resumed = folder.run(&run.key).join("config.toml").is_file();
        let child = match start(folder, execution, run)? {
            Start::Ended => continue,
            Start::Held => None,
            Start::Running(child) => Some(child),
        };
        watch(match child {
            None => Event::Waiting { arm, run },
            Some(_) => Event::Started { arm, run, resumed },
        });
        jobs.push(Job {
            arm,
            run,
            child,
            started: Instant::now(),
        });
    }
    let mut index = 0;
    while index < jobs.len() {
        if poll(folder, execution, &mut jobs[index])? {
            let job = jobs.remove(index);
            watch(Event::Ended {
                arm: job.arm,
                run: job.run,
                state: Record::state_in(folder, &job.run.key)?,
                seconds: job.started.elapsed().as_secs_f64(),
            });
        } else {
            index += 1;
        }
    }
    Ok(())
}

/// Whether the run has ended; a run that another process held is taken over once that process is gone.
fn poll(
    folder: &StudyFolder,
    execution: &Execution,
    job: &mut Job<'_>,
) -> Result<bool, StudyError> {
    let Some(child) = &mut job.child else {
        return Ok(match start(folder, execution, job.run)? {
            Start::Ended => true,
            Start::Held => false,
            Start::Running(child) => {
                job.child = Some(child);
                false
            }
        });
    };
    let status = child.try_wait().map_err(|source| StudyError::Read {
        path: execution.program.clone(),
        source,
    })?;
    let Some(status) = status else {
        return Ok(false);
    };
    note_failure(folder, &job.run.key, status)?;
    Ok(true)
}

fn note_failure(folder: &StudyFolder, key: &str, status: ExitStatus) -> Result<(), StudyError> {
    let has_result = folder.run(key).join("result.json").is_file();
    if (status.success() && has_result) || status.code() == Some(INTERRUPTED) {
        return Ok(());
    }
    let talk = fs::read(folder.beside(key, "log")).unwrap_or_default();
    let talk = String::from_utf8_lossy(&talk);
    let lines: Vec<_> = talk
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let message = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
    let failure = json!({
        "code": status.code(),
        "status": status.to_string(),
        "message": message,
    });
    write(&folder.failure(key), format!("{failure:#}\n").as_bytes())
}

/// What came of starting a run.
enum Start {
    /// Another process trains it.
    Held,
    /// It had ended already.
    Ended,
    /// It runs.
    Running(Child),
}

fn start(
    folder: &StudyFolder,
    execution: &Execution,
    run: &PlannedRun,
) -> Result<Start, StudyError> {
    let refused = |path: PathBuf| move |source| StudyError::Write { path, source };
    let lock_path = folder.beside(&run.key, "lock");
    let lock = File::create(&lock_path).map_err(refused(lock_path.clone()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Start::Held),
        Err(TryLockError::Error(source)) => {
            return Err(StudyError::Write {
                path: lock_path,
                source,
            });
        }
    }
    if Record::state_in(folder, &run.key)?.has_ended() {
        return Ok(Start::Ended);
    }
    let failure = folder.failure(&run.key);
    if failure.exists() {
        fs::remove_file(&failure).map_err(refused(failure))?;
    }
    let config = folder.beside(&run.key, "toml");
    write(&config, run.config.to_toml().as_bytes())?;
    let log_path = folder.beside(&run.key, "log");
    let log = File::create(&log_path).map_err(refused(log_path))?;

    let target = folder.run(&run.key);
    let mut command = Command::new(&execution.program);
    command.arg("pretrain");
    if target.join("config.toml").is_file() {
        command.arg("--resume").arg(&target);
    } else {
        command.arg(&config).arg("--out").arg(&target);
    }
    command
        .args(["--json", "--set", &format!("threads={}", execution.threads)])
        .stdin(Stdio::from(lock))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log));
    // Ctrl-C at the terminal reaches the study alone, which passes it on once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|source| StudyError::Read {
        path: execution.program.clone(),
        source,
    })?;
    Ok(Start::Running(child))
}

/// Asks a run to make a checkpoint and stop.
#[cfg(unix)]
fn interrupt(child: &mut Child) {
    if let Some(process) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        // A child that has ended already needs no signal.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
    }
}

/// Ends a run; it goes on from its last checkpoint.
#[cfg(not(unix))]
fn interrupt(child: &mut Child) {
    let _ = child.kill();
}
