//! The answer of a study in a sentence or two.

use crate::analysis::{Analysis, Direction};
use crate::statistics::Rate;
use crate::{ArmSummary, MarginMap, Study};

/// Variants that are named one by one.
const FEW: usize = 4;

pub(crate) fn answer(analysis: &Analysis, study: &Study) -> String {
    let ended = analysis.arms.iter().any(|arm| arm.lost.n > 0);
    if !ended {
        return "No run has ended yet.".into();
    }
    if !analysis.margins.is_empty() {
        return of_margins(&analysis.margins);
    }
    let Some(effects) = analysis.effects.first() else {
        return String::new();
    };
    let score = effects.score.name();
    let group = |direction: Direction| -> Vec<Member> {
        let of = effects.variants.iter();
        of.filter(|effect| effect.direction == direction)
            .map(|effect| Member {
                name: quoted(&effect.name),
                lost: analysis.arms[effect.arm].lost,
                points: effect.pooled.map(|pooled| 100.0 * pooled.difference.value),
            })
            .collect()
    };
    let base = quoted(&study.design.plan.base.name);
    let lost = analysis.arms[0].lost;
    if lost.k > 0 {
        return format!(
            "{base} itself lost {} of {} runs to collapse or divergence, so there is nothing to compare variants with.",
            lost.k, lost.n
        );
    }
    if study.design.plan.seeds.len() < 2 {
        return of_one_seed(analysis);
    }
    let mut parts = Vec::new();
    for (direction, words) in [
        (Direction::Lost, "lost to collapse or divergence:"),
        (Direction::Lower, &*format!("lower {score}, in points:")),
        (Direction::Higher, &*format!("higher {score}, in points:")),
        (
            Direction::Unresolved,
            "no difference that this study could see:",
        ),
    ] {
        let members = group(direction);
        if !members.is_empty() {
            parts.push(format!("{words} {}", in_words(&members)));
        }
    }
    let incomplete = group(Direction::Incomplete).len();
    if incomplete > 0 {
        parts.push(format!("not yet known: {incomplete}"));
    }
    let mut text = if parts.is_empty() {
        "The factorials below are the answer".to_owned()
    } else {
        format!("Against {base}, {}", parts.join("; "))
    };
    text.push('.');
    if let Some(sight) = sight(analysis) {
        text.push(' ');
        text.push_str(&sight);
    }
    text
}

/// A variant among those that did alike.
struct Member {
    name: String,
    lost: Rate,
    /// Difference to the base, where no run was lost.
    points: Option<f64>,
}

/// Each member where they are few, else how many and how far they go.
fn in_words(members: &[Member]) -> String {
    let told = |member: &Member| {
        let Rate { k, n, .. } = member.lost;
        member.points.map_or_else(
            || format!("{} ({k} of {n} runs)", member.name),
            |points| format!("{} ({points:+.1})", member.name),
        )
    };
    if members.len() <= FEW {
        return members.iter().map(told).collect::<Vec<_>>().join(", ");
    }
    let count = members.len();
    let sized = members
        .iter()
        .filter_map(|member| Some((member.points?.abs(), member)));
    let mut sized: Vec<_> = sized.collect();
    sized.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let [(_, least), .., (_, most)] = sized[..] {
        return format!("{count} variants, from {} to {}", told(least), told(most));
    }
    let all = members
        .iter()
        .filter(|member| member.lost.k == member.lost.n);
    format!("{count} variants, {} of them in every run", all.count())
}

/// A name that could be taken for two, in quotes.
fn quoted(name: &str) -> String {
    if name.contains(',') {
        format!("“{name}”")
    } else {
        name.to_owned()
    }
}

/// Which arm is highest; one seed carries no interval.
fn of_one_seed(analysis: &Analysis) -> String {
    let score = analysis.score;
    let of = |arm: &ArmSummary| arm.spread(score).map(|spread| spread.mean);
    let scored = analysis
        .arms
        .iter()
        .filter_map(|arm| Some((&arm.name, of(arm)?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map_or_else(
        || "No run ended with a score and was not lost.".into(),
        |(name, mean)| {
            let percent = 100.0 * mean;
            format!(
                "Highest {}: {name}, {percent:.1} %. One seed gives no interval.",
                score.name()
            )
        },
    )
}

/// What the study could see, in a sentence.
pub(crate) fn sight(analysis: &Analysis) -> Option<String> {
    let effects = analysis.effects.first()?;
    let seeds = effects.model.as_ref()?.seeds;
    let row = effects.power.iter().find(|row| row.seeds == seeds)?;
    Some(format!(
        "With {seeds} seeds you can see differences above {:.1} points (power 80 %, level 5 %, one comparison).",
        100.0 * row.detectable
    ))
}

/// Lost runs at the technique's own learning rate and weights, where the map holds them and runs ended.
fn own(map: &MarginMap) -> Option<Rate> {
    let place = |factors: &[f64]| factors.iter().position(|f| (f - 1.0).abs() < 1e-9);
    let lost = map.cells[place(&map.weight)?][place(&map.lr)?].lost;
    (lost.n > 0).then_some(lost)
}

/// What each technique survives; those that survive the same, together.
fn of_margins(maps: &[MarginMap]) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for map in maps {
        let (words, name) = (survived(map), quoted(&map.technique));
        match groups.iter_mut().find(|(other, _)| *other == words) {
            Some((_, names)) => names.push(name),
            None => groups.push((words, vec![name])),
        }
    }
    let sentences = groups
        .iter()
        .map(|(words, names)| format!("{words}: {}.", names.join(", ")));
    sentences.collect::<Vec<_>>().join(" ")
}

fn survived(map: &MarginMap) -> String {
    let most = map.lr.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let lr = match map.lr_margin {
        None => own(map).map_or_else(
            || "Not known at their own settings".to_owned(),
            |lost| format!("Lost {} of {} runs at own settings", lost.k, lost.n),
        ),
        Some(factor) if factor >= most => {
            format!("No run lost at any learning rate tried (up to x {factor})")
        }
        Some(factor) => format!("No run lost at learning rates up to x {factor}"),
    };
    let weight = match map.weight_margin {
        Some(0.0) => ", nor at x 1 without the regulariser".to_owned(),
        Some(factor) if factor >= 1.0 => ", not so at smaller weights".to_owned(),
        Some(factor) => format!(", nor at x 1 with weights down to x {factor}"),
        None => String::new(),
    };
    format!("{lr}{weight}")
}
