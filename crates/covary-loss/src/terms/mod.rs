//! The terms: a file and a line each.

mod algebra;
mod centre;
mod coding_rate;
mod contrast;
mod cosine;
mod covariance;
mod cross_correlation;
mod determinant;
mod directions;
mod invariance;
mod log_det;
mod moving_average;
mod normal_quantile;
mod nt_xent;
mod over_views;
mod running_covariance;
mod sigreg;
mod sliced_wasserstein;
mod smooth_l1;
mod uniformity;
mod variance;
mod variance_log;
mod variance_squared;

use crate::term::{TermEntry, build};

/// Every kind of term.
pub const TERMS: &[TermEntry] = &[
    TermEntry {
        kind: "invariance",
        summary: "mean squared difference of two views",
        build: build::<invariance::Invariance>,
    },
    TermEntry {
        kind: "smooth-l1",
        summary: "mean smooth absolute difference of two views",
        build: build::<smooth_l1::SmoothL1>,
    },
    TermEntry {
        kind: "cosine",
        summary: "negative cosine similarity of two views",
        build: build::<cosine::Cosine>,
    },
    TermEntry {
        kind: "variance",
        summary: "hinge that keeps the standard deviation of each dimension above gamma",
        build: build::<variance::Variance>,
    },
    TermEntry {
        kind: "variance-squared",
        summary: "squared distance of each dimension's standard deviation from gamma (VISReg's scale)",
        build: build::<variance_squared::VarianceSquared>,
    },
    TermEntry {
        kind: "variance-log",
        summary: "hinge on the logarithm of each dimension's standard deviation",
        build: build::<variance_log::VarianceLog>,
    },
    TermEntry {
        kind: "sliced-wasserstein",
        summary: "VISReg's shape: distance of standardised random projections from a normal distribution",
        build: build::<sliced_wasserstein::SlicedWasserstein>,
    },
    TermEntry {
        kind: "centre",
        summary: "VISReg's centre: squared mean embedding",
        build: build::<centre::Centre>,
    },
    TermEntry {
        kind: "covariance",
        summary: "squared covariances between dimensions; also absolute, or of correlations",
        build: build::<covariance::Covariance>,
    },
    TermEntry {
        kind: "running-covariance",
        summary: "squared covariances of a moving average over batches",
        build: build::<running_covariance::RunningCovariance>,
    },
    TermEntry {
        kind: "log-det",
        summary: "CorInfoMax: minus the log-determinant of the covariance",
        build: build::<log_det::LogDet>,
    },
    TermEntry {
        kind: "coding-rate",
        summary: "EMP-SSL: minus the coding rate of a view",
        build: build::<coding_rate::CodingRate>,
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
        kind: "uniformity",
        summary: "how evenly normalised embeddings lie on the sphere",
        build: build::<uniformity::Uniformity>,
    },
    TermEntry {
        kind: "sigreg",
        summary: "LeJEPA: distance of random projections from a standard normal distribution",
        build: build::<sigreg::SigReg>,
    },
    TermEntry {
        kind: "nt-xent",
        summary: "SimCLR's contrastive cross-entropy",
        build: build::<nt_xent::NtXent>,
    },
];
