//! Maps of where each technique is lost, over learning rate and weight of its regulariser.

use maud::{Markup, html};

use super::page::{percent, shade};
use crate::{MarginCell, MarginMap};

pub(super) fn section(maps: &[MarginMap]) -> Markup {
    html! {
        p.caption {
            "A cell holds lost runs of those that ended, in brackets how many lost the embedding z and the representation h, and below it the mean linear accuracy in % (of runs that were not scored, kNN accuracy on held-out training images); the redder, the more were lost. \
             Columns are factors of the technique's own learning rate, rows factors of its regulariser's weights."
        }
        div.panels { @for map in maps { (table(map)) } }
    }
}

fn table(map: &MarginMap) -> Markup {
    let regulariser = if map.regulariser.is_empty() {
        "no regulariser to weaken".to_owned()
    } else {
        format!("regulariser: {}", map.regulariser.join(", "))
    };
    html! {
        figure {
            figcaption { (map.technique) }
            div.caption { (regulariser) }
            div.scroll {
                table.map {
                    thead { tr { th {} @for factor in &map.lr { th { "lr × " (factor) } } } }
                    tbody {
                        @for (factor, row) in map.weight.iter().zip(&map.cells) {
                            tr { th { "× " (factor) } @for cell in row { (one(cell)) } }
                        }
                    }
                }
            }
        }
    }
}

fn one(cell: &MarginCell) -> Markup {
    let title = format!("{} diverged", cell.diverged);
    html! {
        td style=(shade(cell.lost)) title=(title) {
            @if cell.lost.n == 0 { "–" } @else {
                (cell.lost.k) "/" (cell.lost.n) " (" (cell.embedding_lost) ", " (cell.representation_lost) ")"
            }
            small { @if let Some(accuracy) = cell.accuracy { (percent(accuracy)) } @else { "–" } }
        }
    }
}
