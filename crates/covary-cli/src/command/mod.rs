//! The subcommands, one a file.

pub(crate) mod bench;
pub(crate) mod data;
pub(crate) mod diagnose;
pub(crate) mod explain;
pub(crate) mod forecast;
pub(crate) mod list;
pub(crate) mod loss;
pub(crate) mod loss_check;
pub(crate) mod pretrain;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod study;
mod study_dry_run;
pub(crate) mod study_tables;
pub(crate) mod summary;

/// The place that the images of a run moved to.
fn moved_data(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some(("data.path", path)) if !path.is_empty() => Ok(path.into()),
        _ => Err("a run that exists takes data.path=PATH alone".into()),
    }
}
