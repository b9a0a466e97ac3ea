//! Reading checkpoint files that may change under us.
//!
//! Files are read, never mapped: a mapped file that is cut short ends the process with SIGBUS, a read one ends in an error that names it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use super::disk::{Disk, Io};
use crate::placement::SourceFile;
use crate::units::Bytes;

/// Unit in which files are read: the page cache's, and a multiple of what unbuffered reads need of offset, length and address.
pub(super) const PAGE: u64 = 4096;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Size in bytes.
    pub size: u64,
    /// File system and inode.
    pub identity: (u64, u64),
    /// Last change of the contents, seconds and nanoseconds.
    pub modified: (i64, i64),
}

/// Where files come from. The tests have storage that fails.
pub trait Storage: Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// As the system reports.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// The state of what now lies at `path`.
    ///
    /// # Errors
    /// As the system reports; `NotFound` when nothing lies there.
    fn stamp(&self, path: &Path) -> io::Result<FileStamp>;
}

/// An open file; several threads read it at once.
pub trait OpenFile: Send + Sync {
    /// Its state now.
    ///
    /// # Errors
    /// As the system reports.
    fn stamp(&self) -> io::Result<FileStamp>;

    /// Reads from `offset`, perhaps less than asked; 0 means the end.
    ///
    /// # Errors
    /// As the system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Whether whole pages are read around the page cache.
    fn is_direct(&self) -> bool {
        false
    }
}

/// A file that did not give what was recorded of it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A read failed.
    #[error("cannot read {len} bytes at {offset} of `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// First byte of the read.
        offset: u64,
        /// Bytes wanted.
        len: usize,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not as long as it was when the headers were read.
    #[error("`{}` has {found} bytes, {expected} were recorded: it was cut or replaced", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Size when the headers were read.
        expected: u64,
        /// Size found.
        found: u64,
    },
    /// Another file lies there now.
    #[error("`{}` was replaced by another file while it was read", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// It was written to.
    #[error("`{}` was written to while it was read", path.display())]
    Modified {
        /// The file.
        path: PathBuf,
    },
    /// Nothing lies there any more.
    #[error("`{}` vanished while it was read", path.display())]
    Vanished {
        /// The file.
        path: PathBuf,
    },
}

impl ReadError {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Open { path, .. }
            | Self::Read { path, .. }
            | Self::Size { path, .. }
            | Self::Replaced { path }
            | Self::Modified { path }
            | Self::Vanished { path } => path,
        }
    }
}

struct Opened {
    path: PathBuf,
    file: Box<dyn OpenFile>,
    stamp: FileStamp,
}

/// The files of a load, each opened once; several threads read them.
pub(super) struct Files<'s> {
    storage: &'s dyn Storage,
    files: Vec<Opened>,
}

impl<'s> Files<'s> {
    /// Opens all files and compares their sizes with those recorded.
    pub(super) fn open(storage: &'s dyn Storage, sources: &[SourceFile]) -> Result<Self, ReadError> {
        let open = |source: &SourceFile| {
            let path = source.path.clone();
            let opened = storage.open(&path).and_then(|file| Ok((file.stamp()?, file)));
            let (stamp, file) = opened.map_err(|error| ReadError::Open { path: path.clone(), source: error })?;
            if Bytes(stamp.size) != source.size {
                return Err(ReadError::Size { path, expected: source.size.0, found: stamp.size });
            }
            Ok(Opened { path, file, stamp })
        };
        Ok(Self { storage, files: sources.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// Number of files that are read around the page cache, and of all.
    pub(super) fn direct(&self) -> (usize, usize) {
        (self.files.iter().filter(|opened| opened.file.is_direct()).count(), self.files.len())
    }

    /// Reads a range of a file to where [`in_page`] says it starts in `buffer`, however many reads that takes. Direct reads bring whole
    /// pages, for which the buffer must have room.
    pub(super) fn read_range(&self, file: usize, range: &Range<u64>, buffer: &mut [u8]) -> Result<(), ReadError> {
        let skip = in_page(range.start);
        let len = (range.end - range.start) as usize;
        if !self.files[file].file.is_direct() {
            return self.fill(file, range.start, &mut buffer[skip..skip + len], len);
        }
        let whole = (skip + len).next_multiple_of(PAGE as usize).min(buffer.len());
        self.fill(file, range.start - skip as u64, &mut buffer[..whole], skip + len)
    }

    /// Fills `buffer` from `offset` of a file.
    pub(super) fn read(&self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let len = buffer.len();
        self.fill(file, offset, buffer, len)
    }

    /// Reads until at least `needed` bytes of `buffer` are there; the file may end behind them.
    fn fill(&self, file: usize, offset: u64, buffer: &mut [u8], needed: usize) -> Result<(), ReadError> {
        let Opened { path, file, stamp } = &self.files[file];
        let mut done = 0;
        while done < needed {
            match file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => {
                    let path = path.clone();
                    let found = file.stamp().map_or(offset + done as u64, |now| now.size);
                    if found != stamp.size {
                        return Err(ReadError::Size { path, expected: stamp.size, found });
                    }
                    let source = io::ErrorKind::UnexpectedEof.into();
                    return Err(ReadError::Read { path, offset, len: needed, source });
                }
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Read { path: path.clone(), offset, len: needed, source }),
            }
        }
        Ok(())
    }

    /// Whether every file is still the one that was opened, unchanged.
    pub(super) fn unchanged(&self) -> Result<(), ReadError> {
        for Opened { path, stamp, .. } in &self.files {
            let path = path.clone();
            let now = match self.storage.stamp(&path) {
                Ok(now) => now,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Vanished { path }),
                Err(source) => return Err(ReadError::Open { path, source }),
            };
            if now.identity != stamp.identity {
                return Err(ReadError::Replaced { path });
            }
            if now.size != stamp.size {
                return Err(ReadError::Size { path, expected: stamp.size, found: now.size });
            }
            if now.modified != stamp.modified {
                return Err(ReadError::Modified { path });
            }
        }
        Ok(())
    }

    pub(super) fn path(&self, file: usize) -> &Path {
        &self.files[file].path
    }
}

/// Where in a page an offset of a file lies: a range read by [`Files::read_range`] starts there in its buffer, so that pages of the file are
/// pages of the buffer.
pub(super) const fn in_page(offset: u64) -> usize {
    (offset % PAGE) as usize
}
