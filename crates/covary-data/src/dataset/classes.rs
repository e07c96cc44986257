//! Class numbers and names of a split to compact labels 0, 1, 2, ... with the classes' names.
//!
//! Where a file names its classes, the numbers are places in that list, and the classes keep its order. Otherwise numbers are sorted by
//! size and names by letter, and a class is called as it stands in the file. A split whose labels are all missing, or all -1 as
//! withheld labels of test sets are, has none.

use std::collections::HashMap;

use crate::DataError;

/// A label as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Label {
    /// A class number.
    Number(i64),
    /// A class name.
    Name(String),
}

/// The classes seen so far.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// Place of each label in `seen`.
    places: HashMap<Label, u32>,
    /// Each label with where it was found first.
    seen: Vec<(Label, String)>,
    /// Of each image the place of its label.
    labels: Vec<u32>,
    /// Names of the present file's numbered classes, empty if it has none.
    names: Vec<String>,
    /// Names in the order of the files' lists.
    listed: Vec<String>,
    /// Whether the files name numbered classes; unknown before the first.
    is_named: Option<bool>,
    /// Where a label is missing, or is the number for none.
    unlabeled: Option<(String, Option<i64>)>,
}

/// Labels of a whole split.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) of_images: Vec<u32>,
    pub(super) names: Vec<String>,
    /// Where each class was found first, empty for a class without images.
    pub(super) origins: Vec<String>,
}

impl Classes {
    /// Begins a file whose numbered classes are called `names`, empty if it does not say.
    pub(super) fn begin(&mut self, names: &[String]) {
        self.names = names.to_vec();
        for name in names {
            if !self.listed.contains(name) {
                self.listed.push(name.clone());
            }
        }
    }

    /// Notes the label of the next image of the file.
    ///
    /// # Errors
    /// A number outside the list of names; a file with names among files without.
    pub(super) fn add(
        &mut self,
        label: Option<&Label>,
        location: impl Fn() -> String,
    ) -> Result<(), DataError> {
        let label = match label {
            None => {
                self.unlabeled.get_or_insert_with(|| (location(), None));
                return Ok(());
            }
            Some(Label::Number(-1)) => {
                self.unlabeled.get_or_insert_with(|| (location(), Some(-1)));
                return Ok(());
            }
            Some(Label::Number(number)) if !self.names.is_empty() => {
                let name = usize::try_from(*number)
                    .ok()
                    .and_then(|n| self.names.get(n));
                let name = name.ok_or_else(|| DataError::LabelOutOfRange {
                    location: location(),
                    label: *number,
                    classes: self.names.len(),
                })?;
                &Label::Name(name.clone())
            }
            Some(label) => label,
        };
        if *self.is_named.get_or_insert(!self.names.is_empty()) == self.names.is_empty() {
            return Err(DataError::MixedNames {
                location: location(),
            });
        }
        let next = self.seen.len() as u32;
        let place = *self.places.entry(label.clone()).or_insert(next);
        if place == next {
            self.seen.push((label.clone(), location()));
        }
        self.labels.push(place);
        Ok(())
    }

    /// The labels; `None` if no image has one.
    ///
    /// # Errors
    /// Some images have labels and others none.
    pub(super) fn finish(self) -> Result<Option<Labels>, DataError> {
        if self.labels.is_empty() {
            return Ok(None);
        }
        match self.unlabeled {
            Some((location, None)) => return Err(DataError::MissingLabel { location }),
            Some((location, Some(label))) => {
                return Err(DataError::LabelOutOfRange {
                    location,
                    label,
                    classes: self.listed.len().max(self.seen.len()),
                });
            }
            None => {}
        }
        let mut classes: Vec<(Label, String)> = if self.listed.is_empty() {
            self.seen.clone()
        } else {
            let found = |name: &String| {
                let place = self.places.get(&Label::Name(name.clone()));
                place.map_or_else(String::new, |&place| self.seen[place as usize].1.clone())
            };
            let listed = self.listed.iter();
            listed
                .map(|name| (Label::Name(name.clone()), found(name)))
                .collect()
        };
        if self.listed.is_empty() {
            classes.sort();
        }
        let mut order = vec![0; self.seen.len()];
        for (class, (label, _)) in (0..).zip(&classes) {
            if let Some(&place) = self.places.get(label) {
                order[place as usize] = class;
            }
        }
        let name = |label: Label| match label {
            Label::Number(number) => number.to_string(),
            Label::Name(name) => name,
        };
        let labels = self.labels.iter().map(|&place| order[place as usize]);
        let of_images = labels.collect();
        let (names, origins) = classes
            .into_iter()
            .map(|(label, origin)| (name(label), origin))
            .unzip();
        Ok(Some(Labels {
            of_images,
            names,
            origins,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &[i64], names: &[&str]) -> Result<Option<Labels>, DataError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut classes = Classes::default();
        classes.begin(&names);
        for (row, &number) in list.iter().enumerate() {
            classes.add(Some(&Label::Number(number)), || row.to_string())?;
        }
        classes.finish()
    }

    #[test]
    fn far_numbers_become_near_and_keep_their_names() {
        let labels = numbers(&[20_000_000, 0, 20_000_000], &[]).unwrap().unwrap();
        assert_eq!(labels.of_images, [1, 0, 1]);
        assert_eq!(labels.names, ["0", "20000000"]);
        assert_eq!(labels.origins, ["1", "0"]);
    }

    #[test]
    fn a_listed_class_without_images_keeps_its_place() {
        let labels = numbers(&[2, 0], &["ant", "bee", "cat"]).unwrap().unwrap();
        assert_eq!(labels.of_images, [2, 0]);
        assert_eq!(labels.names, ["ant", "bee", "cat"]);
        assert_eq!(labels.origins, ["1", "", "0"]);
    }

    #[test]
    fn minus_one_throughout_is_no_label_and_among_others_an_error() {
        assert_eq!(numbers(&[-1, -1], &["ant"]).unwrap(), None);
        assert!(numbers(&[0, -1], &["ant"]).is_err());
    }
}
