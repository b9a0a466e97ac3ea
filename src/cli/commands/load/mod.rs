//! `shardfit load`

mod cards;
mod report;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};

use self::cards::{AtHand, Backend};
use self::watch::{Nvml, Watcher};
use super::plan::refused;
use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Format, Output, Problem, resolve};
use crate::engines::{Deployment, RankShard};
use crate::loader::reader::Disk;
use crate::loader::{LoadError, LoadFailure, LoadOptions, Progress, Verify, load};
use crate::placement::{Placement, RankRequest, place};
use crate::planning::{self, PlanRequest};
use crate::report::PlanReport;
use crate::report::render::load_text;
use crate::units::{Bytes, Fraction};

/// Flags of `load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A folder or safetensors files
    pub checkpoint: Option<String>,
    /// Cards and engine.
    #[command(flatten)]
    pub deployment: DeploymentFlags,
    /// What holds the shards: `auto` takes CUDA where a driver answers, else host memory
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// CUDA ordinal of each rank, after CUDA_VISIBLE_DEVICES: `0,0,1,1` puts two ranks on each of two cards
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub devices: Vec<u32>,
    /// How much is read back and compared with the files
    #[arg(long, value_enum, default_value_t)]
    pub verify: VerifyChoice,
    /// Host memory for reading and sending, all buffers together
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub staging: Bytes,
    /// Largest difference between predicted and observed that counts as agreement
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = percent)]
    pub tolerance: Fraction,
    /// Show the cards on the whole terminal while loading
    #[arg(long)]
    pub tui: bool,
    /// The command that starts the engine, as you would type it
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DeviceChoice {
    /// CUDA where a driver answers, else host memory.
    #[default]
    Auto,
    /// CUDA devices.
    Cuda,
    /// Host memory that stands in for cards.
    Host,
}

/// `--verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum VerifyChoice {
    /// Parts of every tensor, the same ones each time.
    #[default]
    Sample,
    /// Every byte.
    Full,
    /// Nothing.
    None,
}

/// `2%` or `0.02`.
fn percent(text: &str) -> Result<Fraction, String> {
    let value = match text.strip_suffix('%') {
        Some(number) => number.trim().parse::<f64>().map(|n| n / 100.0),
        None => text.parse::<f64>(),
    };
    value.ok().and_then(|v| Fraction::new(v).ok()).ok_or_else(|| format!("`{text}` is no share such as `2%`"))
}

/// Plans, places, loads, verifies and compares with what the driver reports.
///
/// # Errors
/// Bad input (exit 2), a machine that cannot answer or hold the load (3).
pub fn run(args: &LoadArgs, output: &mut Output) -> Result<Exit, Problem> {
    if output.format == Format::Markdown {
        return Err(Problem::usage("`load` has no Markdown form").hint("`--format json` has all of it"));
    }
    let subject = resolve::subject(args.checkpoint.as_deref(), &args.deployment.engine, &args.command)?;
    let checkpoint = subject.model.checkpoint.as_ref().filter(|c| c.is_local()).ok_or_else(|| {
        Problem::usage("there are no weights to load: only the model's facts are on this machine")
            .hint("name a folder with `.safetensors` files")
    })?;
    let hand = AtHand::open(args, &subject)?;
    let (request, notes) = subject.request(hand.fleet.clone());
    let shards = shards(&request)?;
    let backend = Backend::assign(hand, &shards, &args.devices)?;
    let requests: Vec<RankRequest<'_>> = shards
        .iter()
        .zip(&backend.device_of_rank)
        .map(|(shard, device)| RankRequest { rank: shard.rank, device: *device, tensors: &shard.tensors })
        .collect();
    let placement = place(&requests, checkpoint).map_err(|error| {
        Problem::usage(error).hint("config and weights do not belong together: download the model again")
    })?;
    let request = PlanRequest { fleet: backend.fleet.clone(), ..request };
    let planned = planning::plan(&request).map_err(refused)?;
    let plan = PlanReport::new(&request, &planned, &notes);

    let (result, nvml) = execute(args, &backend, &placement, &plan, output)?;
    if let Err(LoadFailure { error: LoadError::Options(error), .. }) = result.as_ref().map_err(Box::as_ref) {
        // Nothing was begun that a report could tell of.
        return Err(Problem::usage(error));
    }
    let report = report::Loaded { backend: &backend, nvml: &nvml, planned: &planned, tolerance: args.tolerance }
        .report(plan, &result);
    match output.format {
        Format::Json => output.json(&report),
        Format::Text | Format::Markdown | Format::Csv => output.data(&load_text(&report)),
    }
    if let Err(failure) = &result {
        output.talk(&format!("error: {failure}"));
    }
    Ok(match &result {
        Err(failure) => exit_of(failure),
        Ok(_) if report.confirmed => Exit::Fits,
        Ok(_) => Exit::Disagrees,
    })
}

/// Every rank's tensors.
fn shards(request: &PlanRequest) -> Result<Vec<RankShard>, Problem> {
    let deployment = Deployment {
        model: &request.model,
        settings: &request.settings,
        fleet: &request.fleet,
        version: request.version,
    };
    request.engine.shards(&deployment).map_err(refused)
}

type LoadResult = Result<crate::loader::LoadOutcome, Box<LoadFailure>>;

/// Runs the load on a thread of its own while this one draws.
fn execute(
    args: &LoadArgs,
    backend: &Backend,
    placement: &Placement,
    plan: &PlanReport,
    output: &mut Output,
) -> Result<(LoadResult, Nvml), Problem> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Without the handler a signal ends the program at once, and the driver frees what it held.
        let _ = signal_hook::flag::register(signal, Arc::clone(&cancel));
    }
    let options = LoadOptions {
        staging: args.staging,
        verify: match args.verify {
            VerifyChoice::None => Verify::None,
            VerifyChoice::Sample => Verify::Sample,
            VerifyChoice::Full => Verify::Full,
        },
        cancel: Arc::clone(&cancel),
        ..LoadOptions::default()
    };
    let progress = Progress::new(placement);
    let nvml = Nvml::open(backend);
    let title = plan.model.id.clone().unwrap_or_else(|| plan.model.architecture.clone());
    let result = std::thread::scope(|scope| {
        let work = scope.spawn(|| load(placement, backend.cards(), &Disk, &options, &progress, &nvml));
        let watcher = Watcher { progress: &progress, cancel: &cancel, title: &title, backend };
        let drawn = if args.tui { watcher.screen(&work) } else { watcher.bars(&work, output.interactive) };
        match (work.join(), drawn) {
            (Ok(result), Ok(())) => Ok(result),
            (Ok(_), Err(error)) => Err(Problem::cannot_tell(format!("the terminal fails: {error}"))),
            (Err(_), _) => {
                Err(Problem::cannot_tell("the loading thread ended unexpectedly: this is a fault of the program"))
            }
        }
    })?;
    Ok((result, nvml))
}

/// What a failure means to a caller: a full card is a verdict, a bad file bad input, everything else the machine's own trouble.
fn exit_of(failure: &LoadFailure) -> Exit {
    use crate::loader::device::DeviceError;
    match &failure.error {
        LoadError::Device(DeviceError::OutOfMemory { .. }) => Exit::DoesNotFit,
        LoadError::Mismatch { .. } => Exit::Disagrees,
        LoadError::Placement(_) | LoadError::Options(_) | LoadError::Read(_) => Exit::Usage,
        LoadError::Device(_)
        | LoadError::HostMemory { .. }
        | LoadError::Cancelled
        | LoadError::Thread(_)
        | LoadError::Internal(_) => Exit::CannotTell,
    }
}
