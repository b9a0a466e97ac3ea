//! JSON as Python writes it, of bounded size.

use serde_json::Value;

/// Largest config, in bytes. Real ones have some 10 kB; the largest, with a list of modules left unquantised, about 1 MB.
pub const MAX_CONFIG_BYTES: u64 = 16_000_000;

/// Largest index, in bytes. That of a 100,000-tensor checkpoint has about 15 MB.
pub const MAX_INDEX_BYTES: u64 = 100_000_000;

/// Parses JSON, and besides it the `NaN` and `Infinity` that Python's `json` writes and reads: as `null`, since no field that counts here
/// is meant to hold them (`time_step_limit` of state-space models is where they occur).
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| match without_non_finite(bytes) {
        Some(cleaned) => serde_json::from_slice(&cleaned).map_err(|_| error),
        None => Err(error),
    })
}

/// The text with non-finite numbers outside strings made `null`; `None` where it has none.
fn without_non_finite(bytes: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut cleaned = Vec::with_capacity(bytes.len());
    let (mut in_string, mut replaced) = (false, false);
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if !in_string && let Some(after) = WORDS.iter().find_map(|word| rest.strip_prefix(*word)) {
            cleaned.extend_from_slice(b"null");
            replaced = true;
            rest = after;
            continue;
        }
        cleaned.push(byte);
        rest = tail;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                if let Some((&escaped, tail)) = rest.split_first() {
                    cleaned.push(escaped);
                    rest = tail;
                }
            }
            _ => {}
        }
    }
    replaced.then_some(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_s_non_finite_numbers_become_null_outside_strings() {
        let text = br#"{"limit": [0.0, Infinity], "low": -Infinity, "x": NaN, "name": "NaN \" Infinity"}"#;
        let expected = json!({"limit": [0.0, null], "low": null, "x": null, "name": "NaN \" Infinity"});
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn other_faults_stay_faults() {
        for text in [&b"{"[..], b"", b"{\"a\": Nan}", b"{\"a\": Infinity", b"\"NaN", b"\"\\"] {
            assert!(parse(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
