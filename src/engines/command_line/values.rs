//! Values of flags, read as Python's argparse types of the engines read them.

use serde_json::Value;

/// A whole number: `8`, `-1`, `8_192`. `None` for anything else.
#[must_use]
pub fn integer(text: &str) -> Option<i64> {
    plain_digits(text)?.parse().ok()
}

/// Python's `int` takes single underscores between digits and blanks around them.
fn plain_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let separated = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    (separated && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_')).then(|| text.replace('_', ""))
}

/// A number of things with an optional suffix: `8192`, `8k` = 8,000, `8K` = 8,192, `25.6k` = 25,600; fractions only with the decimal
/// suffixes. vLLM `utils/argparse_utils.py: human_readable_int`.
#[must_use]
pub fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, factor, decimal): (&str, u64, bool) = match text.char_indices().next_back() {
        Some((at, suffix)) if suffix.is_ascii_alphabetic() => {
            let number = &text[..at];
            if !number.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            match suffix {
                'k' => (number, 1_000, true),
                'm' => (number, 1_000_000, true),
                'g' => (number, 1_000_000_000, true),
                't' => (number, 1_000_000_000_000, true),
                'K' => (number, 1 << 10, false),
                'M' => (number, 1 << 20, false),
                'G' => (number, 1 << 30, false),
                'T' => (number, 1 << 40, false),
                _ => return None,
            }
        }
        _ => return integer(text).and_then(|n| u64::try_from(n).ok()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let (whole, fraction) = number.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !(decimal && digits(whole) && digits(fraction)) {
        return None;
    }
    let product = number.parse::<f64>().ok()? * factor as f64;
    (product < u64::MAX as f64).then_some(product as u64)
}

/// A finite decimal number: `0.9`, `.9`, `1e-3`.
#[must_use]
pub fn decimal(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|x| x.is_finite())
}

/// JSON, in which bare numbers may carry the suffixes of [`count`] (vLLM 0.25 `engine/arg_utils.py`).
#[must_use]
pub fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&expand_suffixes(text)?).ok())
}

fn expand_suffixes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
        if !quoted && c.is_ascii_digit() && word > 0 {
            let (number, after) = rest.split_at(word);
            match count(number) {
                Some(n) if !number.bytes().all(|b| b.is_ascii_digit()) => out.push_str(&n.to_string()),
                _ => out.push_str(number),
            }
            rest = after;
            continue;
        }
        let mut step = c.len_utf8();
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => step += rest[step..].chars().next().map_or(0, char::len_utf8),
            c if !quoted && c.is_ascii_alphabetic() => step = word,
            _ => {}
        }
        out.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    (!quoted).then_some(out)
}

/// Items per prompt: `{"image": 4}` or, up to vLLM 0.8, `image=4,video=2`. The JSON form of either.
#[must_use]
pub fn modalities(text: &str) -> Option<Value> {
    if let Some(value) = json(text).filter(Value::is_object) {
        return Some(value);
    }
    let mut map = serde_json::Map::new();
    for item in text.split(',') {
        let (name, number) = item.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        map.insert(name.to_owned(), Value::from(count(number)?));
    }
    Some(Value::Object(map))
}

/// `true`/`false` as people write them after a switch.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether a shell variable is left in the word: `$TP`, `${TP}`, `$(nproc)`.
#[must_use]
pub fn holds_variable(word: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '(');
    word.match_indices('$').any(|(i, _)| word[i + 1..].starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_take_suffixes() {
        for (text, expected) in [
            ("8192", Some(8192)),
            ("8_192", Some(8192)),
            ("8k", Some(8000)),
            ("8K", Some(8192)),
            ("1M", Some(1 << 20)),
            ("1m", Some(1_000_000)),
            ("2G", Some(2 << 30)),
            ("25.6k", Some(25_600)),
            ("25.6K", None),
            ("1.k", None),
            ("-1", None),
            ("k", None),
            ("", None),
            ("1e3", None),
            ("8GiB", None),
            ("99999999999T", None),
            ("99999999999999999999", None),
            ("١k", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    #[test]
    fn integers_are_pythons() {
        for (text, expected) in [
            ("-1", Some(-1)),
            (" 4 ", Some(4)),
            ("+4", Some(4)),
            ("4_0", Some(40)),
            ("_4", None),
            ("4.0", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn json_may_hold_suffixes() {
        assert_eq!(
            json(r#"{"a": 80m, "b": "80m", "c": [1k, 2]}"#),
            json(r#"{"a": 80000000, "b": "80m", "c": [1000, 2]}"#)
        );
        assert_eq!(json("{'a': 1}"), None);
        assert_eq!(json("{"), None);
        assert_eq!(json(r#"{"a": 1.5e3}"#).and_then(|v| v["a"].as_f64()), Some(1500.0));
        assert_eq!(json(r#"{"é\"": 1k}"#).map(|v| v.to_string()), Some(r#"{"é\"":1000}"#.to_owned()));
    }

    #[test]
    fn modalities_have_two_forms() {
        assert_eq!(modalities("image=4,video=2"), modalities(r#"{"image": 4, "video": 2}"#));
        for text in ["image", "image=x", "4", "", "=4", "[1]"] {
            assert_eq!(modalities(text), None, "{text}");
        }
    }
}
