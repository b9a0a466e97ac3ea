//! What goes wrong while loading, on storage that fails and on cards that lie: a typed error that names the thing, and everything freed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test ends with what it meets, and makes the files and processes it needs"
)]

mod loader_support;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shardfit::loader::device::{
    Arena, Cards, Device, DeviceError, DeviceIdentity, DeviceKind, DeviceMemory, DriverCode, HostCards, Runs, Transfer,
};
use shardfit::loader::reader::{Disk, FileStamp, Io, OpenFile, ReadError, Storage};
use shardfit::loader::staging::{StagingBuffer, StagingMemory};
use shardfit::loader::{
    LoadError, LoadFailure, LoadOptions, LoadOutcome, Observer, Phase, Progress, Unobserved, Verify, load,
};
use shardfit::placement::{Placement, StridedCopy};
use shardfit::units::Bytes;

use loader_support::{Fixture, assert_expected, flip_bit, load_and_keep, tensor_parallel};

fn options() -> LoadOptions {
    let buffer = Some(Bytes::kib(64));
    LoadOptions { workers: Some(2), verify: Verify::Full, staging: Bytes::mib(2), buffer, ..LoadOptions::default() }
}

fn cards() -> HostCards {
    HostCards::new(&[Bytes::mib(64); 4])
}

fn load_from(fixture: &Fixture, storage: &dyn Storage) -> Result<LoadOutcome, Box<LoadFailure>> {
    let placement = &fixture.placement;
    load(placement, &cards(), storage, &options(), &Progress::new(placement), &Unobserved)
}

/// What the storage does wrong.
#[derive(Clone, Copy)]
enum Wrong {
    /// At most so many bytes at once, and every third read is interrupted.
    Short(usize),
    /// Reads past so many bytes of a file fail.
    BrokenAfter(u64),
    /// The file ends early, though its size is as recorded.
    EndsAt(u64),
}

struct Failing {
    wrong: Wrong,
    reads: Arc<AtomicU64>,
}

impl Failing {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, reads: Arc::default() }
    }
}

struct FailingFile {
    inner: Box<dyn OpenFile>,
    wrong: Wrong,
    reads: Arc<AtomicU64>,
}

impl Storage for Failing {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(FailingFile {
            inner: Disk::default().open(path)?,
            wrong: self.wrong,
            reads: Arc::clone(&self.reads),
        }))
    }
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        Disk::default().stamp(path)
    }
}

impl OpenFile for FailingFile {
    fn stamp(&self) -> io::Result<FileStamp> {
        self.inner.stamp()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let nth = self.reads.fetch_add(1, Ordering::Relaxed);
        match self.wrong {
            Wrong::Short(_) if nth % 3 == 2 => Err(io::ErrorKind::Interrupted.into()),
            Wrong::Short(most) => {
                let len = buffer.len().min(most);
                self.inner.read_at(&mut buffer[..len], offset)
            }
            Wrong::BrokenAfter(good) if offset + buffer.len() as u64 > good => Err(io::Error::from_raw_os_error(5)),
            Wrong::EndsAt(end) if offset >= end => Ok(0),
            Wrong::EndsAt(end) => {
                let len = buffer.len().min((end - offset) as usize);
                self.inner.read_at(&mut buffer[..len], offset)
            }
            Wrong::BrokenAfter(_) => self.inner.read_at(buffer, offset),
        }
    }
}

#[test]
fn short_and_interrupted_reads_are_continued() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let outcome = load_from(&fixture, &Failing::new(Wrong::Short(777))).unwrap();
    assert!(outcome.ranks.iter().all(|rank| rank.placed == rank.expected && rank.compared == rank.placed));
}

#[test]
fn a_broken_disk_is_named_with_file_and_tensor() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let failure = load_from(&fixture, &Failing::new(Wrong::BrokenAfter(300_000))).unwrap_err();
    let LoadError::Read(ReadError::Read { path, source, .. }) = &failure.error else { panic!("{failure}") };
    assert_eq!(source.raw_os_error(), Some(5));
    assert_eq!(failure.at.file.as_ref(), Some(path));
    assert!(failure.at.tensor.as_deref().is_some_and(|name| name.starts_with("model.layers.")), "{failure}");
    let placed = failure.outcome.placed();
    assert!(placed > Bytes::ZERO && placed < failure.outcome.ranks.iter().map(|rank| rank.expected).sum());
}

#[test]
fn a_file_that_ends_early_is_an_error_and_not_a_crash() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let failure = load_from(&fixture, &Failing::new(Wrong::EndsAt(250_000))).unwrap_err();
    let LoadError::Read(ReadError::Read { source, .. }) = &failure.error else { panic!("{failure}") };
    assert_eq!(source.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn files_that_changed_since_their_headers_were_read_are_refused() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let path = &fixture.placement.files[1].path;
    let data = std::fs::read(path).unwrap();
    std::fs::write(path, &data[..data.len() - 10]).unwrap();
    let failure = load_from(&fixture, &Disk::default()).unwrap_err();
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Size { path: named, .. }) if named == path),
        "{failure}"
    );
    assert_eq!(failure.outcome.reached, [], "no card was touched");
    std::fs::remove_file(path).unwrap();
    let failure = load_from(&fixture, &Disk::default()).unwrap_err();
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Open { path: named, .. }) if named == path),
        "{failure}"
    );
}

/// Storage that takes whole pages alone into memory that begins at a page, as reads around the page cache must be; the comparison's short
/// samples may be anything.
struct WholePages;

struct WholePagesFile(Box<dyn OpenFile>);

impl Storage for WholePages {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(WholePagesFile(Disk::BUFFERED.open(path)?)))
    }
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        Disk::BUFFERED.stamp(path)
    }
}

impl OpenFile for WholePagesFile {
    fn stamp(&self) -> io::Result<FileStamp> {
        self.0.stamp()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let whole = |n: usize| n.is_multiple_of(4096);
        assert!(whole(buffer.as_ptr().addr()) && whole(buffer.len()) && offset.is_multiple_of(4096));
        self.0.read_at(buffer, offset)
    }
    fn is_direct(&self) -> bool {
        true
    }
}

#[test]
fn direct_reads_are_of_whole_pages_and_bring_the_same_bytes() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let outcome = load_from(&fixture, &WholePages).unwrap();
    assert_eq!(outcome.direct_files, (2, 2));
    assert!(outcome.ranks.iter().all(|rank| rank.placed == rank.expected && rank.compared == rank.placed));
}

#[test]
fn every_way_of_reading_brings_the_same_bytes() {
    let fixture = tensor_parallel(2, &[0, 1]);
    for io in [Io::Auto, Io::Buffered, Io::Direct] {
        match load_from(&fixture, &Disk { io }) {
            Ok(outcome) => assert!(outcome.ranks.iter().all(|rank| rank.compared == rank.expected), "{io:?}"),
            // Memory file systems have no direct I/O; they must say so, and only where it was demanded.
            Err(failure) => {
                assert_eq!(io, Io::Direct, "{failure}");
                assert!(failure.to_string().contains("direct I/O"), "{failure}");
            }
        }
    }
}

/// Does something to the files when a step ends.
struct At<F: Fn() + Sync>(Phase, F);

impl<F: Fn() + Sync> Observer for At<F> {
    fn reached(&self, phase: Phase) {
        if phase == self.0 {
            (self.1)();
        }
    }
}

fn meddle(fixture: &Fixture, at: Phase, what: impl Fn() + Sync) -> Box<LoadFailure> {
    let placement = &fixture.placement;
    load(placement, &cards(), &Disk::default(), &options(), &Progress::new(placement), &At(at, what)).unwrap_err()
}

#[test]
fn files_that_change_during_the_load_are_named() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let path = fixture.placement.files[0].path.clone();
    let data = std::fs::read(&path).unwrap();

    let failure = meddle(&fixture, Phase::Allocated, || std::fs::remove_file(&path).unwrap());
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Vanished { path: named }) if *named == path),
        "{failure}"
    );

    std::fs::write(&path, &data).unwrap();
    let other = path.with_extension("new");
    let failure = meddle(&fixture, Phase::Allocated, || {
        std::fs::write(&other, &data).unwrap();
        std::fs::rename(&other, &path).unwrap();
    });
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Replaced { path: named }) if *named == path),
        "{failure}"
    );

    let failure = meddle(&fixture, Phase::Allocated, || {
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100_000).unwrap();
    });
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Size { path: named, found: 100_000, .. }) if *named == path),
        "{failure}"
    );
}

#[test]
fn a_file_written_to_after_the_load_is_no_fault_of_the_card() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let path = fixture.placement.files[0].path.clone();
    let write = || {
        flip_bit(&path, 5000);
        // A time that differs for sure, whatever the file system's clock ticks in.
        let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    let failure = meddle(&fixture, Phase::Loaded, write);
    assert!(
        matches!(&failure.error, LoadError::Read(ReadError::Modified { path: named }) if *named == path),
        "{failure}"
    );
}

#[test]
fn cancelling_at_any_step_frees_everything() {
    for at in
        [Phase::Checked, Phase::Opened, Phase::Allocated, Phase::Loaded, Phase::Verified, Phase::Pooled, Phase::Peak]
    {
        let fixture = tensor_parallel(2, &[0, 1]);
        let options = options();
        let cancel = Arc::clone(&options.cancel);
        let observer = At(at, move || cancel.store(true, Ordering::Relaxed));
        let progress = Progress::new(&fixture.placement);
        let failure = load(&fixture.placement, &cards(), &Disk::default(), &options, &progress, &observer).unwrap_err();
        assert!(matches!(failure.error, LoadError::Cancelled), "{failure}");
        assert!(
            failure.outcome.reached.ends_with(&[at, Phase::Freed, Phase::Released]),
            "{:?}",
            failure.outcome.reached
        );
        let freed = |device: &shardfit::loader::DeviceOutcome| device.at(Phase::Freed).unwrap().used() == Bytes::ZERO;
        assert!(failure.outcome.devices.iter().all(freed));
    }
}

/// Storage that tells the load to stop while it reads.
struct StopsAt {
    nth: u64,
    reads: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
}

struct StopsAtFile {
    inner: Box<dyn OpenFile>,
    nth: u64,
    reads: Arc<AtomicU64>,
    cancel: Arc<AtomicBool>,
}

impl Storage for StopsAt {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let (reads, cancel) = (Arc::clone(&self.reads), Arc::clone(&self.cancel));
        Ok(Box::new(StopsAtFile { inner: Disk::BUFFERED.open(path)?, nth: self.nth, reads, cancel }))
    }
    fn stamp(&self, path: &Path) -> io::Result<FileStamp> {
        Disk::BUFFERED.stamp(path)
    }
}

impl OpenFile for StopsAtFile {
    fn stamp(&self) -> io::Result<FileStamp> {
        self.inner.stamp()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.nth {
            self.cancel.store(true, Ordering::Relaxed);
        }
        self.inner.read_at(buffer, offset)
    }
}

#[test]
fn cancelling_at_any_read_frees_everything() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let mut nth = 0;
    loop {
        let options = options();
        let storage = StopsAt { nth, reads: Arc::default(), cancel: Arc::clone(&options.cancel) };
        let cards = cards();
        let progress = Progress::new(&fixture.placement);
        let result = load(&fixture.placement, &cards, &storage, &options, &progress, &Unobserved);
        for card in 0..2 {
            assert_eq!(cards.open(card).unwrap().memory().unwrap().used(), Bytes::ZERO, "read {nth}");
        }
        match result {
            Err(failure) => assert!(matches!(failure.error, LoadError::Cancelled), "{failure}"),
            Ok(_) => break,
        }
        nth += 1;
        assert!(nth < 10_000, "a load has an end");
    }
    assert!(nth > 10, "only {nth} reads were tried");
}

/// What a card does wrong.
#[derive(Clone, Copy)]
enum Lie {
    /// One bit of what rank `rank` reads back at an offset of its arena is flipped.
    Bit { arena: usize, offset: u64 },
    /// Copies to the arena fail from the nth on.
    LostAfter { arena: usize, copies: u64 },
    /// The nth transfer fails when it is waited for.
    TransferFails { nth: u64 },
}

struct Lying {
    inner: HostCards,
    lie: Lie,
    arenas: Arc<AtomicU64>,
    transfers: Arc<AtomicU64>,
}

struct LyingDevice {
    inner: Arc<dyn Device>,
    lie: Lie,
    arenas: Arc<AtomicU64>,
    transfers: Arc<AtomicU64>,
}

struct LyingArena {
    inner: Box<dyn Arena>,
    index: usize,
    lie: Lie,
    copies: AtomicU64,
    transfers: Arc<AtomicU64>,
}

fn lost() -> DeviceError {
    let code = DriverCode { code: 719, name: "CUDA_ERROR_LAUNCH_FAILED".to_owned() };
    DeviceError::Lost { device: "host:1".to_owned(), call: "test", code }
}

struct Failed;

impl Transfer for Failed {
    fn wait(self: Box<Self>) -> Result<(), DeviceError> {
        Err(lost())
    }
}

impl Cards for Lying {
    fn kind(&self) -> DeviceKind {
        DeviceKind::Host
    }
    fn len(&self) -> usize {
        self.inner.len()
    }
    fn pack_below(&self) -> u64 {
        0
    }
    fn best_buffer(&self) -> Bytes {
        self.inner.best_buffer()
    }
    fn identity(&self, index: usize) -> Result<DeviceIdentity, DeviceError> {
        self.inner.identity(index)
    }
    fn open(&self, index: usize) -> Result<Arc<dyn Device>, DeviceError> {
        let (arenas, transfers) = (Arc::clone(&self.arenas), Arc::clone(&self.transfers));
        Ok(Arc::new(LyingDevice { inner: self.inner.open(index)?, lie: self.lie, arenas, transfers }))
    }
}

impl Device for LyingDevice {
    fn identity(&self) -> &DeviceIdentity {
        self.inner.identity()
    }
    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.inner.memory()
    }
    fn allocate(&self, bytes: Bytes) -> Result<Box<dyn Arena>, DeviceError> {
        Ok(Box::new(LyingArena {
            inner: self.inner.allocate(bytes)?,
            index: self.arenas.fetch_add(1, Ordering::Relaxed) as usize,
            lie: self.lie,
            copies: AtomicU64::new(0),
            transfers: Arc::clone(&self.transfers),
        }))
    }
    fn staging(&self, bytes: usize) -> Result<Box<dyn StagingMemory>, DeviceError> {
        self.inner.staging(bytes)
    }
}

impl Arena for LyingArena {
    fn zero(&self, runs: Runs) -> Result<(), DeviceError> {
        self.inner.zero(runs)
    }
    fn submit(&self, source: &Arc<StagingBuffer>, copies: &[StridedCopy]) -> Result<Box<dyn Transfer>, DeviceError> {
        let nth = self.copies.fetch_add(1, Ordering::Relaxed);
        match self.lie {
            Lie::LostAfter { arena, copies } if arena == self.index && nth >= copies => return Err(lost()),
            Lie::TransferFails { nth } if self.transfers.fetch_add(1, Ordering::Relaxed) == nth => {
                return Ok(Box::new(Failed));
            }
            _ => {}
        }
        self.inner.submit(source, copies)
    }
    fn synchronize(&self) -> Result<(), DeviceError> {
        self.inner.synchronize()
    }
    fn read_back(&self, runs: Runs, into: &mut StagingBuffer) -> Result<(), DeviceError> {
        self.inner.read_back(runs, into)?;
        if let Lie::Bit { arena, offset } = self.lie
            && arena == self.index
        {
            for row in 0..runs.rows {
                let start = runs.offset + row * runs.pitch;
                if (start..start + runs.width).contains(&offset) {
                    into.bytes_mut()[(row * runs.width + offset - start) as usize] ^= 0x04;
                }
            }
        }
        Ok(())
    }
}

fn load_onto(placement: &Placement, lie: Lie) -> Result<LoadOutcome, Box<LoadFailure>> {
    load_verified(placement, lie, Verify::Full)
}

fn load_verified(placement: &Placement, lie: Lie, verify: Verify) -> Result<LoadOutcome, Box<LoadFailure>> {
    let cards = Lying { inner: cards(), lie, arenas: Arc::default(), transfers: Arc::default() };
    let options = LoadOptions { verify, ..options() };
    load(placement, &cards, &Disk::default(), &options, &Progress::new(placement), &Unobserved)
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_named() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let placement = &fixture.placement;
    for (index, tensor) in placement.ranks[1].tensors.iter().enumerate() {
        // First byte, last byte (padding, in some), and one in the middle.
        let places = [0, tensor.bytes.0 / 2 + 1, tensor.bytes.0 - 1];
        for (within, verify) in
            places.into_iter().flat_map(|within| [(within, Verify::Full), (within, Verify::Checksum)])
        {
            let lie = Lie::Bit { arena: 1, offset: tensor.offset + within };
            let failure = load_verified(placement, lie, verify).unwrap_err();
            let LoadError::Mismatch { first, differing } = &failure.error else { panic!("{failure}") };
            assert_eq!((first.rank, &first.tensor, first.offset, *differing), (1, &tensor.name, within, 1));
            let expected = fixture.expected[1][index].1[within as usize];
            assert_eq!((first.expected, first.found), (expected, expected ^ 0x04));
        }
    }
}

#[test]
fn checksums_read_no_file_again() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let placement = &fixture.placement;
    let options = LoadOptions { verify: Verify::Checksum, ..options() };
    for pack_below in [0, u64::MAX] {
        let options = LoadOptions { pack_below: Some(pack_below), ..options.clone() };
        let progress = Progress::new(placement);
        let outcome = load(placement, &cards(), &Disk::default(), &options, &progress, &Unobserved).unwrap();
        let tensors: Bytes = placement.ranks.iter().flat_map(|rank| &rank.tensors).map(|tensor| tensor.bytes).sum();
        let verification = outcome.verification.unwrap();
        assert_eq!((verification.compared, verification.read_again), (tensors, Bytes::ZERO), "zeros are read back too");
    }
}

#[test]
fn alignment_gaps_are_nobodys_bytes() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let first = &fixture.placement.ranks[0].tensors;
    let gap = first.windows(2).find(|pair| pair[0].offset + pair[0].bytes.0 < pair[1].offset).unwrap();
    let offset = gap[0].offset + gap[0].bytes.0;
    assert!(load_onto(&fixture.placement, Lie::Bit { arena: 0, offset }).is_ok());
}

#[test]
fn a_card_lost_on_the_way_is_named_with_rank_tensor_and_file() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let failure = load_onto(&fixture.placement, Lie::LostAfter { arena: 1, copies: 3 }).unwrap_err();
    assert!(matches!(failure.error, LoadError::Device(DeviceError::Lost { .. })), "{failure}");
    assert_eq!(failure.at.rank, Some(1));
    assert!(failure.at.tensor.is_some() && failure.at.file.is_some(), "{failure}");
    assert!(failure.to_string().contains("placed"), "{failure}");
    assert!(failure.outcome.devices.iter().all(|device| device.at(Phase::Freed).unwrap().used() == Bytes::ZERO));
}

#[test]
fn a_transfer_that_fails_when_waited_for_ends_the_load_whichever_it_is() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let failed = |nth| load_onto(&fixture.placement, Lie::TransferFails { nth });
    let mut nth = 0;
    while let Err(failure) = failed(nth) {
        assert!(matches!(failure.error, LoadError::Device(DeviceError::Lost { .. })), "{failure}");
        assert!(failure.at.rank.is_some() && failure.at.tensor.is_some() && failure.at.file.is_some());
        nth += 1;
        assert!(nth < 10_000, "a load has an end");
    }
    assert!(nth > 10, "only {nth} transfers were tried");
}

#[test]
fn a_load_after_a_failed_one_works() {
    let fixture = tensor_parallel(2, &[0, 1]);
    load_onto(&fixture.placement, Lie::LostAfter { arena: 0, copies: 0 }).unwrap_err();
    let (_, arenas) = load_and_keep(&fixture.placement, cards(), &options()).unwrap();
    assert_expected(&fixture, &arenas);
}
