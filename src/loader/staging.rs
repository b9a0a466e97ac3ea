//! The bounded ring of buffers between the files and the cards.
//!
//! Each worker owns its buffers. A buffer on its way to a card is shared with the transfer, and writing needs it unshared: that a buffer is
//! never overwritten before all copies out of it are done is therefore checked on every reuse, not merely intended.

use std::sync::Arc;

use super::device::{Device, DeviceError, Transfer};
use super::error::LoadError;
use super::options::OptionsError;
use crate::units::Bytes;

/// The smallest buffer that is worth a copy.
const SMALLEST_BUFFER: usize = 64 << 10;
/// Buffers that one worker reads into: one fills while the other leaves.
const READ_BUFFERS: usize = 2;

/// Host memory that a card's backend gave out.
pub trait StagingMemory: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The bytes, for writing.
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl StagingMemory for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// One staging buffer.
pub struct StagingBuffer {
    memory: Box<dyn StagingMemory>,
}

impl StagingBuffer {
    /// A buffer over memory of a backend.
    #[must_use]
    pub fn new(memory: Box<dyn StagingMemory>) -> Self {
        Self { memory }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// Its bytes, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }
}

/// A worker asked for a buffer that it does not have, or that copies are still leaving.
pub(super) const NO_BUFFER: LoadError = LoadError::Internal("a staging buffer is missing or still in use");

/// How the staging memory of a load is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagingPlan {
    /// Threads that read, pack and send.
    pub workers: usize,
    /// Bytes of one buffer, and so of one read.
    pub buffer: usize,
    /// Buffers each worker packs and converts into.
    pub pack_buffers: usize,
}

impl StagingPlan {
    /// Divides `total` among `workers`, fewer of them where the buffers would become too small to be worth it.
    ///
    /// # Errors
    /// When even one worker cannot have its buffers.
    pub fn divide(total: Bytes, workers: usize, packs: bool, largest: Bytes) -> Result<Self, OptionsError> {
        let pack_buffers = if packs { READ_BUFFERS } else { 0 };
        let per_worker = READ_BUFFERS + pack_buffers;
        let total = usize::try_from(total.0).unwrap_or(usize::MAX);
        let workers = workers.clamp(1, (total / (per_worker * SMALLEST_BUFFER)).max(1));
        let largest = usize::try_from(largest.0).unwrap_or(usize::MAX).max(SMALLEST_BUFFER);
        let buffer = (total / (workers * per_worker)).min(largest);
        // Whole pages, so that unbuffered reads could use the same buffers.
        let buffer = buffer - buffer % 4096;
        if buffer < SMALLEST_BUFFER {
            let smallest = Bytes((per_worker * SMALLEST_BUFFER) as u64);
            return Err(OptionsError::StagingTooSmall { given: Bytes(total as u64), smallest });
        }
        Ok(Self { workers, buffer, pack_buffers })
    }

    /// All staging memory of the load.
    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes((self.workers * (READ_BUFFERS + self.pack_buffers) * self.buffer) as u64)
    }
}

/// Copies out of one buffer, with what they bring.
pub(super) struct Sent {
    /// Copies on their way.
    pub(super) transfer: Box<dyn Transfer>,
    /// Index of the rank they go to.
    pub(super) rank: usize,
    /// Index of the first tensor they fill.
    pub(super) tensor: usize,
    /// Index of the file they came from.
    pub(super) file: usize,
    /// Bytes they place.
    pub(super) bytes: u64,
}

/// A failed transfer, and whose it was.
pub(super) struct Unsent {
    pub(super) error: DeviceError,
    pub(super) rank: usize,
    pub(super) tensor: usize,
    pub(super) file: usize,
}

/// A buffer and the copies that are still leaving it.
pub(super) struct Slot {
    buffer: Arc<StagingBuffer>,
    sent: Vec<Sent>,
}

impl Slot {
    fn new(device: &dyn Device, bytes: usize) -> Result<Self, DeviceError> {
        Ok(Self { buffer: Arc::new(StagingBuffer::new(device.staging(bytes)?)), sent: Vec::new() })
    }

    /// Waits for all copies out of the buffer, telling `arrived` of each (rank, bytes).
    pub(super) fn drain(&mut self, mut arrived: impl FnMut(usize, u64)) -> Result<(), Unsent> {
        for Sent { transfer, rank, tensor, file, bytes } in self.sent.drain(..) {
            transfer.wait().map_err(|error| Unsent { error, rank, tensor, file })?;
            arrived(rank, bytes);
        }
        Ok(())
    }

    /// Exclusive access; `None` while a transfer still shares the buffer.
    pub(super) fn exclusive(&mut self) -> Option<&mut StagingBuffer> {
        Arc::get_mut(&mut self.buffer)
    }

    pub(super) fn shared(&self) -> &Arc<StagingBuffer> {
        &self.buffer
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    pub(super) fn sent(&mut self, sent: Sent) {
        self.sent.push(sent);
    }
}

/// The buffers of one worker, used in turn.
pub(super) struct WorkerStaging {
    pub(super) read: Turns,
    pub(super) pack: Turns,
}

impl WorkerStaging {
    pub(super) fn new(device: &dyn Device, plan: &StagingPlan) -> Result<Self, DeviceError> {
        Ok(Self {
            read: Turns::new(device, READ_BUFFERS, plan.buffer)?,
            pack: Turns::new(device, plan.pack_buffers, plan.buffer)?,
        })
    }

    pub(super) fn drain(&mut self, mut arrived: impl FnMut(usize, u64)) -> Result<(), Unsent> {
        for slot in self.read.slots.iter_mut().chain(&mut self.pack.slots) {
            slot.drain(&mut arrived)?;
        }
        Ok(())
    }
}

/// Buffers of one purpose in turn: the next one is the one that left longest ago.
pub(super) struct Turns {
    slots: Vec<Slot>,
    next: usize,
}

impl Turns {
    fn new(device: &dyn Device, count: usize, bytes: usize) -> Result<Self, DeviceError> {
        let slots = (0..count).map(|_| Slot::new(device, bytes)).collect::<Result<_, _>>()?;
        Ok(Self { slots, next: 0 })
    }

    /// The slot whose turn it is; `None` when there is no slot of this purpose.
    pub(super) fn take_turn(&mut self) -> Option<&mut Slot> {
        let count = self.slots.len();
        let slot = self.slots.get_mut(self.next)?;
        self.next = (self.next + 1) % count;
        Some(slot)
    }

    /// The first two buffers, both drained, for comparing file and card.
    pub(super) fn pair(&mut self) -> Option<(&mut StagingBuffer, &mut StagingBuffer)> {
        let [first, second, ..] = self.slots.as_mut_slice() else { return None };
        Some((first.exclusive()?, second.exclusive()?))
    }

    pub(super) fn first(&mut self) -> Option<&mut StagingBuffer> {
        self.slots.first_mut()?.exclusive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::device::{Cards, HostCards};

    /// Shares the buffer, as copies in flight do, and fails when asked to.
    struct InFlight(#[expect(dead_code, reason = "held as a card holds it")] Arc<StagingBuffer>, bool);

    impl Transfer for InFlight {
        fn wait(self: Box<Self>) -> Result<(), DeviceError> {
            if self.1 { Err(DeviceError::NoSuchDevice { index: 0, available: 0 }) } else { Ok(()) }
        }
    }

    #[test]
    fn a_buffer_cannot_be_written_while_copies_leave_it() {
        let device = HostCards::new(&[Bytes::mib(1)]).open(0).unwrap();
        let mut slot = Slot::new(device.as_ref(), SMALLEST_BUFFER).unwrap();
        let in_flight = |slot: &mut Slot, fails| {
            let transfer = Box::new(InFlight(Arc::clone(slot.shared()), fails));
            slot.sent(Sent { transfer, rank: 3, tensor: 0, file: 0, bytes: 5 });
        };
        assert!(slot.exclusive().is_some());
        in_flight(&mut slot, false);
        in_flight(&mut slot, false);
        assert!(slot.exclusive().is_none());
        let mut arrived = Vec::new();
        assert!(slot.drain(|rank, bytes| arrived.push((rank, bytes))).is_ok());
        assert_eq!(arrived, [(3, 5), (3, 5)]);
        assert!(slot.exclusive().is_some());
        in_flight(&mut slot, true);
        in_flight(&mut slot, false);
        assert!(slot.drain(|_, _| {}).is_err_and(|unsent| unsent.rank == 3));
    }

    #[test]
    fn staging_never_exceeds_what_was_stated() {
        for total in [Bytes::kib(128), Bytes::kib(300), Bytes::mib(1), Bytes::mib(100), Bytes::gib(3)] {
            for workers in [1, 2, 7, 64] {
                let plan = StagingPlan::divide(total, workers, false, Bytes::mib(16)).unwrap();
                assert!(plan.total() <= total, "{plan:?} of {total}");
                assert!(plan.buffer >= SMALLEST_BUFFER && plan.buffer.is_multiple_of(4096));
                assert!(plan.workers >= 1 && plan.workers <= workers);
            }
        }
    }

    #[test]
    fn too_little_staging_is_refused_with_the_least_that_works() {
        let refused = StagingPlan::divide(Bytes::kib(200), 4, true, Bytes::mib(16));
        assert_eq!(refused, Err(OptionsError::StagingTooSmall { given: Bytes::kib(200), smallest: Bytes::kib(256) }));
        assert!(StagingPlan::divide(Bytes::kib(256), 4, true, Bytes::mib(16)).is_ok());
    }
}
