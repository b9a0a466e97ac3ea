//! Measures a card and the host through the same calls that a load makes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use memmap2::MmapMut;

use super::device::{Arena, Cards, Device, DeviceError, DeviceKind, Runs};
use super::reader::{Disk, Io, Storage};
use super::staging::StagingBuffer;
use crate::placement::StridedCopy;
use crate::units::Bytes;

/// One buffer's worth of a copy: long enough for the full speed of any bus.
const BUFFER: usize = 16 << 20;
/// Copies of each direction.
const COPIES: usize = 32;
/// Most bytes read for a rate.
const READ: u64 = 2 << 30;

/// What was found out about a card.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CardMeasurement {
    /// A context without kernels, by NVML.
    pub bare_context: Option<Bytes>,
    /// What allocations are rounded up to.
    pub granularity: Option<Bytes>,
    /// The most that could be allocated beside the context.
    pub usable: Option<Bytes>,
    /// Pinned memory to the card, bytes per second.
    pub to_card: Option<f64>,
    /// The card to pinned memory, bytes per second.
    pub from_card: Option<f64>,
    /// Rows narrower than this are faster when the CPU packs them.
    pub pack_below: Option<u64>,
}

/// Measures one card. `nvml_used` tells what is in use on it and `alone` whether nobody else is: only then is the card filled to see how
/// much it takes, because a process that allocates at that moment would fail.
///
/// # Errors
/// When the card refuses what a load asks of it too.
pub fn measure_card(
    cards: &dyn Cards,
    index: usize,
    alone: bool,
    nvml_used: &dyn Fn() -> Option<Bytes>,
) -> Result<CardMeasurement, DeviceError> {
    let before = nvml_used();
    let device = cards.open(index)?;
    let with_context = nvml_used();
    let cuda = cards.kind() == DeviceKind::Cuda;
    let mut measured = CardMeasurement {
        bare_context: before.zip(with_context).map(|(before, after)| after.saturating_sub(before)).filter(|_| cuda),
        ..CardMeasurement::default()
    };
    measured.granularity = granularity(device.as_ref())?;
    if alone && cuda {
        measured.usable = usable(device.as_ref(), measured.granularity.unwrap_or(Bytes::mib(2)))?;
    }
    let arena = device.allocate(Bytes(BUFFER as u64))?;
    let mut buffer = Arc::new(StagingBuffer::new(device.staging(BUFFER)?));
    measured.to_card = Some(rate(COPIES, || whole_copies(arena.as_ref(), &buffer, COPIES))?);
    if let Some(buffer) = Arc::get_mut(&mut buffer) {
        let runs = Runs::contiguous(0, BUFFER as u64);
        measured.from_card = Some(rate(COPIES, || (0..COPIES).try_for_each(|_| arena.read_back(runs, buffer)))?);
    }
    if cuda {
        measured.pack_below = Some(pack_below(device.as_ref(), arena.as_ref(), &buffer)?);
    }
    Ok(measured)
}

/// How much more than asked an allocation takes, from one that is a byte more than a round number.
fn granularity(device: &dyn Device) -> Result<Option<Bytes>, DeviceError> {
    let round = Bytes::mib(32);
    let before = device.memory()?;
    let _held = device.allocate(round + Bytes(1))?;
    let taken = before.free.saturating_sub(device.memory()?.free);
    let over = taken.saturating_sub(round);
    Ok((over > Bytes::ZERO).then_some(over))
}

/// The largest allocation, to the granule, between nothing and what is free.
fn usable(device: &dyn Device, granule: Bytes) -> Result<Option<Bytes>, DeviceError> {
    let free = device.memory()?.free;
    let (mut fits, mut too_much) = (0, free.0 / granule.0.max(1) + 1);
    while too_much - fits > 1 {
        let middle = fits + (too_much - fits) / 2;
        match device.allocate(granule * middle) {
            Ok(_) => fits = middle,
            Err(DeviceError::OutOfMemory { .. }) => too_much = middle,
            Err(other) => return Err(other),
        }
    }
    Ok(Some(granule * fits))
}

fn whole_copies(arena: &dyn Arena, buffer: &Arc<StagingBuffer>, count: usize) -> Result<(), DeviceError> {
    let bytes = BUFFER as u64;
    let copy = StridedCopy {
        source_offset: 0,
        source_pitch: bytes,
        target_offset: 0,
        target_pitch: bytes,
        width: bytes,
        rows: 1,
    };
    let sent = (0..count).map(|_| arena.submit(buffer, &[copy])).collect::<Result<Vec<_>, _>>()?;
    sent.into_iter().try_for_each(super::device::Transfer::wait)
}

/// Bytes per second of so many buffers.
fn rate(buffers: usize, run: impl FnOnce() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
    let started = Instant::now();
    run()?;
    Ok((buffers * BUFFER) as f64 / started.elapsed().as_secs_f64().max(1e-9))
}

/// The narrowest rows that the card's own strided copy moves at least as fast as packing by the CPU and one copy do; half of a matrix's
/// columns are taken, as a tensor-parallel pair would.
fn pack_below(device: &dyn Device, arena: &dyn Arena, buffer: &Arc<StagingBuffer>) -> Result<u64, DeviceError> {
    const WIDTHS: [u64; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
    let mut packed = Arc::new(StagingBuffer::new(device.staging(BUFFER / 2)?));
    for width in WIDTHS {
        let rows = BUFFER as u64 / 2 / width;
        let strided = StridedCopy {
            source_offset: 0,
            source_pitch: 2 * width,
            target_offset: 0,
            target_pitch: width,
            width,
            rows,
        };
        let seconds = |run: &mut dyn FnMut() -> Result<(), DeviceError>| {
            // The best of three: what disturbs a measurement only ever makes it longer.
            let mut best = f64::MAX;
            for _ in 0..3 {
                let started = Instant::now();
                run()?;
                best = best.min(started.elapsed().as_secs_f64());
            }
            Ok::<f64, DeviceError>(best)
        };
        let by_card = seconds(&mut || arena.submit(buffer, &[strided])?.wait())?;
        let by_cpu = seconds(&mut || {
            if let Some(target) = Arc::get_mut(&mut packed) {
                super::scatter::pack_rows(&strided, None, buffer.bytes(), target.bytes_mut());
            }
            let copy = StridedCopy { source_pitch: width, ..strided }.merged();
            arena.submit(&packed, &[copy])?.wait()
        })?;
        if by_card <= by_cpu {
            return Ok(width);
        }
    }
    Ok(2 * WIDTHS[WIDTHS.len() - 1])
}

/// Copying within memory, one thread, bytes per second; the best of three.
///
/// # Errors
/// When there is no memory for it.
pub fn measure_memory_copy() -> io::Result<f64> {
    let bytes = 128 << 20;
    let (mut source, mut target) = (MmapMut::map_anon(bytes)?, MmapMut::map_anon(bytes)?);
    source.fill(1);
    target.fill(2);
    let mut best = f64::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / best.max(1e-9))
}

/// Rates of reading files, bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReadRates {
    /// Through the page cache, a second time.
    pub cached: Option<f64>,
    /// Around the page cache; `None` where the file system offers no direct I/O.
    pub direct: Option<f64>,
}

/// Reads the first files of a folder (or one file), at most two gigabytes: around the page cache, then twice through it.
///
/// # Errors
/// When a file cannot be read through the page cache.
pub fn measure_reading(path: &Path) -> io::Result<ReadRates> {
    let files = files_of(path)?;
    let direct = read_all(&files, Io::Direct).ok();
    read_all(&files, Io::Buffered)?;
    Ok(ReadRates { cached: Some(read_all(&files, Io::Buffered)?), direct })
}

/// As [`measure_reading`], of a file written for the purpose to a folder.
///
/// # Errors
/// When the file cannot be written or read.
pub fn measure_reading_in(folder: &Path) -> io::Result<ReadRates> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let block = vec![0x5a; 8 << 20];
    for _ in 0..32 {
        file.write_all(&block)?;
    }
    // What is not on the disk yet would be written while it is read.
    file.as_file().sync_all()?;
    measure_reading(file.path())
}

fn files_of(path: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            files.push(entry?.path());
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    let mut sized = Vec::new();
    let mut left = READ;
    for file in files {
        let data = std::fs::metadata(&file)?;
        if data.is_file() && data.len() > 0 && left > 0 {
            // Opened here, so that a file that may not be read is named and not silently left out.
            File::open(&file)?;
            let taken = data.len().min(left);
            left -= taken;
            sized.push((file, taken));
        }
    }
    if sized.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "there is no file to read")) } else { Ok(sized) }
}

fn read_all(files: &[(PathBuf, u64)], io: Io) -> io::Result<f64> {
    let mut buffer = MmapMut::map_anon(8 << 20)?;
    let started = Instant::now();
    let mut total = 0;
    for (path, size) in files {
        let file = Disk { io }.open(path)?;
        let mut at = 0;
        while at < *size {
            match file.read_at(&mut buffer, at)? {
                0 => break,
                read => at += read as u64,
            }
        }
        total += at;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64().max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::device::HostCards;

    #[test]
    fn a_card_of_host_memory_has_rates_and_no_context() {
        let cards = HostCards::new(&[Bytes::mib(100)]);
        let measured = measure_card(&cards, 0, true, &|| Some(Bytes::ZERO)).unwrap();
        assert!(measured.to_card.is_some_and(|rate| rate > 0.0) && measured.from_card.is_some_and(|rate| rate > 0.0));
        assert_eq!((measured.bare_context, measured.usable, measured.pack_below), (None, None, None));
        assert_eq!(measured.granularity, Some(Bytes(1)), "host cards count bytes");
    }

    #[test]
    fn files_are_read_and_their_absence_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert!(measure_reading(folder.path()).is_err());
        std::fs::write(folder.path().join("a"), vec![1; 100_000]).unwrap();
        assert!(measure_reading(folder.path()).unwrap().cached.is_some_and(|rate| rate > 0.0));
        assert!(measure_reading(&folder.path().join("gone")).is_err());
    }
}
