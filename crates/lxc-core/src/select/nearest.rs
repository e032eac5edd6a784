//! The container a misspelt name may have meant.
//!
//! Pure, apart from listing the directory.

use std::path::Path;

/// The name in `lxcpath` that is closest to `typed`, if one is close enough to suggest.
pub fn nearest(typed: &str, lxcpath: &Path) -> Option<String> {
    let names = super::all(lxcpath).ok()?;
    closest(typed, &names).map(str::to_owned)
}

/// At most a third of the letters (two at least) may differ; a difference of case counts nothing.
fn closest<'a>(typed: &str, names: &'a [String]) -> Option<&'a str> {
    let limit = (typed.chars().count() / 3).max(1);
    let scored = names.iter().map(|name| (distance(&typed.to_lowercase(), &name.to_lowercase()), name));
    let (best, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (best <= limit && typed != name.as_str()).then_some(name.as_str())
}

/// Number of letters to insert, delete, replace, or swap with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (index, a) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for (at, b) in right.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let replace = get(&row, at) + usize::from(a != *b);
            let mut best = replace.min(get(&row, at + 1) + 1).min(get(&next, at) + 1);
            let swapped = at > 0 && last == Some(*b) && right.get(at - 1) == Some(&a);
            if swapped {
                best = best.min(get(&before, at - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(a);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits_and_swaps() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_close_names_are_suggested() {
        let names = ["web1".to_owned(), "database".to_owned()];
        assert_eq!(closest("wbe1", &names), Some("web1"));
        assert_eq!(closest("Web1", &names), Some("web1"));
        assert_eq!(closest("databsae", &names), Some("database"));
        assert_eq!(closest("mail", &names), None);
        assert_eq!(closest("web1", &names), None, "an exact name needs no suggestion");
        assert_eq!(closest("x", &[]), None);
    }
}
