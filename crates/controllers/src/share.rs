//! A number, or a share of all in percent.

use serde::Deserialize;

/// What an API object says of how many.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Share {
    Number(i64),
    Percent(String),
}

impl Share {
    /// How many of `total`; a share is rounded up.
    pub(crate) fn of(&self, total: usize) -> usize {
        match self {
            Self::Number(number) => usize::try_from(*number).unwrap_or(0),
            Self::Percent(text) => {
                let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
                percent.map_or(0, |percent: usize| total.saturating_mul(percent).div_ceil(100))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_are_rounded_up() {
        for (share, total, wanted) in [
            (json!(3), 10, 3),
            (json!("25%"), 10, 3),
            (json!("25%"), 4, 1),
            (json!("1%"), 1000, 10),
            (json!("0%"), 10, 0),
            (json!("100%"), 7, 7),
            (json!(-1), 10, 0),
            (json!("some"), 10, 0),
        ] {
            let read: Share = serde_json::from_value(share.clone()).unwrap();
            assert_eq!(read.of(total), wanted, "{share} of {total}");
        }
    }
}
