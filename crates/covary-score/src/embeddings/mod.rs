//! Embeddings as the probes and metrics read them: a row-major `[n, d]` slice of f32, checked once.

mod error;
mod file;
mod product;

pub use error::EmbeddingError;
pub use file::{Matrix, MatrixError};
pub use product::{add_product, gram_moments, product};

/// Embeddings `[n, d]`, row-major, every value finite.
#[derive(Clone, Copy, Debug)]
pub struct Embeddings<'a> {
    values: &'a [f32],
    dimension: usize,
}

impl<'a> Embeddings<'a> {
    /// Views `values` as rows of `dimension` numbers.
    ///
    /// # Errors
    /// [`EmbeddingError::Shape`] if the length is not a multiple of `dimension` (or that is 0),
    /// [`EmbeddingError::TooFewRows`] below two rows, [`EmbeddingError::NonFinite`] naming the first
    /// row that holds a NaN or an infinity.
    pub fn try_new(values: &'a [f32], dimension: usize) -> Result<Self, EmbeddingError> {
        if dimension == 0 || !values.len().is_multiple_of(dimension) {
            return Err(EmbeddingError::Shape {
                length: values.len(),
                dimension,
            });
        }
        let rows = values.len() / dimension;
        if rows < 2 {
            return Err(EmbeddingError::TooFewRows { rows, needed: 2 });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(EmbeddingError::NonFinite {
                row: at / dimension,
                column: at % dimension,
                value: values[at],
            }),
            None => Ok(Self { values, dimension }),
        }
    }

    /// Number of rows n.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// Width d of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// All values, row after row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// One row, `[d]`.
    ///
    /// # Panics
    /// If `row` is not below [`Self::rows`].
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.dimension..][..self.dimension]
    }

    /// The first `rows` rows, all of them if there are fewer.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        let end = rows
            .max(2)
            .saturating_mul(self.dimension)
            .min(self.values.len());
        Self {
            values: &self.values[..end],
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_reported_with_its_row_and_column() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, f32::NAN];
        let error = Embeddings::try_new(&values, 2).unwrap_err();
        assert!(
            matches!(
                error,
                EmbeddingError::NonFinite {
                    row: 2,
                    column: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn ragged_and_single_rows_are_refused() {
        assert!(matches!(
            Embeddings::try_new(&[0.0; 5], 2),
            Err(EmbeddingError::Shape { .. })
        ));
        assert!(matches!(
            Embeddings::try_new(&[], 0),
            Err(EmbeddingError::Shape { .. })
        ));
        assert!(matches!(
            Embeddings::try_new(&[0.0; 2], 2),
            Err(EmbeddingError::TooFewRows { rows: 1, needed: 2 })
        ));
    }
}
