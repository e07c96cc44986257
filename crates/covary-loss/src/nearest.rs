//! The known name that is most like a word that is not known, for hints (Jaro-Winkler similarity, Winkler 1990).

/// Similarity above which two names are alike.
const ALIKE: f64 = 0.75;

/// The candidate most like `word`, if any is alike.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
