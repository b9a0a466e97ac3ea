//! Tokens and passwords: commands are printed, pasted into issues and kept in recordings, their secrets are not.

/// What stands in for a secret.
const HIDDEN: &str = "***";

/// Ends of names whose values are secrets, in lower case.
const SECRET_ENDS: [&str; 7] = ["token", "api-key", "api_key", "access_key", "password", "passwd", "secret"];

/// Whether a variable or flag of this name holds a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

/// Shell words with the values of secrets replaced: `HF_TOKEN=hf_…` by `HF_TOKEN=$HF_TOKEN`, which still works where the variable is
/// set, and a flag's value by asterisks.
#[must_use]
pub fn without_secrets<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut hide_next = false;
    let mut hidden = |word: &str| {
        let hide_this = std::mem::take(&mut hide_next);
        let bare = word.trim_start_matches(['\'', '"']);
        if let Some((name, _)) = bare.split_once('=').filter(|(name, _)| is_secret(name)) {
            return match name.strip_prefix("-e").unwrap_or(name) {
                flag if flag.starts_with('-') => format!("{flag}={HIDDEN}"),
                variable => format!("{name}=${variable}"),
            };
        }
        hide_next = bare.starts_with("--") && is_secret(bare);
        if hide_this && !bare.starts_with("--") { HIDDEN.to_owned() } else { word.to_owned() }
    };
    words.into_iter().map(&mut hidden).collect()
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_do_not_come_back() {
        let cases = [
            ("HF_TOKEN=hf_abc vllm serve m", "HF_TOKEN=$HF_TOKEN vllm serve m"),
            ("docker run -e 'HF_TOKEN=hf_abc' image", "docker run -e HF_TOKEN=$HF_TOKEN image"),
            ("docker run -eHF_TOKEN=hf_abc image", "docker run -eHF_TOKEN=$HF_TOKEN image"),
            ("vllm serve m --api-key k1 --port 1", "vllm serve m --api-key *** --port 1"),
            ("vllm serve m --api-key=k1", "vllm serve m --api-key=***"),
            ("vllm serve m --max-num-batched-tokens 4", "vllm serve m --max-num-batched-tokens 4"),
            ("serve --max-tokens 5 --token --x y", "serve --max-tokens 5 --token --x y"),
            ("AWS_SECRET_ACCESS_KEY=x y", "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY y"),
        ];
        for (given, shown) in cases {
            assert_eq!(without_secrets(given.split(' ')).join(" "), shown);
        }
    }
}
