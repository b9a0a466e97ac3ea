//! Small checkpoints with their placements, what each rank should hold by a naive rule, and cards that keep what they held.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests write files, and stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use shardfit::loader::device::{
    Arena, Cards, Device, DeviceError, DeviceIdentity, DeviceKind, DeviceMemory, Runs, Transfer,
};
use shardfit::loader::reader::Disk;
use shardfit::loader::staging::{StagingBuffer, StagingMemory};
use shardfit::loader::{Cast, LoadFailure, LoadOptions, LoadOutcome, Progress, Unobserved, load};
use shardfit::model::Part;
use shardfit::placement::{
    Destination, FileRange, Generator, PlacedFill, PlacedTensor, Placement, RankPlacement, RankPool, SourceFile,
    SourceRead, StridedCopy, TENSOR_ALIGNMENT,
};
use shardfit::units::{Bytes, DType};

/// A checkpoint under construction.
pub struct Builder {
    files: Vec<Vec<u8>>,
    ranks: Vec<RankPlacement>,
    expected: Vec<Vec<(String, Vec<u8>)>>,
    reads: Vec<SourceRead>,
    random: u64,
}

/// What one rank gets of a matrix.
#[derive(Debug, Clone)]
pub struct Slice {
    pub rank: usize,
    pub rows: Range<u64>,
    pub columns: Range<u64>,
    pub to: DType,
    /// Rows and columns of zeros behind the slice.
    pub padding: (u64, u64),
}

impl Slice {
    pub fn new(rank: usize, rows: Range<u64>, columns: Range<u64>) -> Self {
        Self { rank, rows, columns, to: DType::BF16, padding: (0, 0) }
    }
}

/// A checkpoint in a folder, and what a load of it must give.
pub struct Fixture {
    pub placement: Placement,
    /// For each rank, each tensor's bytes.
    pub expected: Vec<Vec<(String, Vec<u8>)>>,
    pub folder: tempfile::TempDir,
}

impl Builder {
    /// `devices[r]` is the card of rank *r*.
    pub fn new(files: usize, devices: &[usize]) -> Self {
        let rank = |(rank, &device): (usize, &usize)| RankPlacement {
            rank: rank as u32,
            device,
            arena: Bytes::ZERO,
            tensors: Vec::new(),
            pool: RankPool::default(),
        };
        Self {
            // Something in front of the first tensor, as a header would be.
            files: (0..files).map(|file| vec![0xee; 37 + 8 * file]).collect(),
            ranks: devices.iter().enumerate().map(rank).collect(),
            expected: vec![Vec::new(); devices.len()],
            reads: Vec::new(),
            random: 0x1234_5678_9abc_def1,
        }
    }

    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Bytes in a file that no tensor uses.
    pub fn gap(&mut self, file: usize, bytes: usize) -> &mut Self {
        let len = self.files[file].len();
        self.files[file].resize(len + bytes, 0xdd);
        self
    }

    /// A matrix in a file, and who gets what of it.
    pub fn matrix(
        &mut self,
        file: usize,
        name: &str,
        dtype: DType,
        [rows, columns]: [u64; 2],
        slices: &[Slice],
    ) -> &mut Self {
        let size = dtype.bits() / 8;
        let data: Vec<u8> = (0..rows * columns * size).map(|_| self.next() as u8).collect();
        let offset = self.files[file].len() as u64;
        self.files[file].extend(&data);
        let mut destinations = Vec::new();
        for slice in slices {
            destinations.push(self.slice(name, dtype, columns, &data, slice));
        }
        let range = FileRange { file, offset, len: data.len() as u64 };
        self.reads.push(SourceRead { tensor: format!("model.{name}"), range, destinations });
        self
    }

    fn slice(&mut self, name: &str, dtype: DType, columns: u64, data: &[u8], slice: &Slice) -> Destination {
        let (from, to) = (dtype.bits() / 8, slice.to.bits() / 8);
        let height = slice.rows.end - slice.rows.start;
        let width = slice.columns.end - slice.columns.start;
        let (pad_rows, pad_columns) = slice.padding;
        let held = width + pad_columns;
        // The naive rule: element by element.
        let cast = (dtype != slice.to).then(|| Cast::new(dtype, slice.to).unwrap());
        let mut bytes = vec![0; ((height + pad_rows) * held * to) as usize];
        for row in 0..height {
            for column in 0..width {
                let at = (((slice.rows.start + row) * columns + slice.columns.start + column) * from) as usize;
                let into = ((row * held + column) * to) as usize;
                let element = &data[at..at + from as usize];
                let target = &mut bytes[into..into + to as usize];
                match cast {
                    Some(cast) => cast.convert(element, target),
                    None => target.copy_from_slice(element),
                }
            }
        }
        let mut fills = Vec::new();
        if pad_columns > 0 {
            // As the placement does: the whole tensor, before its parts arrive.
            let all = bytes.len() as u64;
            fills.push(PlacedFill::Zero { offset: 0, pitch: all, width: all, rows: 1 });
        } else if pad_rows > 0 {
            let (offset, width) = (height * held * to, pad_rows * held * to);
            fills.push(PlacedFill::Zero { offset, pitch: width, width, rows: 1 });
        }
        let tensor = self.place(slice.rank, name, slice.to, vec![height + pad_rows, held], bytes, fills);
        let copy = StridedCopy {
            source_offset: (slice.rows.start * columns + slice.columns.start) * from,
            source_pitch: columns * from,
            target_offset: 0,
            target_pitch: held * to,
            width: width * from,
            rows: height,
        };
        let copy = if cast.is_none() { copy.merged() } else { copy };
        Destination { rank: slice.rank, tensor, copy, cast: cast.map(|_| (dtype, slice.to)) }
    }

    /// A tensor that no file holds.
    pub fn generated(&mut self, rank: usize, name: &str, bytes: u64) -> &mut Self {
        let fills = vec![PlacedFill::Generated(Generator::Computed)];
        self.place(rank, name, DType::U8, vec![bytes], vec![0; bytes as usize], fills);
        self
    }

    fn place(
        &mut self,
        rank: usize,
        name: &str,
        dtype: DType,
        shape: Vec<u64>,
        bytes: Vec<u8>,
        fills: Vec<PlacedFill>,
    ) -> usize {
        let rank_placement = &mut self.ranks[rank];
        let offset = rank_placement.arena.0.next_multiple_of(TENSOR_ALIGNMENT);
        rank_placement.arena = Bytes(offset + bytes.len() as u64);
        let bytes_held = Bytes(bytes.len() as u64);
        let name = name.to_owned();
        self.expected[rank].push((name.clone(), bytes));
        rank_placement.tensors.push(PlacedTensor {
            name,
            part: Part::Other,
            dtype,
            shape,
            offset,
            bytes: bytes_held,
            fills,
        });
        rank_placement.tensors.len() - 1
    }

    /// Writes the files.
    pub fn build(&mut self) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (index, data) in self.files.iter().enumerate() {
            let path = folder.path().join(format!("part-{index}.bin"));
            std::fs::write(&path, data).unwrap();
            files.push(SourceFile { path, size: Bytes(data.len() as u64) });
        }
        let mut reads = std::mem::take(&mut self.reads);
        reads.sort_by_key(|read| (read.range.file, read.range.offset));
        let (ranks, expected) = (std::mem::take(&mut self.ranks), std::mem::take(&mut self.expected));
        Fixture { placement: Placement { files, ranks, reads }, expected, folder }
    }
}

/// A model of a few layers, split as tensor parallelism splits it: column-parallel, row-parallel, replicated, padded and converted
/// tensors, a generated one, in two files.
pub fn tensor_parallel(ranks: usize, devices: &[usize]) -> Fixture {
    let tp = ranks as u64;
    let (hidden, intermediate, vocabulary) = (96, 256, 1000_u64);
    let mut builder = Builder::new(2, devices);
    let each = |slice: &dyn Fn(u64) -> Slice| (0..tp).map(slice).collect::<Vec<_>>();
    let share = vocabulary.div_ceil(tp * 64) * 64;
    let embedding = each(&|rank| {
        let rows = (rank * share).min(vocabulary)..((rank + 1) * share).min(vocabulary);
        let padding = (share - (rows.end - rows.start), 0);
        Slice { padding, ..Slice::new(rank as usize, rows, 0..hidden) }
    });
    builder.matrix(0, "embedding", DType::BF16, [vocabulary, hidden], &embedding);
    for layer in 0..3_u64 {
        let file = (layer / 2) as usize;
        let width = intermediate / tp;
        let split = |rank: u64| rank * width..(rank + 1) * width;
        let up = each(&|rank| Slice::new(rank as usize, split(rank), 0..hidden));
        let down = each(&|rank| Slice::new(rank as usize, 0..hidden, split(rank)));
        let norm = each(&|rank| Slice::new(rank as usize, 0..1, 0..hidden));
        let scale = each(&|rank| Slice { padding: (0, 3), ..Slice::new(rank as usize, 0..hidden, split(rank)) });
        builder
            .matrix(file, &format!("layers.{layer}.up"), DType::BF16, [intermediate, hidden], &up)
            .matrix(file, &format!("layers.{layer}.down"), DType::BF16, [hidden, intermediate], &down)
            .matrix(file, &format!("layers.{layer}.norm"), DType::F32, [1, hidden], &norm)
            .gap(file, 6000)
            .matrix(file, &format!("layers.{layer}.unused"), DType::F16, [64, 64], &[])
            .matrix(file, &format!("layers.{layer}.scale"), DType::F32, [hidden, intermediate], &scale);
    }
    for rank in 0..ranks {
        builder.generated(rank, "rotary", 5000);
    }
    builder.build()
}

/// Cards that keep what their arenas held when they were freed.
pub struct Keeping<C> {
    inner: C,
    pub kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl<C> Keeping<C> {
    pub fn new(inner: C) -> Self {
        Self { inner, kept: Arc::default() }
    }
}

impl<C: Cards> Cards for Keeping<C> {
    fn kind(&self) -> DeviceKind {
        self.inner.kind()
    }
    fn len(&self) -> usize {
        self.inner.len()
    }
    fn pack_below(&self) -> u64 {
        self.inner.pack_below()
    }
    fn best_buffer(&self) -> Bytes {
        self.inner.best_buffer()
    }
    fn identity(&self, index: usize) -> Result<DeviceIdentity, DeviceError> {
        self.inner.identity(index)
    }
    fn open(&self, index: usize) -> Result<Arc<dyn Device>, DeviceError> {
        Ok(Arc::new(KeepingDevice { inner: self.inner.open(index)?, kept: Arc::clone(&self.kept) }))
    }
}

struct KeepingDevice {
    inner: Arc<dyn Device>,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Device for KeepingDevice {
    fn identity(&self) -> &DeviceIdentity {
        self.inner.identity()
    }
    fn memory(&self) -> Result<DeviceMemory, DeviceError> {
        self.inner.memory()
    }
    fn allocate(&self, bytes: Bytes) -> Result<Box<dyn Arena>, DeviceError> {
        let (inner, kept) = (self.inner.allocate(bytes)?, Arc::clone(&self.kept));
        Ok(Box::new(KeepingArena { inner, bytes: bytes.0, kept }))
    }
    fn staging(&self, bytes: usize) -> Result<Box<dyn StagingMemory>, DeviceError> {
        self.inner.staging(bytes)
    }
}

struct KeepingArena {
    inner: Box<dyn Arena>,
    bytes: u64,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Arena for KeepingArena {
    fn zero(&self, runs: Runs) -> Result<(), DeviceError> {
        self.inner.zero(runs)
    }
    fn submit(&self, source: &Arc<StagingBuffer>, copies: &[StridedCopy]) -> Result<Box<dyn Transfer>, DeviceError> {
        self.inner.submit(source, copies)
    }
    fn synchronize(&self) -> Result<(), DeviceError> {
        self.inner.synchronize()
    }
    fn read_back(&self, runs: Runs, into: &mut StagingBuffer) -> Result<(), DeviceError> {
        self.inner.read_back(runs, into)
    }
}

impl Drop for KeepingArena {
    fn drop(&mut self) {
        let mut bytes = StagingBuffer::new(Box::new(vec![0; self.bytes as usize]));
        if self.inner.read_back(Runs::contiguous(0, self.bytes), &mut bytes).is_ok() {
            self.kept.lock().unwrap().push(bytes.bytes().to_vec());
        }
    }
}

/// Loads a fixture and returns what each rank's arena held, in the order of the ranks.
pub fn load_and_keep<C: Cards>(
    placement: &Placement,
    cards: C,
    options: &LoadOptions,
) -> Result<(LoadOutcome, Vec<Vec<u8>>), Box<LoadFailure>> {
    let cards = Keeping::new(cards);
    let outcome = load(placement, &cards, &Disk::default(), options, &Progress::new(placement), &Unobserved)?;
    let kept = std::mem::take(&mut *cards.kept.lock().unwrap());
    Ok((outcome, kept))
}

/// Panics with the name of the first tensor that is not what the naive rule says.
pub fn assert_expected(fixture: &Fixture, arenas: &[Vec<u8>]) {
    assert_eq!(arenas.len(), fixture.placement.ranks.len());
    for ((rank, expected), arena) in fixture.placement.ranks.iter().zip(&fixture.expected).zip(arenas) {
        for (tensor, (name, bytes)) in rank.tensors.iter().zip(expected) {
            let found = &arena[tensor.offset as usize..][..bytes.len()];
            if let Some(at) = bytes.iter().zip(found).position(|(a, b)| a != b) {
                panic!("rank {} tensor {name} byte {at}: {} instead of {}", rank.rank, found[at], bytes[at]);
            }
        }
    }
}

/// Bytes of each rank's tensors that come from files.
pub fn placed_bytes(placement: &Placement) -> BTreeMap<u32, u64> {
    let snapshot = Progress::new(placement).snapshot();
    snapshot.ranks.iter().map(|rank| (rank.rank, rank.total.0)).collect()
}

/// Flips one bit of a file in place.
pub fn flip_bit(path: &Path, offset: usize) {
    let mut data = std::fs::read(path).unwrap();
    data[offset] ^= 0x10;
    std::fs::write(path, data).unwrap();
}
