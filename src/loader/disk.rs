//! Files of the file system, read through the page cache or around it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::str::FromStr;

use super::reader::{FileStamp, OpenFile, PAGE, Storage};

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Io {
    /// Around the page cache where the file system offers that and the file is not in the cache already.
    #[default]
    Auto,
    /// Around the page cache, or not at all.
    Direct,
    /// Through the page cache.
    Buffered,
}

impl Io {
    /// Name as in flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Buffered => "buffered",
        }
    }
}

impl FromStr for Io {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Direct, Self::Buffered];
        all.into_iter()
            .find(|io| io.name() == text)
            .ok_or_else(|| format!("`{text}` is no way to read: write `auto`, `direct` or `buffered`"))
    }
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk {
    /// How its files are read.
    pub io: Io,
}

impl Disk {
    /// Through the page cache.
    pub const BUFFERED: Self = Self { io: Io::Buffered };
}

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let buffered = File::open(path)?;
        let direct = match self.io {
            Io::Buffered => None,
            Io::Auto if is_cached(&buffered) => None,
            Io::Auto => open_direct(path).ok(),
            Io::Direct => Some(open_direct(path).map_err(no_direct)?),
        };
        if direct.is_none() {
            #[cfg(target_os = "linux")]
            {
                // Best effort: doubles the kernel's read-ahead; some file systems have none.
                let _ = rustix::fs::fadvise(&buffered, 0, None, rustix::fs::Advice::Sequential);
            }
        }
        Ok(match direct {
            Some(direct) => Box::new(DirectFile { direct, buffered }),
            None => Box::new(buffered),
        })
    }

    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        std::fs::metadata(path).map(|metadata| stamp_of(&metadata))
    }
}

impl OpenFile for File {
    fn stamp(&self) -> io::Result<FileStamp> {
        self.metadata().map(|metadata| stamp_of(&metadata))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// A file opened twice: whole pages go around the page cache, what is left of them through it.
struct DirectFile {
    direct: File,
    buffered: File,
}

impl OpenFile for DirectFile {
    fn stamp(&self) -> io::Result<FileStamp> {
        OpenFile::stamp(&self.buffered)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let whole = |n: usize| n.is_multiple_of(PAGE as usize);
        if whole(buffer.as_ptr().addr()) && whole(buffer.len()) && offset.is_multiple_of(PAGE) {
            match FileExt::read_at(&self.direct, buffer, offset) {
                // Refused after all, for a device with larger sectors or a file system that has changed its mind.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                read => return read,
            }
        }
        FileExt::read_at(&self.buffered, buffer, offset)
    }

    fn is_direct(&self) -> bool {
        true
    }
}

/// Opens a file around the page cache, and reads its first page to see that the file system means it.
#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut page = memmap2::MmapMut::map_anon(PAGE as usize)?;
    FileExt::read_at(&file, &mut page, 0)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

fn no_direct(error: io::Error) -> io::Error {
    let text = format!("its file system offers no direct I/O ({error}): `--io auto` reads it through the page cache");
    io::Error::new(error.kind(), text)
}

/// Whether most of a file lies in the page cache, from where it comes faster than from any disk. A file system that cannot say so (memory
/// itself, some networks) is read through its cache too.
#[cfg(target_os = "linux")]
fn is_cached(file: &File) -> bool {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    /// Places at which is asked.
    const ASKED: u64 = 16;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut byte = [0];
    let mut present = 0;
    for nth in 0..ASKED {
        let offset = size / ASKED * nth;
        match preadv2(file, &mut [io::IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) {
            Ok(_) => present += 1,
            Err(Errno::AGAIN) => {}
            Err(_) => return true,
        }
    }
    present > ASKED / 2
}

#[cfg(not(target_os = "linux"))]
fn is_cached(_: &File) -> bool {
    true
}

fn stamp_of(metadata: &std::fs::Metadata) -> FileStamp {
    FileStamp {
        size: metadata.size(),
        identity: (metadata.dev(), metadata.ino()),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}
