//! Writing, on a thread of its own: a disk that hangs delays the recording and nothing else.
#![expect(clippy::disallowed_methods, reason = "writes recordings by design")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Encoder, Header, Mark};
use crate::monitor::{Expectation, Sample};

/// An open recording. Dropping it writes what is left and waits for the disk.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    encoder: Encoder,
    bytes: u64,
    sink: Option<Sender<Vec<u8>>>,
    failure: Arc<Mutex<Option<String>>>,
    writer: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Writes between two calls that make the file survive a loss of power as well.
    const SYNC_EVERY: u32 = 60;

    /// Begins a recording in a new file.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be made, or the system gives no thread.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let (encoder, first) = Encoder::new(header);
        file.write_all(&first)?;
        let (sink, pieces) = channel();
        let failure = Arc::new(Mutex::new(None));
        let theirs = Arc::clone(&failure);
        let writer = thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            if let Err(error) = write(&mut file, &pieces) {
                *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        })?;
        let bytes = first.len() as u64;
        Ok(Self { path: path.to_owned(), encoder, bytes, sink: Some(sink), failure, writer: Some(writer) })
    }

    /// Adds a sample.
    pub fn sample(&mut self, sample: &Sample) {
        let bytes = self.encoder.sample(sample);
        self.send(bytes);
    }

    /// Adds a mark.
    pub fn mark(&mut self, mark: &Mark) {
        self.send(Encoder::mark(mark));
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes given to the disk so far.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Why nothing is written any more; `None` while all is well.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        if let Some(sink) = &self.sink {
            // The thread has gone when the disk refused, which `failure` tells.
            let _ = sink.send(bytes);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.sink = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Header {
    /// The header of a watch that begins now.
    #[must_use]
    pub fn now(source: &str, expectation: Option<Expectation>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            source: source.to_owned(),
            expectation,
        }
    }
}

/// Each piece in one write, so that whatever ends the program leaves whole frames.
fn write(file: &mut File, pieces: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut unsynced = 0;
    for piece in pieces {
        file.write_all(&piece)?;
        unsynced += 1;
        if unsynced == Recorder::SYNC_EVERY {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.sync_data()
}
