//! Statistics against other programs; analyses, reports and forecasts of studies whose truth is known because it was made up.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod analyses;
mod made_up;
mod plans;
mod references;
mod reports;
