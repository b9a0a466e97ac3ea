//! A pasted engine command, read into values: `CUDA_VISIBLE_DEVICES=0,1 vllm serve MODEL --tensor-parallel-size 2`.
//!
//! The reading goes from the outside in: the shell's words (`words`), what stands in front (`front`), a container (`container`), the
//! engine's program (`program`), its flags (`flags`). What is not understood is a [`Warning`], never silence.

mod container;
mod dialects;
mod error;
pub mod flags;
mod front;
mod invocation;
mod program;
mod script;
mod secrets;
mod template;
pub mod values;
mod walk;
mod words;

pub use error::{CommandError, Warning};
pub use invocation::{Invocation, Mount, VersionSource};
pub use script::{ScriptCommand, read_script};
pub use secrets::without_secrets;
pub use template::CommandTemplate;

use self::walk::{Surroundings, read};
use self::words::Word;

/// Reads a command given as words, as a program receives its arguments. A single word with blanks in it is read as [`read_text`] does.
///
/// # Errors
/// When no engine that can be planned is in it, or a flag's value is malformed.
///
/// ```
/// let words = ["vllm", "serve", "Qwen/Qwen2.5-72B-Instruct-AWQ", "-tp", "4"].map(String::from);
/// let invocation = shardfit::engines::command_line::read_words(&words)?;
/// assert_eq!(invocation.settings.tensor_parallel, Some(4));
/// assert_eq!(
///     invocation.template.with_changes(&[("tensor-parallel-size", "8"), ("max-model-len", "8192")]),
///     "vllm serve Qwen/Qwen2.5-72B-Instruct-AWQ -tp 8 --max-model-len 8192"
/// );
/// # Ok::<(), shardfit::engines::command_line::CommandError>(())
/// ```
pub fn read_words(words: &[String]) -> Result<Invocation, CommandError> {
    match words {
        [text] if text.trim().contains(char::is_whitespace) => read_text(text),
        words => read(words.iter().map(|w| Word::new(w)).collect(), &Surroundings::default()),
    }
}

/// Reads a command given as one text, with the quotes, continued lines, comments and redirections of a shell.
///
/// # Errors
/// As [`read_words`], and when a quote is not closed.
pub fn read_text(text: &str) -> Result<Invocation, CommandError> {
    read(words::split(text)?, &Surroundings::default())
}

/// Reads a command as [`read_text`] does, and those of engines whose memory is not modelled too: model, layout and shares, as far as their
/// flags say.
///
/// # Errors
/// As [`read_text`], but for an engine that is recognised and not modelled.
pub fn read_any_text(text: &str) -> Result<Invocation, CommandError> {
    read(words::split(text)?, &Surroundings::of_any_engine())
}

/// The same of a command given as words.
///
/// # Errors
/// As [`read_any_text`].
pub fn read_any_words(words: &[String]) -> Result<Invocation, CommandError> {
    match words {
        [text] if text.trim().contains(char::is_whitespace) => read_any_text(text),
        words => read(words.iter().map(|w| Word::new(w)).collect(), &Surroundings::of_any_engine()),
    }
}

#[cfg(test)]
mod tests;
