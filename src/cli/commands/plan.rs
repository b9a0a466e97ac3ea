//! `shardfit plan`

use clap::Args;

use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Format, Output, Problem, resolve};
use crate::engines::EngineError;
use crate::planning::{self, State};
use crate::report::PlanReport;
use crate::report::render::{plan_explain, plan_markdown, plan_text};

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A folder, a `config.json`, safetensors files, a Hub id (`organisation/name`) or a built-in model
    pub model: Option<String>,
    /// Cards and engine.
    #[command(flatten)]
    pub deployment: DeploymentFlags,
    /// Write the arithmetic of each line
    #[arg(long)]
    pub explain: bool,
    /// A `tight` plan ends with exit code 1
    #[arg(long)]
    pub strict: bool,
    /// The command that starts the engine, as you would type it: `-- vllm serve …`, `-- docker run …`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Plans a deployment.
///
/// # Errors
/// When the input is bad, or a fact is missing.
pub fn run(args: &PlanArgs, output: &mut Output) -> Result<Exit, Problem> {
    let subject = resolve::subject(args.model.as_deref(), &args.deployment.engine, &args.command)?;
    let fleet = resolve::fleet_for(&subject, &args.deployment.fleet)?;
    let (request, notes) = subject.request(fleet);
    let planned = planning::plan(&request).map_err(refused)?;
    let mut report = PlanReport::new(&request, &planned, &notes);
    if let Some(template) = &subject.template {
        report.name_commands(template);
    }
    match output.format {
        Format::Json => output.json(&report),
        Format::Markdown => output.data(&plan_markdown(&report)),
        Format::Text if args.explain => output.data(&plan_explain(&report)),
        Format::Text => output.data(&plan_text(&report)),
    }
    if planned.verdict.state == State::Tight && !args.strict {
        output.warn("tight: it fits at the expected demand, not at the high one; `--strict` makes this exit code 1");
    }
    Ok(match planned.verdict.state {
        State::Fits => Exit::Fits,
        State::Tight if args.strict => Exit::DoesNotFit,
        State::Tight => Exit::Fits,
        State::DoesNotFit => Exit::DoesNotFit,
        State::CannotTell => Exit::CannotTell,
    })
}

/// An outright refusal in the words of the program.
pub(super) fn refused(error: EngineError) -> Problem {
    match &error {
        EngineError::Refused { hint: Some(hint), .. } => Problem::usage(&error).hint(hint),
        EngineError::TooFewCards { ranks, .. } => {
            Problem::usage(&error).hint(format!("name {ranks} cards with `--gpus`, or lower `--tp` or `--pp`"))
        }
        EngineError::Unknown(_) => Problem::cannot_tell(&error),
        EngineError::Refused { .. } | EngineError::Setting { .. } => Problem::usage(&error),
    }
}
