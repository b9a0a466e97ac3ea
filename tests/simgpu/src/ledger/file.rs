//! The file behind the book: where each page lies, and the lock.

use std::fs::{File, OpenOptions};
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::records::{
    COUNTER_OFFSET_WORDS, PROCESS_HEAD_WORDS, PROCESS_WORDS, ProcessCounters, ProcessRecord, UNIT_USE_WORDS,
    UNIT_WORDS, UnitRecord, UnitUse,
};
use super::{MAX_PROCESSES, MAX_UNITS};

/// First number of the file; the last byte is the layout's version.
const MAGIC: u64 = u64::from_le_bytes(*b"simgpu\0\x01");
const HEAD_WORDS: usize = 8;
const UNITS_AT: usize = HEAD_WORDS;
const PROCESSES_AT: usize = UNITS_AT + MAX_UNITS * UNIT_WORDS;

/// The open file. The lock belongs to it, so it ends with the process.
#[derive(Debug)]
pub(super) struct BookFile {
    file: File,
}

impl BookFile {
    /// Opens the book for writing, creating an empty one.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let book = Self { file };
        book.locked(|book| {
            if book.file.metadata()?.len() == 0 {
                book.write(0, &[MAGIC, 0])?;
            }
            book.check()
        })?;
        Ok(book)
    }

    /// Opens a book that is there, for reading.
    pub(super) fn open_read(path: &Path) -> Result<Self> {
        let book = Self { file: File::open(path)? };
        book.check()?;
        Ok(book)
    }

    fn check(&self) -> Result<()> {
        match self.read(0, 1)?[0] {
            MAGIC => Ok(()),
            _ => Err(Error::other("not the state of a simulated machine")),
        }
    }

    /// Runs `action` while no other process changes the book. Within a process the driver's own lock stands around it.
    pub(super) fn locked<T>(&self, action: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        self.file.lock()?;
        let result = action(self);
        self.file.unlock()?;
        result
    }

    /// Pages taken.
    pub(super) fn process_count(&self) -> Result<usize> {
        let count = usize::try_from(self.read(1, 1)?[0]).unwrap_or(usize::MAX);
        Ok(count.min(MAX_PROCESSES))
    }

    pub(super) fn set_process_count(&self, count: usize) -> Result<()> {
        self.write(1, &[count as u64])
    }

    pub(super) fn process(&self, slot: usize) -> Result<ProcessRecord> {
        Ok(ProcessRecord::from_words(&self.read(page(slot), PROCESS_WORDS)?))
    }

    /// Process id and start time of a page.
    pub(super) fn identity(&self, slot: usize) -> Result<(u32, u64)> {
        let words = self.read(page(slot), 2)?;
        Ok((u32::try_from(words[0]).unwrap_or(0), words[1]))
    }

    pub(super) fn unit_use(&self, slot: usize, unit: usize) -> Result<UnitUse> {
        Ok(UnitUse::from_words(&self.read(page(slot) + PROCESS_HEAD_WORDS + unit * UNIT_USE_WORDS, UNIT_USE_WORDS)?))
    }

    pub(super) fn write_process(&self, slot: usize, record: &ProcessRecord) -> Result<()> {
        self.write(page(slot), &record.words())
    }

    pub(super) fn write_counters(&self, slot: usize, counters: &ProcessCounters) -> Result<()> {
        self.write(page(slot) + COUNTER_OFFSET_WORDS, &counters.words())
    }

    pub(super) fn write_unit_use(&self, slot: usize, unit: usize, used: &UnitUse) -> Result<()> {
        self.write(page(slot) + PROCESS_HEAD_WORDS + unit * UNIT_USE_WORDS, &used.words())
    }

    pub(super) fn unit(&self, unit: usize) -> Result<UnitRecord> {
        Ok(UnitRecord::from_words(&self.read(UNITS_AT + unit * UNIT_WORDS, UNIT_WORDS)?))
    }

    pub(super) fn write_unit(&self, unit: usize, record: &UnitRecord) -> Result<()> {
        self.write(UNITS_AT + unit * UNIT_WORDS, &record.words())
    }

    /// Numbers from position `at`; what lies past the end of the file is zero.
    fn read(&self, at: usize, count: usize) -> Result<Vec<u64>> {
        let mut bytes = vec![0; count * 8];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], (at * 8 + filled) as u64)? {
                0 => break,
                more => filled += more,
            }
        }
        Ok(bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())).collect())
    }

    fn write(&self, at: usize, words: &[u64]) -> Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, (at * 8) as u64)
    }
}

const fn page(slot: usize) -> usize {
    PROCESSES_AT + slot * PROCESS_WORDS
}
