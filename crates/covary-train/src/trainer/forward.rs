//! All views of a batch through the networks.
//!
//! Each group of views goes through the encoder by itself, as groups differ in size. Behind the encoder all views are rows of one width:
//! they go through projector and predictor together, where BatchNorm sees one view at a time all the same. The momentum target sees views
//! of the first group alone.

use std::ops::Range;

use covary_data::ViewBatch;
use covary_loss::{BranchOutputs, Branches, Needs};

use super::Model;

/// What the networks gave for a batch.
pub(super) struct Forward {
    /// Images.
    n: usize,
    /// Representations of the online views, `[online views * n, width]`.
    pub(super) h: Vec<f32>,
    /// Groups with an online view, and the numbers of `h` that are theirs, in order.
    pub(super) h_of_groups: Vec<(usize, usize)>,
    /// Embeddings of the online views.
    z: Vec<f32>,
    /// Predictions of the online views, where there is a predictor.
    p: Option<Vec<f32>>,
    /// Target embeddings, by view.
    target: Vec<Option<Vec<f32>>>,
}

impl Forward {
    /// Takes the views that `needs` names through the networks.
    pub(super) fn pass(model: &mut Model, groups: &[ViewBatch], needs: &Needs) -> Self {
        let first = &groups[0];
        let n = first.values.len() / (first.views * first.size * first.size * 3);
        let (mut h, mut h_of_groups, mut before) = (Vec::new(), Vec::new(), 0);
        for (index, group) in groups.iter().enumerate() {
            let online = online_views(needs, before, group.views);
            before += group.views;
            if online.is_empty() {
                continue;
            }
            let images = images(group, online.clone());
            let found = model
                .encoder
                .forward_group(index, group.size, images, online.len());
            h_of_groups.push((index, found.len()));
            if h.is_empty() {
                h = found;
            } else {
                h.extend(found);
            }
        }
        let online = (0..before).filter(|view| needs.online(*view)).count();
        let z = model.projector.forward(&h, online);
        let predictor = model.predictor.as_mut();
        let p = predictor.map(|predictor| predictor.forward(&z, online));
        let target = (0..before).map(|view| {
            let target = model.target.as_mut().filter(|_| needs.target[view])?;
            let image = images(first, view..view + 1);
            let h = target.encoder.forward_untracked_sized(first.size, image, 1);
            Some(target.projector.forward_untracked(&h, 1))
        });
        let target = target.collect();
        Self {
            n,
            h,
            h_of_groups,
            z,
            p,
            target,
        }
    }

    /// The outputs as the loss takes them, of embeddings of width `d`.
    pub(super) fn outputs(&self, needs: &Needs, d: usize) -> BranchOutputs<'_> {
        BranchOutputs {
            n: self.n,
            d,
            branches: Branches {
                embedding: self.by_view(&self.z, needs, d),
                prediction: self
                    .p
                    .as_deref()
                    .map_or_else(Vec::new, |p| self.by_view(p, needs, d)),
                target: self.target.iter().map(Option::as_deref).collect(),
            },
        }
    }

    /// The rows of each view that went through the online branch.
    fn by_view<'a>(&self, rows: &'a [f32], needs: &Needs, d: usize) -> Vec<Option<&'a [f32]>> {
        let mut parts = rows.chunks_exact(self.n * d);
        (0..self.target.len())
            .map(|view| needs.online(view).then(|| parts.next()).flatten())
            .collect()
    }
}

/// Which of a group's views go through the online branch; `before` views come before the group.
fn online_views(needs: &Needs, before: usize, count: usize) -> Range<usize> {
    let mut online = (0..count).filter(|view| needs.online(before + view));
    match online.next() {
        None => 0..0,
        Some(first) => first..online.next_back().unwrap_or(first) + 1,
    }
}

/// The images of some of a group's views.
fn images(group: &ViewBatch, views: Range<usize>) -> &[f32] {
    let len = group.values.len() / group.views;
    &group.values[views.start * len..views.end * len]
}
