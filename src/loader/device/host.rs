//! Cards made of host memory: the same placement, streaming and verification as on a GPU, with real bytes and a real refusal when full.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

use super::{Arena, Cards, Device, DeviceError, DeviceIdentity, DeviceKind, DeviceMemory, Runs, Transfer};
use crate::loader::staging::{StagingBuffer, StagingMemory};
use crate::placement::StridedCopy;
use crate::units::Bytes;

/// An arena is a row of segments with a lock each, so that several workers fill it at once. Four huge pages each.
const SEGMENT: u64 = 8 << 20;

/// Cards of stated capacities.
#[derive(Debug)]
pub struct HostCards {
    cards: Vec<Arc<Card>>,
}

impl HostCards {
    /// One card for each capacity.
    #[must_use]
    pub fn new(capacities: &[Bytes]) -> Self {
        let card = |(ordinal, &total): (u32, &Bytes)| {
            let name = "host memory".to_owned();
            let identity = DeviceIdentity { kind: DeviceKind::Host, ordinal, name, uuid: None, total };
            Arc::new(Card { identity, used: Mutex::new(0) })
        };
        Self { cards: (0..).zip(capacities).map(card).collect() }
    }

    fn card(&self, index: usize) -> Result<&Arc<Card>, DeviceError> {
        let missing = DeviceError::NoSuchDevice { index: index as u64, available: self.cards.len() as u64 };
        self.cards.get(index).ok_or(missing)
    }
}

impl Cards for HostCards {
    fn kind(&self) -> DeviceKind {
        DeviceKind::Host
    }

    fn len(&self) -> usize {
        self.cards.len()
    }

    fn pack_below(&self) -> u64 {
        // A CPU copies a narrow run as well from the staging buffer as from a packed one.
        0
    }

    fn best_buffer(&self) -> Bytes {
        // Stays in the core's cache between the read and the copy, so that the bytes pass through memory once less.
        Bytes::mib(1)
    }

    fn identity(&self, index: usize) -> Result<DeviceIdentity, DeviceError> {
        Ok(self.card(index)?.identity.clone())
    }

    fn open(&self, index: usize) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(HostDevice(Arc::clone(self.card(index)?))))
    }
}

#[derive(Debug)]
struct Card {
    identity: DeviceIdentity,
    used: Mutex<u64>,
}

impl Card {
    fn memory(&self) -> DeviceMemory {
        let total = self.identity.total;
        DeviceMemory { free: total.saturating_sub(Bytes(*lock(&self.used))), total }
    }

    fn out_of_memory(&self, requested: Bytes) -> DeviceError {
        DeviceError::OutOfMemory {
            device: self.identity.to_string(),
            requested: Some(requested),
            memory: Some(self.memory()),
        }
    }
}

/// A worker that panicked cannot leave half a byte behind, so a poisoned lock still guards good data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct HostDevice(Arc<Card>);

impl Device for HostDevice {
    fn identity(&self) -> &DeviceIdentity {
        &self.0.identity
    }

    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        Ok(self.0.memory())
    }

    fn allocate(&self, bytes: Bytes) -> Result<Box<dyn Arena>, DeviceError> {
        let reserved = Reserved::take(&self.0, bytes)?;
        let mut segments = Vec::new();
        let mut left = bytes.0;
        while left > 0 {
            let len = left.min(SEGMENT);
            segments.push(Mutex::new(map(len).map_err(|_| self.0.out_of_memory(bytes))?));
            left -= len;
        }
        Ok(Box::new(HostArena { reserved, segments }))
    }

    fn staging(&self, bytes: usize) -> Result<Box<dyn StagingMemory>, DeviceError> {
        let memory = map(bytes as u64).map_err(|_| self.0.out_of_memory(Bytes(bytes as u64)))?;
        Ok(Box::new(memory))
    }
}

impl StagingMemory for MmapMut {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Zeroed memory that appears page by page as it is written, in huge pages where the system has them: faulting in small pages costs more
/// than copying the bytes.
fn map(bytes: u64) -> std::io::Result<MmapMut> {
    let memory = MmapMut::map_anon(usize::try_from(bytes).map_err(|_| std::io::ErrorKind::OutOfMemory)?)?;
    #[cfg(target_os = "linux")]
    if bytes >= SEGMENT {
        // Best effort: a kernel without huge pages only makes it slower.
        let _ = memory.advise(memmap2::Advice::HugePage);
    }
    Ok(memory)
}

/// A share of a card's capacity, given back when dropped.
struct Reserved {
    card: Arc<Card>,
    bytes: Bytes,
}

impl Reserved {
    fn take(card: &Arc<Card>, bytes: Bytes) -> Result<Self, DeviceError> {
        let mut used = lock(&card.used);
        match used.checked_add(bytes.0).filter(|&after| after <= card.identity.total.0) {
            Some(after) => {
                *used = after;
                Ok(Self { card: Arc::clone(card), bytes })
            }
            None => {
                drop(used);
                Err(card.out_of_memory(bytes))
            }
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut used = lock(&self.card.used);
        *used = used.saturating_sub(self.bytes.0);
    }
}

struct HostArena {
    reserved: Reserved,
    segments: Vec<Mutex<MmapMut>>,
}

impl HostArena {
    fn check(&self, runs: Runs) -> Result<(), DeviceError> {
        if runs.fits(self.reserved.bytes.0) { Ok(()) } else { Err(self.out_of_range(runs)) }
    }

    fn out_of_range(&self, runs: Runs) -> DeviceError {
        let device = self.reserved.card.identity.to_string();
        DeviceError::OutOfRange { device, width: runs.width, rows: runs.rows }
    }

    /// Calls `visit` with each contiguous piece of the runs in order: its bytes, and where it lies in the packed runs. The runs must have
    /// been checked.
    fn visit(&self, runs: Runs, mut visit: impl FnMut(&mut [u8], u64)) {
        let mut locked: Option<(u64, MutexGuard<'_, MmapMut>)> = None;
        for row in 0..runs.rows {
            let mut done = 0;
            while done < runs.width {
                let at = runs.offset + row * runs.pitch + done;
                let (index, within) = (at / SEGMENT, at % SEGMENT);
                let len = (runs.width - done).min(SEGMENT - within);
                let held = locked.take().filter(|(held, _)| *held == index);
                let (_, segment) = locked.insert(held.unwrap_or_else(|| (index, lock(&self.segments[index as usize]))));
                visit(&mut segment[within as usize..(within + len) as usize], row * runs.width + done);
                done += len;
            }
        }
    }
}

impl Arena for HostArena {
    fn zero(&self, runs: Runs) -> Result<(), DeviceError> {
        self.check(runs)?;
        self.visit(runs, |target, _| target.fill(0));
        Ok(())
    }

    fn submit(&self, source: &Arc<StagingBuffer>, copies: &[StridedCopy]) -> Result<Box<dyn Transfer>, DeviceError> {
        let bytes = source.bytes();
        for copy in copies {
            let target = Runs::target_of(copy);
            self.check(target)?;
            if !Runs::source_of(copy).fits(bytes.len() as u64) {
                return Err(self.out_of_range(target));
            }
            if copy.bytes() == 0 {
                continue;
            }
            self.visit(target, |target, packed| {
                let (row, column) = (packed / copy.width, packed % copy.width);
                let start = (copy.source_offset + row * copy.source_pitch + column) as usize;
                target.copy_from_slice(&bytes[start..start + target.len()]);
            });
        }
        Ok(Box::new(Arrived))
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read_back(&self, runs: Runs, into: &mut StagingBuffer) -> Result<(), DeviceError> {
        self.check(runs)?;
        let into = into.bytes_mut();
        if runs.bytes() > into.len() as u64 {
            return Err(self.out_of_range(runs));
        }
        self.visit(runs, |source, packed| {
            into[packed as usize..packed as usize + source.len()].copy_from_slice(source);
        });
        Ok(())
    }
}

/// A host copy is done when it returns.
struct Arrived;

impl Transfer for Arrived {
    fn wait(self: Box<Self>) -> Result<(), DeviceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(capacity: Bytes) -> Arc<dyn Device> {
        HostCards::new(&[capacity]).open(0).unwrap()
    }

    #[test]
    fn a_full_card_refuses_and_says_what_is_left() {
        let device = open(Bytes::mib(20));
        let first = device.allocate(Bytes::mib(15)).unwrap();
        let refused = device.allocate(Bytes::mib(6)).err();
        let memory = Some(DeviceMemory { free: Bytes::mib(5), total: Bytes::mib(20) });
        let requested = Some(Bytes::mib(6));
        assert_eq!(refused, Some(DeviceError::OutOfMemory { device: "host:0".to_owned(), requested, memory }));
        drop(first);
        assert_eq!(device.memory().unwrap().free, Bytes::mib(20));
        assert!(device.allocate(Bytes::mib(20)).is_ok());
    }

    #[test]
    fn runs_cross_segments() {
        let device = open(Bytes::mib(40));
        let arena = device.allocate(Bytes::mib(20)).unwrap();
        let source: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let source = Arc::new(StagingBuffer::new(Box::new(source)));
        let copy = StridedCopy {
            source_offset: 7,
            source_pitch: 1_000_000,
            target_offset: SEGMENT - 500_000,
            target_pitch: SEGMENT - 100,
            width: 900_000,
            rows: 2,
        };
        arena.submit(&source, &[copy]).unwrap().wait().unwrap();
        let mut back = StagingBuffer::new(device.staging(1_800_000).unwrap());
        arena.read_back(Runs::target_of(&copy), &mut back).unwrap();
        assert_eq!(&back.bytes()[..900_000], &source.bytes()[7..900_007]);
        assert_eq!(&back.bytes()[900_000..1_800_000], &source.bytes()[1_000_007..1_900_007]);
        arena.zero(Runs::target_of(&copy)).unwrap();
        arena.read_back(Runs::target_of(&copy), &mut back).unwrap();
        assert!(back.bytes().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_leaves_the_arena_is_refused() {
        let device = open(Bytes::mib(1));
        let arena = device.allocate(Bytes(1000)).unwrap();
        let source = Arc::new(StagingBuffer::new(Box::new(vec![1; 100])));
        let copy = StridedCopy {
            source_offset: 0,
            source_pitch: 100,
            target_offset: 901,
            target_pitch: 100,
            width: 100,
            rows: 1,
        };
        let inside = StridedCopy { target_offset: 900, ..copy };
        assert!(arena.submit(&source, &[inside]).is_ok());
        assert!(matches!(arena.submit(&source, &[copy]), Err(DeviceError::OutOfRange { .. })));
        let beyond_source = StridedCopy { source_offset: 1, ..inside };
        assert!(matches!(arena.submit(&source, &[beyond_source]), Err(DeviceError::OutOfRange { .. })));
        assert!(matches!(arena.zero(Runs::contiguous(0, 1001)), Err(DeviceError::OutOfRange { .. })));
    }
}
