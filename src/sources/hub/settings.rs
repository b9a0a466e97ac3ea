//! How the Hub is reached: the environment variables of huggingface_hub, with its defaults (`huggingface_hub/constants.py`).
#![expect(clippy::disallowed_methods, reason = "reads the environment and the token file by design")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The public Hub.
const PUBLIC_HUB: &str = "https://huggingface.co";
/// Longest token file that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// How the Hub is reached.
#[derive(Debug, Clone)]
pub struct HubSettings {
    /// Address without a slash at the end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Folder with `models--…` folders (`HF_HUB_CACHE`, `HF_HOME`); `None` where there is no home folder either.
    pub cache: Option<PathBuf>,
    /// Who asks (`HF_TOKEN`, or the file that `hf auth login` writes).
    pub token: Option<Token>,
    /// Whether the network is off limits (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// How long to wait for a connection, an answer, or the next bytes of one (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub timeout: Duration,
    /// Wait before the first repetition; it doubles with each.
    pub backoff: Duration,
}

/// An access token. It is sent to the endpoint alone and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from a text around which spaces and line ends do not count; `None` where nothing or no token is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The value of the `Authorization` header.
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl HubSettings {
    /// Settings of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok(), etcetera::home_dir().ok().as_deref())
    }

    /// Settings from named variables and a home folder.
    fn from_variables(variable: impl Fn(&str) -> Option<String>, home: Option<&Path>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let truthy = |name: &str| {
            set(name).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str()))
        };
        let folder = |name: &str| set(name).map(|value| expand_home(&value, home));

        let hub_home = folder("HF_HOME").or_else(|| {
            let caches = folder("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
            caches.map(|caches| caches.join("huggingface"))
        });
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| hub_home.as_ref().map(|home| home.join("hub")));
        let token_file = folder("HF_TOKEN_PATH").or_else(|| hub_home.as_ref().map(|home| home.join("token")));
        let token = set("HF_TOKEN")
            .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| if truthy("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { read_token(&token_file?) })
            .and_then(|text| Token::new(&text));
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_HUB.to_owned());
        let timeout = set("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|t| t.trim().parse().ok()).filter(|&t| t > 0);
        Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            cache,
            token,
            offline: truthy("HF_HUB_OFFLINE") || truthy("TRANSFORMERS_OFFLINE"),
            timeout: Duration::from_secs(timeout.unwrap_or(10)),
            backoff: Duration::from_millis(500),
        }
    }
}

fn expand_home(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

/// The token file, if it is there and of a token's size. Without it one is simply not logged in.
fn read_token(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= MAX_TOKEN_BYTES).then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> HubSettings {
        let lookup = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        HubSettings::from_variables(lookup, Some(Path::new("/home/u")))
    }

    #[test]
    fn defaults_are_those_of_huggingface_hub() {
        let plain = settings(&[]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache.unwrap(), Path::new("/home/u/.cache/huggingface/hub"));
        assert_eq!(plain.timeout, Duration::from_secs(10));
        assert!(!plain.offline && plain.token.is_none());
    }

    #[test]
    fn the_cache_follows_its_variables_in_their_order() {
        let cache = |pairs: &[(&str, &str)]| settings(pairs).cache.unwrap();
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), Path::new("/home/u/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/old"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/new"));
        assert_eq!(cache(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/h")]), Path::new("/h/hub"));
    }

    #[test]
    fn offline_and_endpoint() {
        assert!(settings(&[("HF_HUB_OFFLINE", "1")]).offline);
        assert!(settings(&[("TRANSFORMERS_OFFLINE", "yes")]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
        assert_eq!(settings(&[("HF_ENDPOINT", "https://mirror.example/")]).endpoint, "https://mirror.example");
        assert_eq!(settings(&[("HF_HUB_DOWNLOAD_TIMEOUT", "30")]).timeout, Duration::from_secs(30));
    }

    #[test]
    fn the_token_comes_from_the_variable_then_the_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "hf_from_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).token, Token::new("hf_from_file"));
        assert_eq!(settings(&[("HF_HOME", home), ("HF_TOKEN", " hf_set ")]).token, Token::new("hf_set"));
        assert_eq!(settings(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).token, None);
        let shown = format!("{:?}", settings(&[("HF_TOKEN", "hf_secret")]));
        assert!(shown.contains("Token(hidden)") && !shown.contains("secret"), "{shown}");
        assert_eq!(Token::new("two\nlines"), None);
    }
}
