//! `covary list`: what there is to name in a recipe.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use covary_loss::TERMS;
use covary_loss::method;
use covary_score::METRICS;
use covary_train::config::RECIPES;

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
        let encoders = [
            ("resnet18", "ResNet-18, 3x3 stem, any width"),
            ("resnet34", "ResNet-34, 3x3 stem, any width"),
        ];
        section(
            "encoders (encoder.name = ...)",
            encoders
                .map(|(name, about)| (name, about.to_owned()))
                .into_iter(),
        )?;
        section(
            "augmentations (augment.view_a.NAME, augment.view_b.NAME)",
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

fn section<'a>(title: &str, entries: impl Iterator<Item = (&'a str, String)>) -> Result<()> {
    line(title)?;
    for (name, about) in entries {
        line(format!("  {name:<34} {about}").trim_end())?;
    }
    line("")
}
