//! Kubernetes' library of quantities: amounts as resources have them.

use std::cmp::Ordering;

use tokenward_kube_rules::quantity::Quantity as Amount;

/// An amount, and whether it is a whole number in the form in which it was written.
///
/// Upstream keeps an amount as a number and a power of ten as long as it can; only such a one can be an integer. `1.5Gi` is
/// none though it is a whole number of bytes, and neither is `1000m`. So the form is kept here too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantity {
    amount: Amount,
    form: Option<Form>,
}

/// A number times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    number: i64,
    power: i32,
}

impl Quantity {
    /// Reads what a resource may say.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let amount = Amount::parse(text).ok()?;
        Some(Self { amount, form: Form::of(text) })
    }

    /// A whole number.
    pub(crate) fn of(number: i64) -> Self {
        Self { amount: Amount::of_units(number), form: Some(Form { number, power: 0 }) }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.amount.cmp(&other.amount)
    }

    /// -1, 0 or 1.
    pub(crate) fn sign(&self) -> i64 {
        self.amount.cmp(&Amount::ZERO) as i64
    }

    /// The whole number that it is.
    pub(crate) fn integer(&self) -> Option<i64> {
        let Form { number, power } = self.form?;
        number.checked_mul(10_i64.checked_pow(u32::try_from(power).ok()?)?)
    }

    pub(crate) fn approximate(&self) -> f64 {
        match self.form {
            Some(Form { number, power }) => number as f64 * 10_f64.powi(power),
            None => self.amount.approximate_units(),
        }
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        self.together(other, self.amount.saturating_add(other.amount), i64::checked_add)
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.together(other, self.amount.saturating_sub(other.amount), i64::checked_sub)
    }

    fn together(&self, other: &Self, amount: Amount, reckon: fn(i64, i64) -> Option<i64>) -> Self {
        let form = self.form.zip(other.form).and_then(|(one, other)| {
            let power = one.power.min(other.power);
            Some(Form { number: reckon(one.with(power)?, other.with(power)?)?, power })
        });
        Self { amount, form }
    }
}

impl Form {
    /// The form of a text that is a quantity. What is too long for upstream's short form, or a fraction of a power of two, has
    /// none.
    fn of(text: &str) -> Option<Self> {
        let unsigned = text.trim_start_matches(['+', '-']);
        let end = unsigned.find(|next: char| !next.is_ascii_digit() && next != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = whole.trim_start_matches('0');
        let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix);
        let digits = i64::try_from(whole.len() + fraction.len()).ok()?;
        // Of more digits a number might not hold the sum of two.
        if digits > 18 {
            return None;
        }
        let magnitude = match &*[whole, fraction].concat() {
            "" => 0,
            digits => digits.parse::<i64>().ok()?,
        };
        let (magnitude, power) = match binary {
            Some(_) if !fraction.is_empty() => return None,
            Some(place) => (magnitude.checked_mul(1024_i64.checked_pow(u32::try_from(place + 1).ok()?)?)?, 0),
            None => (magnitude, decimal_power(suffix)?.checked_sub(i32::try_from(fraction.len()).ok()?)?),
        };
        // Upstream keeps what is finer than a billionth otherwise.
        if !(-9..=18).contains(&power) {
            return None;
        }
        let number = if text.starts_with('-') { -magnitude } else { magnitude };
        Some(Self { number, power })
    }

    /// The number at a smaller power of ten.
    fn with(self, power: i32) -> Option<i64> {
        let factor = 10_i64.checked_pow(u32::try_from(self.power - power).ok()?)?;
        self.number.checked_mul(factor)
    }
}

fn decimal_power(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::read(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn integers_are_those_of_upstream_s_short_form() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("50k", Some(50_000)),
            ("1e3", Some(1_000)),
            ("2Mi", Some(2_097_152)),
            ("1.5k", Some(1_500)),
            ("1.5Gi", None),
            ("1.5", None),
            ("1000m", None),
            ("1.0", None),
            ("9999E", None),
            ("9999999999999999999999G", None),
        ] {
            assert_eq!(quantity(text).integer(), wanted, "{text}");
        }
    }

    #[test]
    fn amounts_are_reckoned_with() {
        let (one, half) = (quantity("1"), quantity("500m"));
        assert_eq!(one.add(&half).compare(&quantity("1.5")), Ordering::Equal);
        assert_eq!(half.sub(&one).sign(), -1);
        assert_eq!(quantity("50k").add(&Quantity::of(20)).integer(), Some(50_020));
        assert_eq!(quantity("50k").sub(&quantity("1.5Gi")).integer(), None);
        assert_eq!(quantity("1.5Gi").approximate(), 1_610_612_736.0);
        assert_eq!(quantity("-2.5k").approximate(), -2_500.0);
        for text in ["", "x", "1 Gi", "1KiB", "--1"] {
            assert_eq!(Quantity::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_form_is_the_amount(text in "[+-]?[0-9]{0,20}(\\.[0-9]{0,12})?(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|e[0-9]|E-[0-9])?") {
            if let Some(quantity) = Quantity::read(&text)
                && let Some(integer) = quantity.integer()
            {
                prop_assert_eq!(quantity.compare(&Quantity::of(integer)), Ordering::Equal, "{}", text);
            }
        }

        #[test]
        fn nothing_panics(one in "[-+.0-9a-zA-Z]{0,60}", other in "[-+.0-9eEKMGTPimnu]{0,12}") {
            if let (Some(one), Some(other)) = (Quantity::read(&one), Quantity::read(&other)) {
                let _ = (one.add(&other).integer(), one.sub(&other).approximate(), one.sign());
            }
        }
    }
}
