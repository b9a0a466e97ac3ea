//! How a load fails: what went wrong, and how far it had come.

use std::fmt;
use std::path::PathBuf;

use super::check::InvalidPlacement;
use super::device::DeviceError;
use super::host_memory::MemoryBound;
use super::options::OptionsError;
use super::outcome::LoadOutcome;
use super::reader::ReadError;
use super::verify::Mismatch;
use crate::units::Bytes;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The placement contradicts itself.
    #[error(transparent)]
    Placement(#[from] InvalidPlacement),
    /// The settings cannot be followed.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A card refused or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file refused or changed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host has not the memory.
    #[error("this machine cannot hold the load: {need} of host memory needed, {} available ({})", .bound.available, .bound.origin)]
    HostMemory {
        /// Staging, and the arenas of host cards.
        need: Bytes,
        /// The tightest bound.
        bound: MemoryBound,
    },
    /// What lies on a card is not what the file says.
    #[error("{first}{}", more_text(*.differing))]
    Mismatch {
        /// The first one, by rank, tensor and offset.
        first: Mismatch,
        /// Number of bytes that differ, of those compared.
        differing: u64,
    },
    /// The checksums of what was sent and of what lies on the card differ, but the card agrees with the file.
    #[error(
        "tensor `{tensor}` of rank {rank} left with another checksum than its file now gives: host memory or the file is at fault"
    )]
    Checksum {
        /// Global rank.
        rank: u32,
        /// Tensor, as the engine names it.
        tensor: String,
    },
    /// The load was told to stop.
    #[error("the load was cancelled")]
    Cancelled,
    /// The system gave no thread.
    #[error("cannot start a thread to read with")]
    Thread(#[source] std::io::Error),
    /// Something that cannot happen did.
    #[error("{0}: this is a fault of the program")]
    Internal(&'static str),
}

fn more_text(differing: u64) -> String {
    if differing > 1 { format!("; {differing} bytes differ in all") } else { String::new() }
}

/// Where in the load it went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedAt {
    /// Global rank.
    pub rank: Option<u32>,
    /// Tensor, as the engine or, before a rank is concerned, the checkpoint names it.
    pub tensor: Option<String>,
    /// File.
    pub file: Option<PathBuf>,
}

/// A failed load. Everything it held is free again.
#[derive(Debug)]
pub struct LoadFailure {
    /// What went wrong.
    pub error: LoadError,
    /// Where.
    pub at: FailedAt,
    /// What had been done and measured until then.
    pub outcome: LoadOutcome,
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        let mut source = std::error::Error::source(&self.error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        let mut separator = " (";
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            f.write_str(std::mem::replace(&mut separator, ", "))?;
            f.write_fmt(text)
        };
        if let Some(rank) = self.at.rank {
            part(f, format_args!("rank {rank}"))?;
        }
        if let Some(tensor) = &self.at.tensor {
            part(f, format_args!("tensor `{tensor}`"))?;
        }
        if let Some(file) = &self.at.file {
            part(f, format_args!("file `{}`", file.display()))?;
        }
        part(f, format_args!("{} placed)", self.outcome.placed()))
    }
}

impl std::error::Error for LoadFailure {}
