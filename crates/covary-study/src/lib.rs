//! Studies: what each technique does, and how sure that is.
//!
//! A [`Plan`] names a base, single changes, factorials and seeds; a [`Design`] turns it into runs, each valid and each known by the hash of
//! its configuration; [`execute`] trains what is missing, each run in a child process; a [`Record`] reads what a run left in its folder;
//! an [`Analysis`] answers with effects, intervals and the risk of collapse; a [`forecast::Evaluation`] says how early one could have known;
//! [`report`] writes it as one HTML file with its tables as CSV. Nothing here touches a tensor: a report is made from run folders.

mod analysis;
mod analyze;
mod answer;
mod contrast;
mod design;
mod error;
mod execute;
mod folder;
pub mod forecast;
mod key;
mod margin;
mod plan;
mod record;
pub mod report;
mod state;
pub mod statistics;
mod study;
mod summary;

pub use analysis::{Analysis, Direction, Effect, Effects, FactorialResult, PowerRow};
pub use contrast::{ContrastResult, Verdict};
pub use design::{Arm, Design, FactorialArms, PlannedRun, TechniqueMap};
pub use error::StudyError;
pub use execute::{Ending, Event, Execution, execute};
pub use folder::StudyFolder;
pub use key::{key, network_key};
pub use margin::{MarginCell, MarginMap};
pub use plan::{Change, Contrast, Expectation, Factorial, Kind, Plan};
pub use record::{Record, Series, Spectra};
pub use state::{Lost, RunState};
pub use study::Study;
pub use summary::{ArmSummary, RunSummary, Score, Spread};
