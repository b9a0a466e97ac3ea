//! Names of models on the Hub.

use std::fmt;
use std::str::FromStr;

/// `organisation/name`, with `@revision` where another than `main` is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    owner: String,
    name: String,
    revision: Option<String>,
}

/// A text that cannot be a model's name on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a model on the Hub")]
pub struct NotAHubId(pub String);

impl HubId {
    /// `organisation/name`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Branch, tag or commit.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// Name of the model's folder in the cache.
    pub(super) fn cache_folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl FromStr for HubId {
    type Err = NotAHubId;

    fn from_str(text: &str) -> Result<Self, NotAHubId> {
        let refused = || NotAHubId(text.to_owned());
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = repository.split_once('/').ok_or_else(refused)?;
        let looks_like_a_file = [".json", ".safetensors", ".gguf"].iter().any(|suffix| name.ends_with(suffix));
        if !is_name(owner) || !is_name(name) || looks_like_a_file || !revision.is_none_or(is_revision) {
            return Err(refused());
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned(), revision: revision.map(str::to_owned) })
    }
}

/// The rules of huggingface_hub's `validate_repo_id`: letters, digits, `-`, `_` and `.`; at most 96; no `-` or `.` at the ends; no `--` or
/// `..`, of which the first separates names in the cache.
fn is_name(text: &str) -> bool {
    (1..=96).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("--")
        && !text.contains("..")
}

/// Branches and references may hold slashes (`refs/pr/3`); what they may not is leave the folder of references in the cache.
fn is_revision(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+'))
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in ["Qwen/Qwen2.5-7B-Instruct", "org/name@refs/pr/3", "a/b@v1.0", "a/b_c@0123abc"] {
            assert_eq!(text.parse::<HubId>().unwrap().to_string(), text);
        }
        let id: HubId = "Qwen/Qwen2.5-7B".parse().unwrap();
        assert_eq!((id.revision(), id.cache_folder().as_str()), ("main", "models--Qwen--Qwen2.5-7B"));
    }

    #[test]
    fn paths_and_tricks_are_no_names() {
        let texts = [
            "gpt2",
            "",
            "/a/b",
            "./a",
            "../a",
            "a/b/c",
            "a/",
            "/b",
            "a/..",
            "a--b/c",
            "-a/b",
            "a/b.",
            "dir/config.json",
            "a/b@",
            "a/b@..",
            "a/b@/etc",
            "a/b@x/../y",
            "a/b c",
            "a/b?c",
            "a/b@x y",
            "a/b%2f",
        ];
        for text in texts {
            assert!(text.parse::<HubId>().is_err(), "`{text}`");
        }
    }
}
