//! Data on stdout, talk on stderr, failures with their repair.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

use super::Exit;
use super::args::Global;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object, schema named in it.
    Json,
    /// For pull requests and issue trackers.
    Markdown,
    /// For spreadsheets; `top --once` alone.
    Csv,
}

/// A failure: what is wrong, with the thing named; how to repair it; the exit code it ends with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// One lower-case sentence that names the thing.
    pub message: String,
    /// What the user can do, each a sentence.
    pub hints: Vec<String>,
    /// How the program ends.
    pub exit: Exit,
}

impl Problem {
    /// Bad input or usage (exit 2).
    #[must_use]
    pub fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), hints: Vec::new(), exit: Exit::Usage }
    }

    /// The machine cannot answer (exit 3).
    #[must_use]
    pub fn cannot_tell(message: impl ToString) -> Self {
        Self { message: message.to_string(), hints: Vec::new(), exit: Exit::CannotTell }
    }

    /// A failure was seen (exit 1).
    #[must_use]
    pub fn failure(message: impl ToString) -> Self {
        Self { message: message.to_string(), hints: Vec::new(), exit: Exit::DoesNotFit }
    }

    /// Adds a repair.
    #[must_use]
    pub fn hint(mut self, hint: impl ToString) -> Self {
        self.hints.push(hint.to_string());
        self
    }
}

/// Where a command writes.
pub struct Output {
    /// `--format`.
    pub format: Format,
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    /// Whether stderr is a terminal, so that progress bars make sense.
    pub interactive: bool,
    /// Why data did not reach stdout.
    lost: Option<io::Error>,
}

impl Output {
    /// The process's own streams; colour as `--color`, `NO_COLOR` and the terminals say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        global.color.write_global();
        Self {
            format: global.format,
            stdout: Box::new(anstream::stdout()),
            stderr: Box::new(anstream::stderr()),
            interactive: io::stderr().is_terminal(),
            lost: None,
        }
    }

    /// Writes data to stdout. A closed pipe (`shardfit … | head`) is no failure.
    pub fn data(&mut self, text: &str) {
        if let Err(error) = self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost = Some(error);
        }
    }

    /// The exit code, unless data was lost on its way out (a full disk): whoever reads it must not take half a report for a whole one.
    pub fn end(&mut self, exit: Exit) -> Exit {
        match self.lost.take() {
            None => exit,
            Some(error) => {
                self.talk(&format!("\u{1b}[1;31merror:\u{1b}[0m the result could not be written: {error}"));
                Exit::CannotTell
            }
        }
    }

    /// Writes a JSON value to stdout, indented, with a final line break.
    pub fn json<T: serde::Serialize>(&mut self, value: &T) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.data(&format!("{text}\n")),
            Err(error) => self.talk(&format!("error: the report cannot be written as JSON: {error}")),
        }
    }

    /// Writes a line of talk to stderr.
    pub fn talk(&mut self, line: &str) {
        let _ = writeln!(self.stderr, "{line}");
    }

    /// Writes a warning to stderr.
    pub fn warn(&mut self, line: &str) {
        self.talk(&format!("\u{1b}[33mwarning:\u{1b}[0m {line}"));
    }

    /// Reports a failure (with `--format json` also as an object on stdout) and returns its exit code.
    pub fn fail(&mut self, problem: &Problem) -> Exit {
        if self.format == Format::Json {
            self.failure(problem);
        }
        self.talk(&format!("\u{1b}[1;31merror:\u{1b}[0m {}", problem.message));
        for hint in &problem.hints {
            self.talk(&format!("\u{1b}[36mhint:\u{1b}[0m {hint}"));
        }
        problem.exit
    }

    /// Writes a JSON value to a file, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written to or is full.
    pub fn save<T: serde::Serialize>(&mut self, path: &Path, value: &T) -> Result<(), Problem> {
        let failed = |error: &dyn std::fmt::Display| {
            Problem::cannot_tell(format!("the report `{}` cannot be written: {error}", path.display()))
                .hint("name a folder that exists and has room")
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
        serde_json::to_writer_pretty(&mut file, value).map_err(|error| failed(&error))?;
        file.write_all(b"\n").and_then(|()| file.flush()).map_err(|error| failed(&error))?;
        file.persist(path).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    /// Writes a failure to stdout as an object.
    pub fn failure(&mut self, problem: &Problem) {
        self.json(&json!({
            "schema": "shardfit/error/1",
            "tool": { "name": "shardfit", "version": env!("CARGO_PKG_VERSION") },
            "error": problem.message,
            "hints": problem.hints,
            "exit_code": problem.exit.code(),
        }));
    }
}
