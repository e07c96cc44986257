//! Circles of files: strongly connected components of "a file names something that is defined in another" (Tarjan 1972).
//!
//! A name that `mod.rs` or `lib.rs` hands on by `pub use` counts as defined where it comes from, so a room's door is no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Crate, Source};

type Path = Vec<String>;

/// Each circle in words.
pub(crate) fn circles(of: &Crate) -> Vec<String> {
    let rooms: BTreeMap<&[String], usize> = of
        .files
        .iter()
        .enumerate()
        .map(|(index, file)| (file.module.as_slice(), index))
        .collect();
    let house = House {
        files: &of.files,
        rooms,
        doors: of.files.iter().map(doors).collect(),
    };
    let arrows: Vec<BTreeSet<usize>> = (0..of.files.len()).map(|file| house.arrows(file)).collect();
    let reach: Vec<BTreeSet<usize>> = (0..arrows.len()).map(|from| reach(&arrows, from)).collect();
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for from in 0..arrows.len() {
        let circle: BTreeSet<usize> = reach[from]
            .iter()
            .copied()
            .filter(|&to| reach[to].contains(&from))
            .collect();
        if circle.len() > 1 && told.insert(circle.clone()) {
            let names = circle
                .iter()
                .map(|&i| of.files[i].path.display().to_string());
            found.push(format!(
                "these files import each other: {}",
                names.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    found
}

struct House<'a> {
    files: &'a [Source],
    rooms: BTreeMap<&'a [String], usize>,
    /// Names that each file hands on, with where they come from.
    doors: Vec<BTreeMap<String, Path>>,
}

impl House<'_> {
    /// Files in which something is defined that this one names.
    fn arrows(&self, file: usize) -> BTreeSet<usize> {
        let own = &self.files[file];
        let mut named = named(own);
        let rooms = named
            .iter()
            .filter(|path| self.rooms.contains_key(path.as_slice()));
        let through: Vec<Path> = rooms.flat_map(|room| named_through(own, room)).collect();
        named.extend(through);
        let found = named.iter().filter_map(|path| self.resolve(path, 0));
        found.filter(|&to| to != file).collect()
    }

    /// The file in which a path below the crate is defined.
    fn resolve(&self, path: &[String], depth: usize) -> Option<usize> {
        let known = (0..=path.len())
            .rev()
            .find(|&n| self.rooms.contains_key(&path[..n]))?;
        let room = self.rooms[&path[..known]];
        let Some(name) = path.get(known) else {
            return Some(room);
        };
        match self.doors[room].get(name) {
            Some(from) if depth < 8 && from != path => self.resolve(from, depth + 1),
            _ => Some(room),
        }
    }
}

/// What a file hands on: name to path below the crate.
fn doors(file: &Source) -> BTreeMap<String, Path> {
    let statements = file.code.split(';').filter_map(|statement| {
        let at = statement.find("pub use ").map(|at| at + 8);
        let at = at.or_else(|| statement.find("pub(crate) use ").map(|at| at + 15));
        let at = at.or_else(|| statement.find("pub(super) use ").map(|at| at + 15));
        Some(&statement[at?..])
    });
    let mut found = BTreeMap::new();
    for statement in statements {
        for path in expand(statement) {
            let path = below_crate(&path, &file.module).unwrap_or_else(|| {
                let mut whole = file.module.clone();
                whole.extend(path.clone());
                whole
            });
            if let Some(name) = path.last() {
                found.insert(name.clone(), path.clone());
            }
        }
    }
    found
}

/// Paths below the crate that a file names, what it hands on left out.
fn named(file: &Source) -> Vec<Path> {
    let mut found = Vec::new();
    let mut rest = file.code.as_str();
    while let Some(at) = ["crate::", "super::", "self::"]
        .iter()
        .filter_map(|start| rest.find(start))
        .min()
    {
        let line = rest[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1);
        let is_door = rest[line..at].contains("pub") && rest[line..at].contains("use ");
        let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let text = &rest[at..];
        let end = end_of_path(text);
        if !is_door && !is_word {
            let paths = expand(&text[..end]);
            found.extend(
                paths
                    .iter()
                    .filter_map(|path| below_crate(path, &file.module)),
            );
        }
        rest = &text[end.max(5)..];
    }
    found
}

/// What a file names through a module that it imports: `winograd::Panel` behind `use super::winograd`.
fn named_through(file: &Source, room: &[String]) -> Vec<Path> {
    let Some(name) = room.last() else {
        return Vec::new();
    };
    let start = format!("{name}::");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let places = file.code.match_indices(&start);
    places
        .filter(|(at, _)| !file.code[..*at].ends_with(is_part))
        .map(|(at, _)| {
            let rest = &file.code[at + start.len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let item = rest[..end.unwrap_or(rest.len())].to_owned();
            room.iter().cloned().chain([item]).collect()
        })
        .collect()
}

/// Where a path, with its groups in braces, ends.
fn end_of_path(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if depth > 0 || previous == ':' => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ if depth > 0 || c.is_alphanumeric() || c == '_' || c == ':' => {}
            _ => return at,
        }
        previous = c;
    }
    text.len()
}

/// The paths of `a::{b, c::{d, e}}`; a name behind `as` is left out.
fn expand(text: &str) -> Vec<Path> {
    let text = text.trim();
    let Some(open) = text.find('{') else {
        let path = text.split(" as ").next().unwrap_or_default();
        return vec![
            path.split("::")
                .map(|part| part.trim().to_owned())
                .collect(),
        ];
    };
    let before: Path = text[..open]
        .trim_end_matches("::")
        .split("::")
        .filter(|part| !part.is_empty())
        .map(|part| part.trim().to_owned())
        .collect();
    let inner = text[open + 1..].trim_end().trim_end_matches('}');
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(|part| expand(part))
        .map(|path| before.iter().cloned().chain(path).collect())
        .collect()
}

/// A path from the crate's root; none where it leads elsewhere.
fn below_crate(path: &[String], module: &[String]) -> Option<Path> {
    let mut base: Path = match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "self" => module.to_vec(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    let mut rest = &path[1..];
    while rest.first().is_some_and(|part| part == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

fn reach(arrows: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        open.extend(arrows[next].iter().copied().filter(|&to| seen.insert(to)));
    }
    seen
}
