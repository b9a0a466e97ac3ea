//! `top --replay` without a screen: exports and pictures.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::{Output, Problem};
use crate::monitor::recording::{Replay, export};

/// Opens a recording.
///
/// # Errors
/// When it cannot be read or is none.
pub fn open(path: &Path, output: &mut Output) -> Result<Replay, Problem> {
    let replay = Replay::open(path)
        .map_err(|error| Problem::usage(format!("the recording `{}` cannot be read: {error}", path.display())))?
        .map_err(|error| {
            Problem::usage(format!("`{}` cannot be replayed: {error}", path.display()))
                .hint("`shardfit top --record FILE` writes recordings")
        })?;
    if replay.cut_bytes() > 0 {
        output.warn(&format!(
            "`{}` was cut short or damaged: its last {} bytes are left out",
            path.display(),
            replay.cut_bytes()
        ));
    }
    Ok(replay)
}

/// Writes a recording as CSV or JSON Lines, by the ending of the file's name; `-.csv` and `-.jsonl` are stdout.
///
/// # Errors
/// When the ending is another, or the file cannot be written.
pub fn export(replay: &Replay, path: &Path) -> Result<(), Problem> {
    let write: fn(&Replay, &mut dyn Write) -> io::Result<()> = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => export::csv,
        Some("jsonl" | "ndjson") => export::json_lines,
        _ => {
            return Err(Problem::usage(format!("`{}`: an export ends in `.csv` or `.jsonl`", path.display())));
        }
    };
    let done = if path.file_stem().is_some_and(|stem| stem == "-") {
        let mut out = BufWriter::new(io::stdout().lock());
        write(replay, &mut out).and_then(|()| out.flush())
    } else {
        File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(replay, &mut out).and_then(|()| out.flush())
        })
    };
    match done {
        // `shardfit … | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Problem::usage(format!("`{}` cannot be written: {error}", path.display()))),
    }
}
