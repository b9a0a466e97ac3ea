//! What somebody probably meant by a name that does not exist.

/// The `most` candidates nearest to `wanted`, best first: those that contain it or are contained in it, then those a few typing errors
/// away. Empty when nothing is near.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let key = simplify(wanted);
    // A third of the letters wrong is still the same word; more is another one.
    let limit = (key.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = simplify(candidate);
            let distance = edits(&key, &other);
            let contained = key.len() >= 2 && !other.is_empty() && (other.contains(&key) || key.contains(&other));
            match (contained, distance) {
                (_, d) if d <= limit => Some((d, candidate)),
                // Behind the typing errors: how much is missing says how far off it is.
                (true, d) => Some((limit + d, candidate)),
                (false, _) => None,
            }
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    found.dedup_by(|a, b| a.1 == b.1);
    found.into_iter().take(most).map(|(_, name)| name).collect()
}

fn simplify(text: &str) -> String {
    // Names come from people and files alike; past this length nothing is a near miss of a real one.
    text.chars().take(96).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_found() {
        let known = ["A10", "A10G", "A100-80GB", "RTX-3090", "RTX-4090", "L40S"];
        assert_eq!(nearest("A100-80G", known, 1), ["A100-80GB"]);
        assert_eq!(nearest("rtx 3909", known, 2)[0], "RTX-3090");
        assert_eq!(nearest("a10 0", known, 3)[..2], ["A10", "A10G"]);
        assert_eq!(nearest("MI300X", known, 3), Vec::<&str>::new());
        assert_eq!(nearest("", known, 3), Vec::<&str>::new());
    }

    #[test]
    fn distance_counts_single_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }
}
