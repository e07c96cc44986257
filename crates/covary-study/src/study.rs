//! A study as its folder has it: the design, and the record of every run that was begun.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Arm, Design, Record, RunState, StudyError, StudyFolder};

/// A study, read.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its folder.
    pub folder: StudyFolder,
    /// What was planned.
    pub design: Design,
    records: BTreeMap<String, Record>,
    states: BTreeMap<String, RunState>,
}

impl Study {
    /// Reads the folder of a study.
    ///
    /// # Errors
    /// A folder without a study, a plan or files of a run that cannot be understood.
    pub fn open(path: &Path) -> Result<Self, StudyError> {
        let folder = StudyFolder::open(path)?;
        let design = Design::new(folder.read_plan()?)?;
        let (mut records, mut states) = (BTreeMap::new(), BTreeMap::new());
        for (_, run) in design.runs() {
            let state = Record::state_in(&folder, &run.key)?;
            if let Some(mut record) = Record::read_in(&folder, &run.key)? {
                record.state = state;
                records.insert(run.key.clone(), record);
            }
            states.insert(run.key.clone(), state);
        }
        Ok(Self {
            folder,
            design,
            records,
            states,
        })
    }

    /// What a run left; none where it was not begun.
    pub fn record(&self, key: &str) -> Option<&Record> {
        self.records.get(key)
    }

    /// The records of an arm's runs that were begun.
    pub fn records_of<'a>(&'a self, arm: &'a Arm) -> impl Iterator<Item = &'a Record> {
        arm.runs.iter().filter_map(|run| self.record(&run.key))
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// What became of a run.
    pub fn state(&self, key: &str) -> RunState {
        self.states.get(key).copied().unwrap_or(RunState::Missing)
    }
}
