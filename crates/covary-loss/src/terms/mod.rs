//! The terms: a file and a line each. Every kind that recipes may name is in the list below, in the order that `covary list` shows.

mod algebra;
mod determinant;
mod directions;
mod moving_average;
mod normal_quantile;
mod over_views;

use crate::term::TermEntry;

/// Makes the modules of the terms and [`TERMS`].
macro_rules! terms {
    ($($file:ident: $($term:ident),+;)*) => {
        $(mod $file;)*

        /// Every kind of term.
        pub const TERMS: &[TermEntry] = &[$($(TermEntry::of::<$file::$term>()),+),*];
    };
}

terms! {
    invariance: Invariance;
    smooth_l1: SmoothL1;
    cosine: Cosine;
    variance: Variance;
    variance_squared: VarianceSquared;
    variance_log: VarianceLog;
    sliced_wasserstein: SlicedWasserstein;
    centre: Centre;
    covariance: Covariance;
    running_covariance: RunningCovariance;
    log_det: LogDet;
    coding_rate: CodingRate;
    contrast: Contrast;
    cross_correlation: Diagonal, OffDiagonal;
    uniformity: Uniformity;
    sigreg: SigReg;
    nt_xent: NtXent;
}
