//! Why a command cannot be read, and what is worth saying about one that can.

use std::fmt;

/// A command that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing was given.
    #[error("no command is given: write it after `--`, such as `-- vllm serve MODEL`")]
    Empty,
    /// A quote, `$(` or `${` without its end.
    #[error("a quote or `$(` is not closed in the command, from `{near}` on")]
    Unclosed {
        /// The text from there on.
        near: String,
    },
    /// No engine in the command.
    #[error(
        "`{program}` is not an engine command: supported are `vllm serve MODEL`, `vllm bench throughput`, `vllm bench latency`, `python -m \
         vllm.entrypoints.openai.api_server`, and these inside `docker run` or `podman run`"
    )]
    UnknownProgram {
        /// The program's name.
        program: String,
    },
    /// An engine whose memory is not modelled from its command line.
    #[error("`{engine}` is recognised, but its memory model is not in this version")]
    NotModelled {
        /// The engine's name.
        engine: &'static str,
    },
    /// A program of an engine that loads no model.
    #[error("`{command}` starts no engine: give the command of the server it talks to")]
    StartsNoEngine {
        /// The program and its subcommand.
        command: String,
    },
    /// `docker run` without an image.
    #[error("`{program}` names no image")]
    NoImage {
        /// `docker run`, `podman run`.
        program: String,
    },
    /// Shells started by shells, deeper than a person writes.
    #[error("the command starts a shell in a shell in a shell: give the innermost command alone")]
    TooDeep,
    /// A flag at the end of the command, or before another flag.
    #[error("`{flag}` has no value: it takes {expected}")]
    MissingValue {
        /// The flag as typed.
        flag: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A value that the flag cannot take.
    #[error("`{flag}` cannot be `{value}`: it takes {expected}")]
    MalformedValue {
        /// The flag or variable as typed.
        flag: String,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A shell variable where a number or JSON is needed.
    #[error("`{flag}` is `{value}`, which the command does not set: write its value")]
    UnsetVariable {
        /// The flag as typed.
        flag: String,
        /// The word with the variable.
        value: String,
    },
    /// A shortened flag that fits several.
    #[error("`{flag}` could be {}: write the flag in full", .candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" or "))]
    AmbiguousFlag {
        /// The flag as typed.
        flag: String,
        /// The flags it shortens.
        candidates: Vec<String>,
    },
}

/// Something about a command that the reader should know; the command was read all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A flag that no release read has.
    UnknownFlag {
        /// The flag as typed.
        flag: String,
        /// The known flag with the nearest name.
        nearest: Option<String>,
    },
    /// A flag that this version of the engine does not have.
    NotInVersion {
        /// The flag as typed.
        flag: String,
        /// The version.
        version: String,
    },
    /// A switch followed by a word such as `true`.
    SwitchWithValue {
        /// The switch as typed.
        flag: String,
        /// The word after it.
        value: String,
    },
    /// Settings in a file that was not read.
    ConfigFile {
        /// Its path, as typed.
        path: String,
    },
    /// Variables of a container in a file that was not read.
    EnvironmentFile {
        /// Its path, as typed.
        path: String,
    },
    /// A word that is neither a flag nor the value of one.
    StrayWord {
        /// The word.
        word: String,
    },
    /// Words in front of the engine that were not understood.
    SkippedFront {
        /// The words.
        words: String,
    },
    /// A variable set for the container's client, which the container never sees.
    OutsideContainer {
        /// Its name.
        name: String,
    },
    /// A shell variable whose value is not in the command.
    UnsetVariable {
        /// The word with the variable.
        word: String,
    },
    /// A program that chooses its own default batch sizes.
    OwnDefaults {
        /// The program.
        program: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFlag { flag, nearest: None } => {
                write!(f, "`{flag}` is not a known flag and was left out of the plan")
            }
            Self::UnknownFlag { flag, nearest: Some(nearest) } => {
                write!(f, "`{flag}` is not a known flag and was left out of the plan; did you mean `{nearest}`?")
            }
            Self::NotInVersion { flag, version } => write!(f, "`{flag}` does not exist in version {version}"),
            Self::SwitchWithValue { flag, value } => {
                write!(f, "`{flag}` is a switch: newer versions refuse `{value}` after it, and `--no-…` turns it off")
            }
            Self::ConfigFile { path } => {
                write!(f, "settings in `{path}` are not in the command and were not read from it")
            }
            Self::EnvironmentFile { path } => {
                write!(f, "variables in `{path}` are not in the command and were not read from it")
            }
            Self::StrayWord { word } => {
                write!(f, "`{word}` is neither a flag nor a value and was left out of the plan")
            }
            Self::SkippedFront { words } => write!(f, "`{words}` in front of the engine's command was not read"),
            Self::OutsideContainer { name } => {
                write!(f, "`{name}` is set outside the container and has no effect in it: pass it with `-e {name}`")
            }
            Self::UnsetVariable { word } => {
                write!(f, "`{word}` holds a shell variable whose value is not in the command")
            }
            Self::OwnDefaults { program } => {
                write!(f, "`{program}` has its own default batch sizes, which are planned here as the API server's")
            }
        }
    }
}
