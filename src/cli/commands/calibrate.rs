//! `shardfit calibrate`

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, Format, Output, Problem, calibration};
use crate::hardware::{CardState, MemoryState, Snapshot};
use crate::loader::device::{Cards, CudaCards, CudaDriver, DeviceIdentity};
use crate::loader::{measure_card, measure_memory_copy, measure_reading, measure_reading_in};
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::profiles::{Calibration, CardCalibration, HostCalibration};
use crate::report::CalibrationReport;
use crate::report::render::calibration_text;
use crate::units::Bytes;

/// Flags of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// A file or folder whose reading is measured, such as a checkpoint's [default: a file written for the purpose]
    #[arg(long, value_name = "PATH")]
    pub read: Option<PathBuf>,
    /// CUDA ordinals of the cards to measure [default: one of each kind]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub devices: Vec<u32>,
    /// Measure and show, and keep nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Measures the machine and keeps what it found for later plans.
///
/// # Errors
/// When a card that was asked for is not there or refuses, or the result cannot be kept.
pub fn run(args: &CalibrateArgs, output: &mut Output) -> Result<Exit, Problem> {
    if output.format == Format::Markdown {
        return Err(Problem::usage("`calibrate` has no Markdown form").hint("`--format json` has all of it"));
    }
    let mut notes = Vec::new();
    let host = host(args, &mut notes)?;
    let cards = match CudaDriver::open() {
        Ok(driver) if driver.devices().len() > 0 => cards(args, &driver, &mut notes)?,
        Ok(_) => none(args, "the CUDA driver shows no card", &mut notes)?,
        Err(error) => none(args, &error.to_string(), &mut notes)?,
    };
    let measured = Calibration { host, cards };
    let kept = if args.dry_run {
        None
    } else {
        let before = calibration::read()?.unwrap_or_default();
        Some(calibration::write(&before.renewed(measured.clone()))?.display().to_string())
    };
    let report = CalibrationReport::new(&measured, kept, notes);
    match output.format {
        Format::Json => output.json(&report),
        Format::Text | Format::Markdown | Format::Csv => output.data(&calibration_text(&report)),
    }
    Ok(Exit::Fits)
}

fn host(args: &CalibrateArgs, notes: &mut Vec<String>) -> Result<HostCalibration, Problem> {
    let rates = match &args.read {
        Some(path) => measure_reading(path)
            .map_err(|error| Problem::usage(format!("`{}` cannot be read: {error}", path.display())))
            .map(Some)
            .map_err(|problem| problem.hint("name a file, or a folder with files"))?,
        None => match measure_reading_in(&std::env::temp_dir()) {
            Ok(rates) => Some(rates),
            Err(error) => {
                notes.push(format!("reading was not measured: {error}; `--read PATH` names what to read"));
                None
            }
        },
    };
    if rates.is_some_and(|rates| rates.direct.is_none()) {
        notes.push("the file system that was read offers no direct I/O".to_owned());
    }
    let memory_copy = measure_memory_copy().map_err(|error| notes.push(format!("memory copy: {error}"))).ok();
    let read_from = args.read.clone().unwrap_or_else(std::env::temp_dir);
    Ok(HostCalibration {
        measured: calibration::now(),
        memory_copy,
        read_cached: rates.and_then(|rates| rates.cached),
        read_direct: rates.and_then(|rates| rates.direct),
        read_from: Some(read_from.display().to_string()),
    })
}

/// No card: the host alone is measured, unless cards were asked for.
fn none(args: &CalibrateArgs, why: &str, notes: &mut Vec<String>) -> Result<Vec<CardCalibration>, Problem> {
    if !args.devices.is_empty() {
        return Err(Problem::cannot_tell(why).hint("without `--devices` the host alone is measured"));
    }
    notes.push(format!("no card was measured: {why}"));
    Ok(Vec::new())
}

fn cards(args: &CalibrateArgs, driver: &CudaDriver, notes: &mut Vec<String>) -> Result<Vec<CardCalibration>, Problem> {
    let all: Vec<DeviceIdentity> = driver.devices().cloned().collect();
    let mut chosen: Vec<&DeviceIdentity> = Vec::new();
    for ordinal in &args.devices {
        let found = all.get(*ordinal as usize).ok_or_else(|| {
            let last = all.len() - 1;
            Problem::usage(format!("card {ordinal} is not there")).hint(format!("the last one is {last}"))
        })?;
        chosen.push(found);
    }
    if args.devices.is_empty() {
        for device in &all {
            if chosen.iter().all(|other| other.name != device.name) {
                chosen.push(device);
            }
        }
    }
    let mut nvml = Accounts(NvmlProbe::open(Wanted::CHANGING).map_err(|error| error.to_string()));
    if let Err(reason) = &nvml.0 {
        notes.push(format!("the size of a context and usable capacity are unknown without NVML: {reason}"));
    }
    let ordinals = chosen.iter().map(|device| device.ordinal).collect();
    let cuda = CudaCards::new(driver.clone(), ordinals);
    let mut measured = Vec::new();
    for (index, device) in chosen.iter().enumerate() {
        let start = nvml.look(device);
        let alone = start.as_ref().is_some_and(|seen| seen.memory.used <= CardState::OWN_USE);
        if start.is_some() && !alone {
            notes.push(format!("{device} is in use: how much it takes was not tried"));
        }
        let used = std::cell::RefCell::new(&mut nvml);
        let ask = || used.borrow_mut().look(device).map(|seen| seen.memory.used);
        let found = measure_card(&cuda as &dyn Cards, index, alone, &ask).map_err(|error| {
            Problem::cannot_tell(format!("{device} could not be measured: {error}"))
                .hint("`shardfit probe` shows who uses the card")
        })?;
        measured.push(CardCalibration {
            name: device.name.clone(),
            measured: calibration::now(),
            driver: start.and_then(|seen| seen.driver),
            capacity: device.total,
            bare_context: found.bare_context,
            granularity: found.granularity,
            usable: found.usable,
            to_card: found.to_card,
            from_card: found.from_card,
            pack_below: found.pack_below,
        });
    }
    Ok(measured)
}

/// NVML, or why it is not there.
struct Accounts(Result<NvmlProbe, String>);

/// What NVML says of one card.
struct Seen {
    memory: MemoryState,
    driver: Option<String>,
}

impl Accounts {
    fn look(&mut self, device: &DeviceIdentity) -> Option<Seen> {
        let snapshot = self.0.as_mut().ok()?.snapshot().ok()?;
        let memory = memory_of(&snapshot, device)?;
        Some(Seen { memory, driver: snapshot.driver_version.known() })
    }
}

fn memory_of(snapshot: &Snapshot, device: &DeviceIdentity) -> Option<MemoryState> {
    let uuid = device.uuid?;
    let same = |text: Option<&String>| text.is_some_and(|text| uuid.matches(text));
    snapshot.cards.iter().find_map(|card| {
        if same(card.uuid.as_ref().known()) {
            // Under a v1 reading the driver's own part counts as used.
            return card.memory.known().map(|memory| match memory.cuda_total() {
                Some(_) => memory,
                None => MemoryState { used: memory.used.saturating_sub(own_part(&memory, device.total)), ..memory },
            });
        }
        let slice = card.mig_instances().into_iter().flatten().find(|slice| same(slice.uuid.as_ref().known()));
        slice.and_then(|slice| slice.memory.known())
    })
}

fn own_part(memory: &MemoryState, cuda_total: Bytes) -> Bytes {
    memory.total.saturating_sub(cuda_total)
}
