//! The gradient at the embeddings: that of the loss and that which comes back through the predictor.

use covary_loss::{BranchOutputs, OutputGradients};

/// The gradient of the online embeddings, `[views * n, d]`: the loss's own and what comes back through the predictor.
pub(super) fn embedding_gradient(
    gradients: &OutputGradients,
    outputs: &BranchOutputs<'_>,
    predictor: &mut dyn FnMut(&[f32]) -> Option<Vec<f32>>,
) -> Vec<f32> {
    let of = &outputs.branches;
    let mut dz = join_views(&gradients.embedding, &of.embedding);
    if of.prediction.iter().any(Option::is_some)
        && let Some(through) = predictor(&join_views(&gradients.prediction, &of.prediction))
    {
        dz.iter_mut()
            .zip(through)
            .for_each(|(sum, part)| *sum += part);
    }
    dz
}

/// The gradients of the views that went through the network, one after the other; zero where the loss has none.
fn join_views(gradients: &[Option<Vec<f32>>], views: &[Option<&[f32]>]) -> Vec<f32> {
    let mut joined = Vec::with_capacity(views.iter().flatten().map(|view| view.len()).sum());
    for (gradient, view) in gradients.iter().zip(views) {
        match (gradient, view) {
            (Some(gradient), Some(_)) => joined.extend_from_slice(gradient),
            (None, Some(view)) => joined.resize(joined.len() + view.len(), 0.0),
            (_, None) => {}
        }
    }
    joined
}
