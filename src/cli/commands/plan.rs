//! `shardfit plan`

use clap::Args;

use crate::cli::args::{EngineFlags, FleetFlags};
use crate::cli::{Exit, Format, Output, Problem, resolve};
use crate::engines::EngineError;
use crate::planning::{self, PlanRequest, State};
use crate::report::PlanReport;
use crate::report::render::{plan_explain, plan_markdown, plan_text};

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A folder, a `config.json`, safetensors files, a Hub id (`organisation/name`) or a built-in model
    pub model: Option<String>,
    /// Cards.
    #[command(flatten)]
    pub fleet: FleetFlags,
    /// Engine.
    #[command(flatten)]
    pub engine: EngineFlags,
    /// Write the arithmetic of each line
    #[arg(long)]
    pub explain: bool,
    /// A `tight` plan ends with exit code 1
    #[arg(long)]
    pub strict: bool,
}

/// Plans a deployment.
///
/// # Errors
/// When the input is bad, or a fact is missing.
pub fn run(args: &PlanArgs, output: &mut Output) -> Result<Exit, Problem> {
    let (request, notes) = request(args)?;
    let planned = planning::plan(&request).map_err(refused)?;
    let report = PlanReport::new(&request, &planned, &notes);
    match output.format {
        Format::Json => output.json(&report),
        Format::Markdown => output.data(&plan_markdown(&report)),
        Format::Text if args.explain => output.data(&plan_explain(&report)),
        Format::Text => output.data(&plan_text(&report)),
    }
    Ok(match planned.verdict.state {
        State::Fits => Exit::Fits,
        State::Tight if args.strict => Exit::DoesNotFit,
        State::Tight => Exit::Fits,
        State::DoesNotFit => Exit::DoesNotFit,
        State::CannotTell => Exit::CannotTell,
    })
}

/// The request that was typed, and what the reader must know about its model.
fn request(args: &PlanArgs) -> Result<(PlanRequest, Vec<String>), Problem> {
    let model = args.model.as_deref().ok_or_else(|| {
        Problem::usage("no model is named")
            .hint("`shardfit plan Qwen/Qwen2.5-7B-Instruct --gpus 1xA10`, or paste a command after `--`")
    })?;
    let settings = args.engine.settings()?;
    let model = resolve::model(model)?;
    let (engine, version, version_source) = resolve::engine_version(&args.engine, None, None)?;
    let fleet = resolve::fleet(&args.fleet, None)?;
    let request = PlanRequest {
        model: model.model,
        source: model.source,
        checkpoint_bytes: model.bytes,
        engine,
        version,
        version_source,
        settings,
        fleet,
    };
    Ok((request, model.notes))
}

/// An outright refusal in the words of the program.
fn refused(error: EngineError) -> Problem {
    match &error {
        EngineError::Refused { hint: Some(hint), .. } => Problem::usage(&error).hint(hint),
        EngineError::TooFewCards { ranks, .. } => {
            Problem::usage(&error).hint(format!("name {ranks} cards with `--gpus`, or lower `--tp` or `--pp`"))
        }
        EngineError::Unknown(_) => Problem::cannot_tell(&error),
        EngineError::Refused { .. } | EngineError::Setting { .. } => Problem::usage(&error),
    }
}
