//! `covary list`: what there is to name in a recipe.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_loss::TERMS;
use covary_loss::method;
use covary_score::METRICS;
use covary_train::config::{EncoderConfig, RECIPES};
use covary_train::{ENCODERS, Encoder};

use crate::output::line;

/// List recipes, presets, terms, data formats, encoders, augmentations and metrics.
#[derive(Args)]
pub(crate) struct List {}

impl List {
    pub(crate) fn run() -> Result<ExitCode> {
        let first_line = |text: &str| {
            text.lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("# ")
                .to_owned()
        };
        section(
            "recipes",
            RECIPES.iter().map(|(name, text)| (*name, first_line(text))),
        )?;
        section(
            "presets (method = ...)",
            method::presets().map(|(name, about)| (name, about.to_owned())),
        )?;
        section(
            "terms (terms.NAME.kind = ...)",
            TERMS
                .iter()
                .map(|term| (term.kind, term.summary.to_owned())),
        )?;
        section(
            "data formats (data.path = ...)",
            covary_data::FORMATS
                .iter()
                .map(|format| (format.name, format.about.to_owned())),
        )?;
        section(
            "data sets to fetch (covary data fetch ...)",
            covary_data::DOWNLOADS
                .iter()
                .map(|archive| (archive.name, archive.file.to_owned())),
        )?;
        section(
            "encoders (encoder.name = ...), millions of multiply-adds of one forward pass at 32 and 16 pixels",
            ENCODERS.iter().map(|encoder| (encoder.name, cost(encoder))),
        )?;
        section(
            "augmentations (augment.view_a.NAME, augment.view_b.NAME, NAME in [[augment.views]])",
            covary_data::AUGMENTATIONS
                .iter()
                .map(|(name, about)| (*name, (*about).to_owned())),
        )?;
        section(
            "collapse metrics",
            METRICS
                .iter()
                .map(|metric| (metric.name(), metric.summary().to_owned())),
        )?;
        section(
            "instruction sets of this processor (COVARY_ISA=...)",
            covary_train::Isa::available()
                .into_iter()
                .map(|isa| (isa.name(), String::new())),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What an encoder is, and what it costs at three widths.
fn cost(encoder: &Encoder) -> String {
    let of_width = |width: usize| {
        let config = EncoderConfig::named(encoder.name, width);
        let millions = |side| Some(config.multiply_adds([side; 2]).ok()? as f64 / 1e6);
        Some(format!(
            "width {width}: {:.1} and {:.1}",
            millions(32)?,
            millions(16)?
        ))
    };
    let costs: Vec<_> = [16, 32, 64].into_iter().filter_map(of_width).collect();
    format!("{}; {}", encoder.about, costs.join(", "))
}

fn section<'a>(title: &str, entries: impl Iterator<Item = (&'a str, String)>) -> Result<()> {
    line(title)?;
    for (name, about) in entries {
        line(format!("  {name:<34} {about}").trim_end())?;
    }
    line("")
}
