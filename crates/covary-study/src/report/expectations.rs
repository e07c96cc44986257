//! What the plan expected, and what came out.

use maud::{Markup, html};

use crate::Analysis;

pub(super) fn section(analysis: &Analysis) -> Markup {
    html! {
        p.caption {
            "Differences of " (analysis.score.name()) " in the additive model of all arms that lost no run; p adjusted by Holm over these expectations. \
             Unresolved: the study cannot tell."
        }
        div.scroll {
            table {
                thead { tr { th { "left" } th.words { "right" } th { "expected" } th { "outcome" } th.words { "why" } th.words { "from" } } }
                tbody {
                    @for contrast in &analysis.contrasts {
                        tr {
                            td { (contrast.left) }
                            td.words { (contrast.right.as_deref().unwrap_or("–")) }
                            td { (contrast.expect) }
                            td class=(contrast.verdict.name()) { strong { (contrast.verdict.name()) } }
                            td.words { (contrast.reason) }
                            td.words { (contrast.source) }
                        }
                    }
                }
            }
        }
    }
}
