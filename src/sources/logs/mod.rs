//! Logs: files, folders of them, standard input, plain or compressed, of any size.
#![expect(clippy::disallowed_methods, reason = "reads the user's logs by design")]

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use encoding_rs_io::DecodeReaderBytes;
use flate2::read::MultiGzDecoder;

use crate::oom::Scanner;
use crate::units::Bytes;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such file or folder.
    #[error("`{0}` does not exist")]
    NotFound(PathBuf),
    /// A file or folder that cannot be read.
    #[error("`{path}` cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A folder without logs.
    #[error("the folder `{0}` holds no text files")]
    NoLogs(PathBuf),
    /// A folder with more files than a run of any size writes.
    #[error("the folder `{path}` holds more than {limit} files", path = path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}

impl LogError {
    /// What to do about it.
    #[must_use]
    pub fn repair(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "name a log file, a folder of logs, or `-` for standard input",
            Self::Unreadable { .. } => "check the permissions, or pipe the log: `… | shardfit diagnose -`",
            Self::NoLogs(_) => "name the log files themselves",
            Self::TooMany { .. } => "name the files of one run",
        }
    }
}

/// A log that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its name for people: the path, or `<stdin>`.
    pub name: String,
    /// Bytes of text.
    pub size: Bytes,
    /// What a person should know: it ends in the middle, as a compressed file that was cut.
    pub note: Option<String>,
}

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Most text taken from one file; a compressed file may hold far more than its size.
const LONGEST: u64 = 64 << 30;
/// Largest window of a zstd stream, as a power of two: bounds the memory that a file can ask for.
const WINDOW: u32 = 27;
/// Most files of a folder.
const MOST_FILES: usize = 4096;
/// Deepest folder that is looked into.
const DEPTH: usize = 4;
/// Bytes looked at to tell text from other files.
const SNIFFED: usize = 4096;

/// Feeds logs to a scanner, in the order given; the files of a folder in the order of their names.
///
/// # Errors
/// When a file does not exist or cannot be opened, or a folder holds no logs.
pub fn scan_logs(paths: &[PathBuf], scanner: &mut Scanner<'_>) -> Result<Vec<LogFile>, LogError> {
    let mut read = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            read.push(scan(io::stdin().lock(), "<stdin>".to_owned(), scanner));
            continue;
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LogError::NotFound(path.clone())),
            Err(error) => return Err(LogError::Unreadable { path: path.clone(), error }),
        };
        if !metadata.is_dir() {
            read.push(scan_file(path, scanner)?);
            continue;
        }
        let mut files = Vec::new();
        collect(path, DEPTH, &mut files)?;
        files.sort();
        let before = read.len();
        for file in files {
            if is_text(&file) {
                read.push(scan_file(&file, scanner)?);
            }
        }
        if read.len() == before {
            return Err(LogError::NoLogs(path.clone()));
        }
    }
    Ok(read)
}

fn scan_file(path: &Path, scanner: &mut Scanner<'_>) -> Result<LogFile, LogError> {
    let file = File::open(path).map_err(|error| LogError::Unreadable { path: path.to_owned(), error })?;
    Ok(scan(file, path.display().to_string(), scanner))
}

/// Feeds one stream, unpacked or decoded where its first bytes say that it is packed or of two-byte characters.
pub fn scan(mut stream: impl Read, name: String, scanner: &mut Scanner<'_>) -> LogFile {
    let mut head = [0u8; 4];
    let mut filled = 0;
    let mut error = None;
    while filled < head.len() {
        match stream.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                error = Some(e);
                break;
            }
        }
    }
    let whole = io::Cursor::new(head[..filled].to_vec()).chain(stream);
    let (size, note) = match head {
        _ if error.is_some() => (0, error.map(|e| format!("reading stopped: {e}"))),
        [0x1f, 0x8b, ..] if filled >= 2 => feed(MultiGzDecoder::new(BufReader::new(whole)), scanner),
        [0x28, 0xb5, 0x2f, 0xfd] => match zstd::stream::read::Decoder::new(whole) {
            Ok(mut decoder) => match decoder.window_log_max(WINDOW) {
                Ok(()) => feed(decoder, scanner),
                Err(error) => (0, Some(format!("not unpacked: {error}"))),
            },
            Err(error) => (0, Some(format!("not unpacked: {error}"))),
        },
        // A mark of two-byte text, as a Windows shell writes it when output is redirected.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if filled >= 2 => feed(DecodeReaderBytes::new(whole), scanner),
        _ => feed(whole, scanner),
    };
    scanner.end_file();
    LogFile { name, size: Bytes(size), note }
}

/// Feeds text until its end, or until reading fails: what was read of a cut file still counts.
fn feed(mut text: impl Read, scanner: &mut Scanner<'_>) -> (u64, Option<String>) {
    let mut piece = vec![0u8; PIECE];
    let mut size = 0u64;
    loop {
        match text.read(&mut piece) {
            Ok(0) => return (size, None),
            Ok(n) => {
                scanner.push(&piece[..n]);
                size = size.saturating_add(n as u64);
                if size >= LONGEST {
                    return (size, Some(format!("only the first {} were read", Bytes(LONGEST))));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (size, Some(format!("reading stopped after {}: {e}", Bytes(size)))),
        }
    }
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), LogError> {
    let unreadable = |error| LogError::Unreadable { path: folder.to_owned(), error };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && depth > 1 {
            collect(&entry.path(), depth - 1, files)?;
        } else if kind.is_file() {
            files.push(entry.path());
            if files.len() > MOST_FILES {
                return Err(LogError::TooMany { path: folder.to_owned(), limit: MOST_FILES });
            }
        }
    }
    Ok(())
}

/// What packed and two-byte text begins with.
const MARKS: [&[u8]; 4] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xff, 0xfe], &[0xfe, 0xff]];

/// Whether a file of a folder is a log: text, or packed.
fn is_text(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut head = vec![0u8; SNIFFED];
    let Ok(n) = file.read(&mut head) else { return false };
    let head = &head[..n];
    MARKS.iter().any(|mark| head.starts_with(mark)) || !head.contains(&0)
}

#[cfg(test)]
mod tests;
