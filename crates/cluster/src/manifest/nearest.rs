//! The served kinds that a mistyped one may have meant.

use tokenward_kube_schema::Kind;

/// The served kinds near to `wanted`, the nearest first, at most three, as `KIND in GROUP/VERSION`.
pub(super) fn nearest(wanted: &str) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut ranked: Vec<(usize, &Kind)> = tokenward_kube_schema::kinds()
        .iter()
        .filter(|kind| super::can_be_applied(kind))
        .map(|kind| {
            // People write what kubectl accepts, too: plurals and short names.
            let names = [kind.kind, kind.plural].into_iter().chain(kind.short_names.iter().copied());
            let best = names.map(|name| distance(&wanted, &name.to_lowercase())).min().unwrap_or(usize::MAX);
            (best, kind)
        })
        .collect();
    ranked.sort_by_key(|&(distance, kind)| (distance, kind.kind));
    // Beyond a third of the letters a guess only distracts.
    let limit = (wanted.len() / 3).max(1);
    ranked
        .iter()
        .take_while(|&&(distance, _)| distance <= limit)
        .take(3)
        .map(|(_, kind)| format!("{} in {}", kind.kind, kind.api_version()))
        .collect()
}

/// Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_the_letters_to_change() {
        for (left, right, expected) in [
            ("pod", "pod", 0),
            ("pods", "pod", 1),
            ("", "pod", 3),
            ("csidrvier", "csidriver", 2),
            ("a", "b", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }
}
