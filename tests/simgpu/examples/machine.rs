//! Puts a simulated machine into a folder and prints the variables that make programs of a shell see it:
//!
//! ```sh
//! eval "$(cargo run --quiet -p simgpu --example machine -- /tmp/eight --cards 8 --wander --processes "$(pgrep -d, sleep)")"
//! target/debug/shardfit top
//! ```
//!
//! `--kind` is one of `a10`, `a100`, `h100` (the default), `rtx3090`; `--mig` cuts each A100 into instances; `--processes` are
//! divided among the cards.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers: reads its arguments and prints"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use simgpu::machine::{MIB, MigInstance};
use simgpu::{Card, Machine};

struct Wanted {
    folder: PathBuf,
    cards: usize,
    kind: String,
    mig: bool,
    wander: bool,
    processes: Vec<u32>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| install(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn wanted() -> Result<Wanted, String> {
    let mut arguments = std::env::args().skip(1);
    let folder =
        arguments.next().filter(|first| !first.starts_with('-')).ok_or("the first argument is a folder")?.into();
    let mut wanted =
        Wanted { folder, cards: 8, kind: "h100".to_owned(), mig: false, wander: false, processes: Vec::new() };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
        match argument.as_str() {
            "--cards" => wanted.cards = value()?.parse().map_err(|_| "`--cards` is a number")?,
            "--kind" => wanted.kind = value()?,
            "--mig" => wanted.mig = true,
            "--wander" => wanted.wander = true,
            "--processes" => {
                let numbers = value()?;
                let numbers = numbers.split([',', ' ', '\n']).filter(|number| !number.is_empty());
                wanted.processes =
                    numbers.map(|n| n.parse().map_err(|_| format!("`{n}` is no process"))).collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("`{argument}` is unknown")),
        }
    }
    Ok(wanted)
}

fn install(wanted: &Wanted) -> Result<(), String> {
    let mut card = match wanted.kind.as_str() {
        "a10" => Card::a10(),
        "a100" => Card::a100_80gb(),
        "h100" => Card::h100_80gb(),
        "rtx3090" => Card::rtx_3090(),
        other => return Err(format!("there is no card `{other}`")),
    };
    if wanted.mig {
        card = card.partitioned(3, MigInstance::a100_1g_10gb());
    }
    let mut machine = Machine::new().cards(wanted.cards, card);
    machine.wander = wanted.wander;
    let each = wanted.processes.len().div_ceil(wanted.cards.max(1)).max(1);
    for (card, pids) in wanted.processes.chunks(each).enumerate() {
        // Together three quarters of the card.
        let bytes = machine.cards.get(card).map_or(0, Card::cuda_total) / 4 * 3 / pids.len() as u64;
        for pid in pids {
            machine = machine.with_card(card, |card| card.process(*pid, (bytes / MIB).max(1) * MIB));
        }
    }
    std::fs::create_dir_all(&wanted.folder).map_err(|error| format!("`{}`: {error}", wanted.folder.display()))?;
    // A machine from before is replaced.
    let _ = std::fs::remove_dir_all(wanted.folder.join("lib"));
    let _ = std::fs::remove_file(wanted.folder.join("state"));
    let installed = machine.install(&wanted.folder).map_err(|error| error.to_string())?;
    for (name, value) in installed.variables() {
        println!("export {name}='{}'", value.to_string_lossy().replace('\'', "'\\''"));
    }
    Ok(())
}
