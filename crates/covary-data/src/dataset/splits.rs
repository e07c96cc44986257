//! Both splits of a data set, with labels that mean the same in both.
//!
//! Classes are told apart by name: label k of the test set is the class that the training set calls k, in whatever order the test files
//! list the classes. A labeled data set without a usable test set is split: of each class, the share `test_share` (rounded, and never
//! all of it) becomes the test set. Which images these are follows from the number of images of each class alone, not from a seed.

use std::collections::HashMap;
use std::path::Path;

use super::{Dataset, Image, ReadOptions, Split, open};
use crate::DataError;
use crate::rng::{Purpose, permutation};

/// A training set and, where there is one, a test set.
#[derive(Debug, Clone)]
pub struct Splits {
    /// Images to learn from.
    pub train: Dataset,
    /// Images to score on, with the classes of `train`.
    pub test: Option<Dataset>,
    /// Whole sentences about what was understood, passed over or left out.
    pub notes: Vec<String>,
}

impl Splits {
    /// Opens both splits of the data at `path`; where there is no test set, the share `test_share` (0 to below 1) of the labeled training
    /// images becomes one.
    ///
    /// # Errors
    /// As [`open`]; [`DataError::UnknownTestClass`].
    pub fn open(path: &Path, options: &ReadOptions, test_share: f64) -> Result<Self, DataError> {
        let train = open(path, Split::Train, options)?;
        let test = match open(path, Split::Test, options) {
            Err(DataError::MissingSplit { .. }) => None,
            opened => Some(opened?),
        };
        let mut splits = Self {
            notes: Vec::new(),
            train,
            test: None,
        };
        splits.note("training", |splits| Some(&splits.train));
        if let Some(test) = test {
            splits.test = Some(test);
            splits.note("test", |splits| splits.test.as_ref());
            splits.match_classes(path)?;
        }
        if splits.test.is_none() {
            splits.hold_out(test_share);
        }
        Ok(splits)
    }

    /// Keeps what a data set says about itself.
    fn note(&mut self, name: &str, of: impl Fn(&Self) -> Option<&Dataset>) {
        let Some(dataset) = of(self) else { return };
        let mut notes = dataset.notes.clone();
        if !dataset.passed_over.is_empty() {
            notes.push(format!(
                "passed over among the {name} images: {}",
                dataset.passed_over
            ));
        }
        if let Some(first) = dataset.skipped.first() {
            notes.push(format!(
                "left out {} corrupt {name} images, the first is {}: {}",
                dataset.skipped.len(),
                first.location,
                first.reason
            ));
        }
        self.notes.append(&mut notes);
    }

    /// Gives the test images the labels of the training set's classes; drops a test set whose labels cannot be used.
    fn match_classes(&mut self, path: &Path) -> Result<(), DataError> {
        let Some(mut test) = self.test.take() else {
            return Ok(());
        };
        let path = path.display();
        if self.train.labels.is_none() {
            if test.labels.is_some() {
                self.notes.push(format!(
                    "the training images in {path} have no labels, so the labels of the test images cannot be used"
                ));
            }
            return Ok(());
        }
        let Some(labels) = test.labels.as_mut() else {
            self.notes.push(format!(
                "the test images in {path} have no labels and are not used"
            ));
            return Ok(());
        };
        let names = self.train.class_names.iter().map(String::as_str);
        let places: HashMap<&str, u32> = names.zip(0..).collect();
        let matched: Vec<Option<u32>> = test
            .class_names
            .iter()
            .map(|name| places.get(name.as_str()).copied())
            .collect();
        if let ([None], [name]) = (matched.as_slice(), test.class_names.as_slice()) {
            self.notes.push(format!(
                "the test images in {path} lie in one folder, {name}, which is no class, and are not used"
            ));
            return Ok(());
        }
        for label in labels.iter_mut() {
            let class = *label as usize;
            *label = matched[class].ok_or_else(|| DataError::UnknownTestClass {
                class: test.class_names[class].clone(),
                location: test.origins.get(class).unwrap_or(&test.name).clone(),
            })?;
        }
        if let Some(note) = untrained(labels, &self.train) {
            self.notes.push(note);
        }
        test.class_names.clone_from(&self.train.class_names);
        self.test = Some(test);
        Ok(())
    }

    /// Makes a test set of some of the labeled training images.
    fn hold_out(&mut self, share: f64) {
        let Some(labels) = self.train.labels.as_deref().filter(|_| share > 0.0) else {
            return;
        };
        let mut members: Vec<Vec<u32>> = vec![Vec::new(); self.train.class_names.len()];
        for position in permutation(labels.len(), 0, 0, Purpose::TestShare) {
            members[labels[position as usize] as usize].push(position);
        }
        if members.iter().filter(|class| !class.is_empty()).count() < 2 {
            self.notes
                .push("all images have the same label: there is nothing to score".to_owned());
            return;
        }
        let mut is_test = vec![false; labels.len()];
        for positions in members {
            let count = (positions.len() as f64 * share).round() as usize;
            let count = count.min(positions.len().saturating_sub(1));
            for &position in &positions[..count] {
                is_test[position as usize] = true;
            }
        }
        let held = is_test.iter().filter(|&&is_test| is_test).count();
        if held == 0 {
            self.notes.push(format!(
                "there is no usable test set, and {} images are too few to hold some out",
                labels.len()
            ));
            return;
        }
        self.notes.push(format!(
            "there is no usable test set: {held} of {} labeled images are held out as one (data.test_share = {share})",
            labels.len()
        ));
        self.test = Some(self.train.split_off(&is_test));
    }
}

/// What to say about classes of the test labels that no training image has.
fn untrained(labels: &[u32], train: &Dataset) -> Option<String> {
    let mut is_there = vec![false; train.class_names.len()];
    let known = train.labels.as_deref().unwrap_or_default();
    known
        .iter()
        .for_each(|&label| is_there[label as usize] = true);
    let mut missing: Vec<u32> = labels.to_vec();
    missing.sort_unstable();
    missing.dedup();
    missing.retain(|&label| !is_there[label as usize]);
    let first = *missing.first()?;
    Some(format!(
        "{} classes of the test set have no training images, the first is {}",
        missing.len(),
        train.class_names[first as usize]
    ))
}

impl Dataset {
    /// Moves the images that are marked into a data set of their own; the order of both stays.
    fn split_off(&mut self, is_moved: &[bool]) -> Self {
        let mut moved = Self::named(self.name.clone());
        let (mut kept, mut end) = (0, 0);
        for (index, &is_moved) in is_moved.iter().enumerate() {
            let size = self.sizes[index];
            let start = self.offsets[index];
            let length = size.height * size.width * 3;
            if is_moved {
                moved.push(Image {
                    height: size.height,
                    width: size.width,
                    pixels: &self.pixels[start..start + length],
                });
            } else {
                self.pixels.copy_within(start..start + length, end);
                (self.sizes[kept], self.offsets[kept]) = (size, end);
                (kept, end) = (kept + 1, end + length);
            }
        }
        self.sizes.truncate(kept);
        self.offsets.truncate(kept);
        self.pixels.truncate(end);
        if let Some(labels) = self.labels.take() {
            let part = |wanted: bool| {
                let marked = labels.iter().zip(is_moved);
                marked
                    .filter(|&(_, &is_moved)| is_moved == wanted)
                    .map(|(&label, _)| label)
                    .collect()
            };
            moved.labels = Some(part(true));
            self.labels = Some(part(false));
        }
        moved.class_names.clone_from(&self.class_names);
        moved
    }
}
