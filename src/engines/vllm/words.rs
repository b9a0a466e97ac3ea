//! The lines that vLLM prints, from the templates of its era.

use crate::units::Bytes;

/// A value of a template.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// An amount, printed in GiB.
    Amount(Bytes),
    /// A signed amount in GiB.
    Gibibytes(f64),
    /// A count.
    Count(u64),
    /// A ratio.
    Ratio(f64),
}

/// Fills `{name}`, `{name:2}` (decimals) and `{name,}` (separators) of a template; a name without a value stays as it is.
#[must_use]
pub fn fill(template: &str, values: &[(&str, Value)]) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((slot, after)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        match values.iter().find(|(name, _)| *name == slot.split([':', ',']).next().unwrap_or("")) {
            Some((_, value)) => text.push_str(&show(*value, slot)),
            None => text.push_str(&format!("{{{slot}}}")),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn show(value: Value, slot: &str) -> String {
    let number = match value {
        Value::Amount(bytes) => bytes.as_gib(),
        Value::Gibibytes(number) | Value::Ratio(number) => number,
        Value::Count(count) if slot.ends_with(',') => return with_separators(count),
        Value::Count(count) => return count.to_string(),
    };
    match slot.split_once(':').and_then(|(_, decimals)| decimals.parse::<usize>().ok()) {
        Some(decimals) => format!("{number:.decimals$}"),
        None => number.to_string(),
    }
}

/// `1234567` as `1,234,567`.
fn with_separators(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Value, fill};
    use crate::units::Bytes;

    #[test]
    fn templates_are_filled() {
        let values = [("a", Value::Amount(Bytes::gib(3))), ("n", Value::Count(1_234_567)), ("r", Value::Ratio(0.9))];
        assert_eq!(
            fill("{a:2} GiB, {n,} tokens, {n}, {r}x {b}", &values),
            "3.00 GiB, 1,234,567 tokens, 1234567, 0.9x {b}"
        );
        assert_eq!(fill("{n,}", &[("n", Value::Count(999))]), "999");
        assert_eq!(fill("open { and {a", &values), "open { and {a");
    }
}
