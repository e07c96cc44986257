//! Pictures of test images with their nearest training images, put into the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use maud::{Markup, html};

use super::Group;
use crate::StudyError;

/// Bytes of pictures that a page takes, so that it stays under 5 MB.
const BUDGET: usize = 1_800_000;

/// The picture of each group's first run that drew one, while there is room; none where no run drew one.
///
/// # Errors
/// A picture that cannot be read.
pub(super) fn pictures(groups: &[Group<'_>]) -> Result<Option<Markup>, StudyError> {
    let (mut shown, mut left_out, mut bytes) = (Vec::new(), Vec::new(), 0);
    for group in groups {
        let Some(path) = group
            .records
            .iter()
            .find_map(|record| record.neighbours.as_ref())
        else {
            continue;
        };
        let picture = fs::read(path).map_err(|source| StudyError::Read {
            path: path.clone(),
            source,
        })?;
        if bytes + picture.len() > BUDGET {
            left_out.push(&*group.name);
            continue;
        }
        bytes += picture.len();
        shown.push((
            &*group.name,
            format!("data:image/png;base64,{}", STANDARD.encode(picture)),
        ));
    }
    if shown.is_empty() {
        return Ok(None);
    }
    Ok(Some(html! {
        p.caption { "A test image on the left, then the training images nearest to it in the representation; of each arm's first run." }
        @if !left_out.is_empty() {
            p.caption { "Left out, to keep this page small: " (left_out.join(", ")) "." }
        }
        div.panels {
            @for (name, uri) in &shown {
                figure.neighbours { figcaption { (name) } img src=(uri) alt=(format!("Nearest neighbours, {name}")); }
            }
        }
    }))
}
