//! The terms: a file and a line each.

mod algebra;
mod contrast;
mod cosine;
mod covariance;
mod cross_correlation;
mod invariance;
mod nt_xent;
mod variance;

use super::term::{TermEntry, build};

/// Every kind of term.
pub const TERMS: &[TermEntry] = &[
    TermEntry {
        kind: "invariance",
        summary: "mean squared difference of two views",
        build: build::<invariance::Invariance>,
    },
    TermEntry {
        kind: "variance",
        summary: "hinge that keeps the standard deviation of each dimension above gamma",
        build: build::<variance::Variance>,
    },
    TermEntry {
        kind: "covariance",
        summary: "squared covariances between dimensions",
        build: build::<covariance::Covariance>,
    },
    TermEntry {
        kind: "cosine",
        summary: "negative cosine similarity of two views",
        build: build::<cosine::Cosine>,
    },
    TermEntry {
        kind: "contrast",
        summary: "TiCo's contrast with the running second moment of the embeddings",
        build: build::<contrast::Contrast>,
    },
    TermEntry {
        kind: "diagonal",
        summary: "Barlow Twins: correlation of each dimension with itself across views, to 1",
        build: build::<cross_correlation::Diagonal>,
    },
    TermEntry {
        kind: "off-diagonal",
        summary: "Barlow Twins: correlations between dimensions across views, to 0",
        build: build::<cross_correlation::OffDiagonal>,
    },
    TermEntry {
        kind: "nt-xent",
        summary: "SimCLR's contrastive cross-entropy",
        build: build::<nt_xent::NtXent>,
    },
];
