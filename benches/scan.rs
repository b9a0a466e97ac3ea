//! How fast a log is scanned: `cargo bench --bench scan` writes one (2 GB; `SHARDFIT_BENCH_GB`, `SHARDFIT_BENCH_DIR`), keeps it in the
//! page cache, and scans it. Beside that ripgrep (or grep) with one equivalent pattern, where it is installed. Best of three.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement ends with what it meets, and makes the files it needs"
)]

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use shardfit::oom::{Patterns, Scanner};
use shardfit::sources::logs::scan_logs;

const RUNS: usize = 3;
const PATTERN: &str = "Tried to allocate|No available memory for the cache blocks|cudaMalloc failed|Killed";

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let gigabytes: f64 = std::env::var("SHARDFIT_BENCH_GB").map_or(2.0, |text| text.parse().unwrap());
    let folder = std::env::var_os("SHARDFIT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("engine.log");
    let size = write(&path, (gigabytes * 1e9) as u64);
    println!("{:.2} GB, warm; best of {RUNS}, GB/s", size as f64 / 1e9);
    let rate = |name: &str, run: &dyn Fn()| {
        let best = (0..RUNS)
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        println!("{name:32} {:6.2}", size as f64 / best / 1e9);
    };
    let patterns = Patterns::built_in().unwrap();
    rate("shardfit, all patterns, one core", &|| {
        let mut scanner = Scanner::new(&patterns);
        scan_logs(std::slice::from_ref(&path), &mut scanner).unwrap();
        assert!(!scanner.finish().list.is_empty());
    });
    for (program, arguments) in [("rg", ["--threads=1", "-c"]), ("grep", ["-E", "-c"])] {
        let run = || Command::new(program).args(arguments).arg(PATTERN).arg(&path).stdout(Stdio::null()).status();
        match run() {
            Ok(_) => rate(&format!("{program}, one pattern"), &|| drop(run())),
            Err(_) => println!("{program} is not installed"),
        }
    }
}

/// A server's log: requests, a statistics line now and then, one failure at the end.
fn write(path: &Path, size: u64) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    let mut written = 0u64;
    let mut number = 0u64;
    while written < size {
        number += 1;
        let line = if number.is_multiple_of(100) {
            format!(
                "INFO 10-14 17:07:38 [loggers.py:123] Engine 000: Avg prompt throughput: 12.0 tokens/s, Avg generation throughput: 569.6 tokens/s, Running: 27 reqs, Waiting: 0 reqs, GPU KV cache usage: 39.7%, Prefix cache hit rate: 46.3% {number}\n"
            )
        } else {
            format!(
                "INFO:     10.0.{}.{}:51324 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK request {number}\n",
                number % 250,
                number % 199
            )
        };
        out.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
    }
    out.write_all(b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.00 GiB is free.\n").unwrap();
    out.flush().unwrap();
    written
}
