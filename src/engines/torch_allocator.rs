//! Torch's caching allocator, replayed over a rank's tensors: how many bytes it hands out for them.
//!
//! The number that engines log as the size of a loaded model is the sum of the allocator's *blocks*, not of the tensors: a block of the large
//! pool keeps up to 1 MiB more than was asked for (`c10/cuda/CUDACachingAllocator.cpp`). Layers repeat, and so does the allocator's state:
//! once it recurs, the layers in between are multiplied instead of replayed.

use crate::model::{IndexSet, Part};
use crate::sharding::{RankTensor, Where};
use crate::units::{Bytes, round_up};

/// Every request is rounded up to a multiple of this (`kMinBlockSize`).
const GRANULE: u64 = 512;
/// Requests up to this size come from the small pool (`kSmallSize`).
const SMALL: u64 = 1 << 20;
/// Segments of the small pool (`kSmallBuffer`).
const SMALL_SEGMENT: u64 = 2 << 20;
/// Requests below this size share segments (`kMinLargeAlloc`).
const OWN_SEGMENT: u64 = 10 << 20;
/// Segments that they share (`kLargeBuffer`).
const SHARED_SEGMENT: u64 = 20 << 20;
/// Segments of larger requests are rounded up to a multiple of this (`kRoundLarge`).
const ROUND_SEGMENT: u64 = 2 << 20;

/// Longest pattern of layers that is looked for (three layers of one kind and one of another are a pattern of four).
const LONGEST_PATTERN: usize = 8;

/// What the allocator holds once all tensors are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocated {
    /// Sum of the blocks in use: `torch.cuda.memory_allocated()`.
    pub blocks: Bytes,
    /// Sum of the segments: `torch.cuda.memory_reserved()`. The small pool is taken as filled without gaps, which holds to a few MiB.
    pub segments: Bytes,
}

/// Replays the construction of a rank's tensors: towers first, then the decoder; of each what comes before the layers, the layers one after
/// the other, what comes after them.
///
/// `tensors` is in the order of construction with each layer's tensors once, as [`shard`](crate::sharding::shard) yields it.
#[must_use]
pub fn replay(tensors: &[RankTensor]) -> Allocated {
    let mut allocator = Allocator::new(tensors);
    let (towers, decoder): (Vec<_>, Vec<_>) = tensors.iter().partition(|t| t.part == Part::Vision);
    // A tower's mergers are numbered like its blocks, and made after them.
    let blocks = blocks_end(&towers);
    let (tower, mergers) = towers.split_at(blocks);
    allocator.stack(tower);
    for tensor in mergers {
        let count = tensor.copies.saturating_mul(tensor.place.count());
        allocator.request(granules(tensor.bytes_each().0), count);
    }
    allocator.stack(&decoder);
    allocator.finish()
}

/// The same without reuse: every tensor in the block that a fresh segment gives it, whatever the order of construction.
#[must_use]
pub fn without_reuse(tensors: &[RankTensor]) -> Bytes {
    let count = |t: &RankTensor| t.copies.saturating_mul(t.place.count());
    tensors.iter().map(|t| Bytes(fresh_block(granules(t.bytes_each().0))) * count(t)).sum()
}

/// Block that a request gets from a segment of its own.
fn fresh_block(size: u64) -> u64 {
    let segment = round_up(size, ROUND_SEGMENT);
    if size >= OWN_SEGMENT && segment - size <= SMALL { segment } else { size }
}

fn in_layers(tensor: &RankTensor) -> bool {
    !matches!(tensor.place, Where::Once)
}

/// The large pool; the small pool needs no more than sums, because its blocks are split down to the granule.
#[derive(Debug, Default)]
struct Allocator {
    /// Blocks in use, large pool.
    blocks: u64,
    /// Segments, large pool.
    segments: u64,
    /// Blocks in use, small pool.
    small: u64,
    /// Sizes of the free blocks of the large pool, ascending, without those that no request will ever fit.
    free: Vec<u64>,
    /// The smallest request that reaches the large pool.
    smallest_large: u64,
}

impl Allocator {
    fn new(tensors: &[RankTensor]) -> Self {
        let sizes = tensors.iter().map(|t| granules(t.bytes_each().0));
        let smallest_large = sizes.filter(|size| *size > SMALL).min().unwrap_or(u64::MAX);
        Self { smallest_large, ..Self::default() }
    }

    /// Allocates tensors that occur once.
    fn take<'a>(&mut self, tensors: impl IntoIterator<Item = &'a RankTensor>) {
        for tensor in tensors {
            let size = granules(tensor.bytes_each().0);
            self.request(size, tensor.copies);
        }
    }

    /// Allocates a stack of layers with what stands around them.
    fn stack(&mut self, tensors: &[&RankTensor]) {
        let first = tensors.iter().position(|t| in_layers(t)).unwrap_or(tensors.len());
        let (before, rest) = tensors.split_at(first);
        self.take(before.iter().copied());
        // The first layer's attention makes the tables that all layers share.
        let (tables, outside): (Vec<&RankTensor>, Vec<&RankTensor>) =
            rest.iter().filter(|t| !in_layers(t)).partition(|t| t.part == Part::Rotary);
        self.layers(rest.iter().copied().filter(|t| in_layers(t)), &tables);
        self.take(outside);
    }

    /// Allocates the tensors of every layer, layer by layer.
    fn layers<'a>(&mut self, tensors: impl Iterator<Item = &'a RankTensor>, tables: &[&RankTensor]) {
        let mut large = Vec::new();
        for tensor in tensors {
            let size = granules(tensor.bytes_each().0);
            match &tensor.place {
                Where::Layers(layers) if size > SMALL => large.push(Repeated { size, tensor, layers }),
                _ if size <= SMALL => {
                    let count = tensor.copies.saturating_mul(tensor.place.count());
                    self.small = self.small.saturating_add(size.saturating_mul(count));
                }
                // Not by layer alone: one after the other.
                _ => self.request(size, tensor.copies.saturating_mul(tensor.place.count())),
            }
        }
        let kinds = kinds(&large);
        let of_first = |(i, _): &(usize, &Repeated<'_>)| kinds.first().is_some_and(|kind| kind >> i & 1 == 1);
        let (attention, others): (Vec<_>, Vec<_>) =
            large.iter().enumerate().filter(of_first).map(|(_, t)| t.tensor).partition(|t| t.part == Part::Attention);
        self.take(attention);
        self.take(tables.iter().copied());
        self.take(others);
        let mut at = kinds.len().min(1);
        while at < kinds.len() {
            let pattern = pattern(&kinds[at..]);
            let repeats = pattern.map_or(1, |p| p.repeats);
            let length = pattern.map_or(1, |p| p.length);
            let pattern = &kinds[at..at + length];
            self.repeat(repeats as u64, |allocator| allocator.once(&large, pattern));
            at += length * repeats;
        }
    }

    /// Does something so many times. When the free blocks are as they were some repeats ago, so is all that follows.
    fn repeat(&mut self, times: u64, once: impl Fn(&mut Self)) {
        let mut seen: Vec<(Vec<u64>, u64, u64)> = Vec::new();
        for done in 0..times {
            if let Some(since) = seen.iter().position(|(free, ..)| *free == self.free) {
                let period = (seen.len() - since) as u64;
                let (whole, over) = ((times - done) / period, (times - done) % period);
                let (_, blocks, segments) = seen[since];
                self.blocks = self.blocks.saturating_add((self.blocks - blocks).saturating_mul(whole));
                self.segments = self.segments.saturating_add((self.segments - segments).saturating_mul(whole));
                (0..over).for_each(|_| once(self));
                return;
            }
            seen.push((self.free.clone(), self.blocks, self.segments));
            once(self);
        }
    }

    fn once(&mut self, tensors: &[Repeated<'_>], kinds: &[u64]) {
        for kind in kinds {
            for (i, tensor) in tensors.iter().enumerate() {
                if kind >> i & 1 == 1 {
                    self.request(tensor.size, tensor.tensor.copies);
                }
            }
        }
    }

    /// Hands out `count` blocks of `size` bytes, a multiple of the granule.
    fn request(&mut self, size: u64, count: u64) {
        if size <= SMALL {
            self.small = self.small.saturating_add(size.saturating_mul(count));
            return;
        }
        match count {
            1 => self.large(size),
            _ => self.repeat(count, |allocator| allocator.large(size)),
        }
    }

    /// Best fit: the smallest free block that is large enough, else a new segment. A rest of more than 1 MiB becomes a free block.
    fn large(&mut self, size: u64) {
        let found = self.free.partition_point(|free| *free < size);
        let block = if found < self.free.len() {
            self.free.remove(found)
        } else {
            let segment = if size < OWN_SEGMENT { SHARED_SEGMENT } else { round_up(size, ROUND_SEGMENT) };
            self.segments = self.segments.saturating_add(segment);
            segment
        };
        let rest = block - size;
        if rest > SMALL {
            self.blocks = self.blocks.saturating_add(size);
            if rest >= self.smallest_large {
                let place = self.free.partition_point(|free| *free < rest);
                self.free.insert(place, rest);
            }
        } else {
            self.blocks = self.blocks.saturating_add(block);
        }
    }

    fn finish(self) -> Allocated {
        Allocated {
            blocks: Bytes(self.blocks.saturating_add(self.small)),
            segments: Bytes(self.segments.saturating_add(round_up(self.small, SMALL_SEGMENT))),
        }
    }
}

/// Where the tensors of a tower's blocks end: after the last one that all blocks have.
fn blocks_end(tower: &[&RankTensor]) -> usize {
    let blocks = |tensor: &RankTensor| if in_layers(tensor) { tensor.place.count() } else { 0 };
    let most = tower.iter().map(|tensor| blocks(tensor)).max().unwrap_or(0);
    tower.iter().rposition(|tensor| most > 0 && blocks(tensor) == most).map_or(0, |last| last + 1)
}

/// A tensor of the large pool that occurs in several layers.
struct Repeated<'a> {
    size: u64,
    tensor: &'a RankTensor,
    layers: &'a IndexSet,
}

fn granules(bytes: u64) -> u64 {
    round_up(bytes, GRANULE)
}

/// For each layer, which tensors it has, as bits. Beyond 64 tensors a layer the last bit stands for all others.
fn kinds(tensors: &[Repeated<'_>]) -> Vec<u64> {
    let end = tensors.iter().filter_map(|t| t.layers.iter().last()).max().map_or(0, |last| last as usize + 1);
    let mut kinds = vec![0u64; end];
    for (i, tensor) in tensors.iter().enumerate().take(64) {
        for layer in tensor.layers.iter() {
            kinds[layer as usize] |= 1 << i;
        }
    }
    kinds.retain(|kind| *kind != 0);
    kinds
}

/// How often the first layers repeat.
#[derive(Clone, Copy)]
struct Pattern {
    length: usize,
    repeats: usize,
}

/// The pattern that covers the most layers from the first one on; `None` when none repeats.
fn pattern(kinds: &[u64]) -> Option<Pattern> {
    let covers = |p: &Pattern| (p.length * p.repeats, usize::MAX - p.length);
    (1..=LONGEST_PATTERN.min(kinds.len() / 2))
        .map(|length| {
            let same = kinds[length..].iter().zip(kinds).take_while(|(a, b)| a == b).count();
            Pattern { length, repeats: 1 + same / length }
        })
        .filter(|p| p.repeats > 1)
        .max_by_key(covers)
}
