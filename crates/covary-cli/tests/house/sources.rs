//! The workspace's source files, without comments and without their test modules.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) manifest: toml::Table,
    pub(crate) files: Vec<Source>,
}

/// A source file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Module path below the crate: empty for the root, else `["trainer", "step"]`.
    pub(crate) module: Vec<String>,
    /// The text without line comments, doc comments and what follows `#[cfg(test)]`.
    pub(crate) code: String,
    pub(crate) lines: usize,
}

pub(crate) fn crates(root: &Path) -> Vec<Crate> {
    let mut folders: Vec<_> = fs::read_dir(root.join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
        .iter()
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .map(|folder| {
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let mut files = Vec::new();
            collect(&folder.join("src"), &mut Vec::new(), &mut files);
            let tests_only = tests_only(&files);
            files.retain(|file| !tests_only.contains(&file.module));
            Crate {
                name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
                manifest: text.parse().unwrap(),
                files,
            }
        })
        .collect()
}

fn collect(folder: &Path, module: &mut Vec<String>, files: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(stem);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut own = module.clone();
            if !["lib", "main", "mod"].contains(&stem.as_str()) {
                own.push(stem);
            }
            files.push(Source {
                module: own,
                lines: text.lines().count(),
                code: code(&text),
                path,
            });
        }
    }
}

/// The text without comments, up to the file's own test module.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines();
    let code = lines.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// Modules that are declared under `#[cfg(test)]`.
fn tests_only(files: &[Source]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for file in files {
        for part in file.code.split("#[cfg(test)]\nmod ").skip(1) {
            let mut module = file.module.clone();
            module.push(part.split(';').next().unwrap_or_default().to_owned());
            found.push(module);
        }
    }
    found
}
