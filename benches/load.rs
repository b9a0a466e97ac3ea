//! How fast a checkpoint reaches its cards, beside what the machine allows.
//!
//! `benches/load.sh` runs this beside the program itself and other loaders, on a checkpoint of its own.
//!
//! `cargo bench --bench load` writes a synthetic checkpoint (2 GB; `SHARDFIT_BENCH_GB`, `SHARDFIT_BENCH_DIR`; or measures the limits alone on the
//! files of `SHARDFIT_BENCH_FILES`), keeps it in the page cache, and loads it onto cards of host memory at TP 1, 2, 4, 8 and, where a CUDA driver answers, onto its first card. Beside that: `cp` of the same files, a
//! memory copy, and the bus from pinned memory. Each figure is the best of three; runs alternate, so that a slow moment of the machine
//! does not fall on one of them alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement ends with what it meets, and makes the files it needs"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use shardfit::loader::device::{Cards, CudaCards, CudaDriver, HostCards};
use shardfit::loader::reader::Disk;
use shardfit::loader::staging::StagingBuffer;
use shardfit::loader::{LoadOptions, Progress, Unobserved, Verify, load};
use shardfit::model::Part;
use shardfit::placement::{
    Destination, FileRange, PlacedTensor, Placement, RankPlacement, RankPool, SourceFile, SourceRead, StridedCopy,
};
use shardfit::units::{Bytes, DType};

const FILES: usize = 4;
const HIDDEN: u64 = 8192;
const INTERMEDIATE: u64 = 28672;
const RUNS: usize = 3;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` runs this too, without asking for a measurement.
        return;
    }
    if let Some(folder) = std::env::var_os("SHARDFIT_BENCH_FILES") {
        return limits_of(Path::new(&folder));
    }
    let gigabytes: f64 = std::env::var("SHARDFIT_BENCH_GB").map_or(2.0, |text| text.parse().unwrap());
    let folder = std::env::var_os("SHARDFIT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let files = write_files(folder.path(), gigabytes);
    let total: u64 = files.iter().map(|file| file.size.0).sum();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{:.2} GB in {FILES} files, warm; {cores} cores; best of {RUNS}, GB/s", total as f64 / 1e9);

    let mut rows: Vec<(String, Box<dyn Fn() -> f64>)> = Vec::new();
    let again = files.clone();
    rows.push(("read into one buffer".into(), Box::new(move || read_files(&again))));
    rows.push(("memory copy, resident".into(), Box::new(|| memory_copy(1 << 30))));
    rows.push(("memory copy, memory fresh from the system".into(), Box::new(|| fresh_copy(1 << 30))));
    let (again, copies) = (files.clone(), folder.path().join("copies"));
    std::fs::create_dir(&copies).unwrap();
    rows.push(("cp, same folder".into(), Box::new(move || cp(&again, &copies))));
    for ranks in [1, 2, 4, 8] {
        let placement = placement(&files, ranks, &(0..ranks).collect::<Vec<_>>());
        let capacities = vec![Bytes(total * 2); ranks];
        let cards = move || Box::new(HostCards::new(&capacities)) as Box<dyn Cards>;
        rows.push((format!("load, host, TP {ranks}"), Box::new(move || run_load(&placement, cards().as_ref()))));
    }
    if let Ok(driver) = CudaDriver::open() {
        let bus = driver.clone();
        rows.push(("bus: pinned memory to card 0".into(), Box::new(move || pinned_copy(bus.clone()))));
        for ranks in [1, 4] {
            let placement = placement(&files, ranks, &vec![0; ranks]);
            let cards = CudaCards::new(driver.clone(), vec![0]);
            let name = format!("load, cuda, {ranks} ranks on card 0");
            rows.push((name, Box::new(move || run_load(&placement, &cards))));
        }
    }
    let mut best = vec![0.0_f64; rows.len()];
    for _ in 0..RUNS {
        for ((_, run), best) in rows.iter().zip(&mut best) {
            let gigabytes_per_second = run();
            *best = best.max(gigabytes_per_second);
        }
    }
    for ((name, _), best) in rows.iter().zip(best) {
        println!("{name:<44} {best:>7.2}");
    }
}

/// What the machine allows on files that are there: one row a limit, name and GB/s apart by a tab.
fn limits_of(folder: &Path) {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let size = Bytes(path.metadata().unwrap().len());
            files.push(SourceFile { path, size });
        }
    }
    let readers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let rows: [(&str, &dyn Fn() -> f64); 4] = [
        ("read, one thread", &|| read_files(&files)),
        ("memory copy, resident", &|| memory_copy(1 << 30)),
        ("memory copy, fresh memory", &|| fresh_copy(1 << 30)),
        ("one read + one copy, all readers", &|| read_and_copy(&files, readers)),
    ];
    for (name, run) in rows {
        let best = (0..RUNS).map(|_| run()).fold(0.0_f64, f64::max);
        println!("{name}\t{best:.2}");
    }
}

/// Every byte read into a buffer that stays in the core's cache and copied to fresh memory in huge pages, by as many threads as a load has:
/// what no load onto host memory can beat.
fn read_and_copy(files: &[SourceFile], readers: usize) -> f64 {
    const PIECE: u64 = 1 << 20;
    const REGION: u64 = 8 << 20;
    let regions: Vec<(usize, u64)> = files
        .iter()
        .enumerate()
        .flat_map(|(index, file)| (0..file.size.0).step_by(REGION as usize).map(move |offset| (index, offset)))
        .collect();
    let open: Vec<File> = files.iter().map(|file| File::open(&file.path).unwrap()).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = Instant::now();
    let held: Vec<_> = std::thread::scope(|scope| {
        let reader = || {
            let mut buffer = vec![0; PIECE as usize];
            let mut held = Vec::new();
            while let Some(&(file, offset)) = regions.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                let mut target = memmap2::MmapMut::map_anon(REGION as usize).unwrap();
                let _ = target.advise(memmap2::Advice::HugePage);
                let end = files[file].size.0.min(offset + REGION);
                for at in (offset..end).step_by(PIECE as usize) {
                    let len = PIECE.min(end - at) as usize;
                    std::os::unix::fs::FileExt::read_exact_at(&open[file], &mut buffer[..len], at).unwrap();
                    let into = (at - offset) as usize;
                    target[into..into + len].copy_from_slice(&buffer[..len]);
                }
                held.push(target);
            }
            held
        };
        let threads: Vec<_> = (0..readers).map(|_| scope.spawn(reader)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let rate = rate(files.iter().map(|file| file.size.0).sum(), started);
    drop(held);
    rate
}

/// Files of layers' worth of matrices, random enough that nothing compresses them away.
fn write_files(folder: &Path, gigabytes: f64) -> Vec<SourceFile> {
    let layer = layer_bytes();
    let layers = ((gigabytes * 1e9 / layer as f64 / FILES as f64).ceil() as u64).max(1);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0_u8; 8 << 20];
    for word in block.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    let write = |index| {
        let path = folder.join(format!("model-{index}.bin"));
        let mut file = File::create(&path).unwrap();
        let mut left = layer * layers;
        while left > 0 {
            let len = left.min(block.len() as u64);
            file.write_all(&block[..len as usize]).unwrap();
            left -= len;
        }
        // What is dirty would be written back in the middle of a measurement.
        file.sync_all().unwrap();
        SourceFile { path, size: Bytes(layer * layers) }
    };
    (0..FILES).map(write).collect()
}

/// One column-parallel matrix, one row-parallel one, and a norm, as in a dense decoder's feed-forward layer, in 16 bits.
fn layer_bytes() -> u64 {
    2 * (2 * HIDDEN * INTERMEDIATE / 8 + HIDDEN)
}

fn placement(files: &[SourceFile], ranks: usize, devices: &[usize]) -> Placement {
    let rank = |(rank, &device): (usize, &usize)| RankPlacement {
        rank: rank as u32,
        device,
        arena: Bytes::ZERO,
        tensors: Vec::new(),
        pool: RankPool::default(),
    };
    let mut placed: Vec<_> = devices.iter().enumerate().map(rank).collect();
    let mut reads = Vec::new();
    let (tp, intermediate) = (ranks as u64, INTERMEDIATE / 8);
    for (file, source) in files.iter().enumerate() {
        for layer in 0..source.size.0 / layer_bytes() {
            let mut offset = layer * layer_bytes();
            // Rows of the whole, rows and columns of one rank's part; the last kind is replicated.
            let kinds = [
                (intermediate, HIDDEN, intermediate / tp, HIDDEN),
                (HIDDEN, intermediate, HIDDEN, intermediate / tp),
                (1, HIDDEN, 1, HIDDEN),
            ];
            for (kind, (rows, columns, part_rows, part_columns)) in kinds.into_iter().enumerate() {
                let bytes = part_rows * part_columns * 2;
                let mut destinations = Vec::new();
                for (index, rank) in placed.iter_mut().enumerate() {
                    let at = if kind == 2 { 0 } else { index as u64 };
                    let first = if kind == 0 { at * bytes } else { at * part_columns * 2 };
                    rank.tensors.push(PlacedTensor {
                        name: format!("{file}.{layer}.{kind}"),
                        part: Part::Mlp,
                        dtype: DType::BF16,
                        shape: vec![part_rows, part_columns],
                        offset: rank.arena.0,
                        bytes: Bytes(bytes),
                        fills: Vec::new(),
                    });
                    rank.arena += Bytes(bytes);
                    let copy = StridedCopy {
                        source_offset: first,
                        source_pitch: columns * 2,
                        target_offset: 0,
                        target_pitch: part_columns * 2,
                        width: part_columns * 2,
                        rows: part_rows,
                    };
                    destinations.push(Destination {
                        rank: index,
                        tensor: rank.tensors.len() - 1,
                        copy: copy.merged(),
                        cast: None,
                    });
                }
                let len = rows * columns * 2;
                reads.push(SourceRead {
                    tensor: format!("{file}.{layer}.{kind}"),
                    range: FileRange { file, offset, len },
                    destinations,
                });
                offset += len;
            }
        }
    }
    Placement { files: files.to_vec(), ranks: placed, reads }
}

fn run_load(placement: &Placement, cards: &dyn Cards) -> f64 {
    let options = LoadOptions { verify: Verify::None, ..LoadOptions::default() };
    let outcome = load(placement, cards, &Disk::default(), &options, &Progress::new(placement), &Unobserved).unwrap();
    outcome.gigabytes_per_second().unwrap()
}

fn read_files(files: &[SourceFile]) -> f64 {
    let mut buffer = vec![0; 1 << 20];
    let started = Instant::now();
    let mut bytes = 0;
    for file in files {
        let mut file = File::open(&file.path).unwrap();
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                more => bytes += more,
            }
        }
    }
    rate(bytes as u64, started)
}

fn memory_copy(bytes: usize) -> f64 {
    let (source, mut target) = (vec![1_u8; bytes], vec![2_u8; bytes]);
    let started = Instant::now();
    target.copy_from_slice(std::hint::black_box(&source));
    let rate = rate(bytes as u64, started);
    std::hint::black_box(target);
    rate
}

/// What loading onto host memory cannot do without: each page is touched for the first time.
fn fresh_copy(bytes: usize) -> f64 {
    let source = vec![1_u8; 1 << 20];
    let mut target = vec![0_u8; bytes];
    let started = Instant::now();
    target.chunks_exact_mut(source.len()).for_each(|target| target.copy_from_slice(&source));
    let rate = rate(bytes as u64, started);
    std::hint::black_box(target);
    rate
}

fn cp(files: &[SourceFile], to: &Path) -> f64 {
    let started = Instant::now();
    let status = std::process::Command::new("cp").args(files.iter().map(|file| &file.path)).arg(to).status().unwrap();
    let rate = rate(files.iter().map(|file| file.size.0).sum(), started);
    assert!(status.success());
    for file in std::fs::read_dir(to).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    rate
}

/// 16-MiB copies out of one pinned buffer, as long as a load of a few gigabytes.
fn pinned_copy(driver: CudaDriver) -> f64 {
    let device = CudaCards::new(driver, vec![0]).open(0).unwrap();
    let bytes = 16 << 20;
    let arena = device.allocate(Bytes(bytes)).unwrap();
    let buffer = Arc::new(StagingBuffer::new(device.staging(bytes as usize).unwrap()));
    let copy = StridedCopy {
        source_offset: 0,
        source_pitch: bytes,
        target_offset: 0,
        target_pitch: bytes,
        width: bytes,
        rows: 1,
    };
    let copies = 256;
    let started = Instant::now();
    let transfers: Vec<_> = (0..copies).map(|_| arena.submit(&buffer, &[copy]).unwrap()).collect();
    transfers.into_iter().for_each(|transfer| transfer.wait().unwrap());
    rate(copies * bytes, started)
}

fn rate(bytes: u64, started: Instant) -> f64 {
    bytes as f64 / started.elapsed().as_secs_f64() / 1e9
}
