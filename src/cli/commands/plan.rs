//! `shardfit plan`

use clap::Args;

use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Format, Output, Problem, resolve};
use crate::engines::{Deployment, EngineError};
use crate::hardware::FleetSource;
use crate::loader::host_memory;
use crate::planning::{self, PlanRequest, Planned, State};
use crate::report::render::{as_log, comparison_markdown, comparison_text, plan_explain, plan_markdown, plan_text};
use crate::report::{ComparisonReport, PlanReport};

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
    /// Write the lines that the engine itself would print
    #[arg(long, conflicts_with = "explain")]
    pub as_log: bool,
    /// A `tight` plan ends with exit code 1
    #[arg(long)]
    pub strict: bool,
    /// The command that starts the engine, as you would type it: `-- vllm serve …`, `-- docker run …`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Plans a deployment; with several engines, each, and shows what differs.
///
/// # Errors
/// When the input is bad, or a fact is missing.
pub fn run(args: &PlanArgs, output: &mut Output) -> Result<Exit, Problem> {
    let mut flags = args.deployment.engine.clone();
    let named = flags.engine.clone().unwrap_or_default();
    let engines: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    flags.engine = engines.first().map(|name| (*name).to_owned());
    let subject = resolve::subject(args.model.as_deref(), &flags, &args.command)?;
    let fleet = resolve::fleet_for(&subject, &args.deployment.fleet)?;
    let (mut request, notes) = subject.request(fleet);
    let mut plans = vec![planned(&request, &subject, &notes)?];
    for engine in engines.iter().skip(1) {
        flags.engine = Some((*engine).to_owned());
        let (engine, (version, source)) = resolve::engine_version(&flags, None, None)?;
        (request.engine, request.version, request.version_source) = (engine, version, source);
        plans.push(planned(&request, &subject, &notes)?);
    }
    if args.as_log {
        output.data(&plans.iter().map(|p| as_log(p.request.engine.name(), &p.log())).collect::<Vec<_>>().join("\n"));
    } else if plans.len() > 1 {
        let report = ComparisonReport::new(plans.iter().map(|p| p.report.clone()).collect());
        match output.format {
            Format::Json => output.json(&report),
            Format::Markdown => output.data(&comparison_markdown(&report)),
            Format::Text => output.data(&comparison_text(&report)),
        }
    } else if let Some(Answer { report, .. }) = plans.first() {
        match output.format {
            Format::Json => output.json(report),
            Format::Markdown => output.data(&plan_markdown(report)),
            Format::Text if args.explain => output.data(&plan_explain(report)),
            Format::Text => output.data(&plan_text(report)),
        }
    }
    let exits: Vec<Exit> = plans.iter().map(|plan| plan.exit(args.strict)).collect();
    if plans.iter().any(|plan| plan.planned.verdict.state == State::Tight) && !args.strict {
        output.warn("tight: it fits at the expected demand, not at the high one; `--strict` makes this exit code 1");
    }
    Ok(exits.into_iter().find(|exit| *exit != Exit::Fits).unwrap_or(Exit::Fits))
}

/// A request and its answer.
struct Answer {
    request: PlanRequest,
    planned: Planned,
    report: PlanReport,
}

fn planned(request: &PlanRequest, subject: &resolve::Subject, notes: &[String]) -> Result<Answer, Problem> {
    let planned = planning::plan(request).map_err(refused)?;
    let mut report = PlanReport::new(request, &planned, notes);
    if request.fleet.source == FleetSource::Live
        && let Some(memory) = host_memory()
    {
        report.compare_host(&memory, request, &planned.plan);
    }
    if let Some(template) = &subject.template {
        report.name_commands(template);
    }
    Ok(Answer { request: request.clone(), planned, report })
}

impl Answer {
    /// The lines that the engine would print.
    fn log(&self) -> Vec<String> {
        let PlanRequest { model, settings, fleet, version, engine, .. } = &self.request;
        engine.log(&Deployment { model, settings, fleet, version: *version }, &self.planned.plan)
    }

    fn exit(&self, strict: bool) -> Exit {
        match self.planned.verdict.state {
            State::Fits => Exit::Fits,
            State::Tight if strict => Exit::DoesNotFit,
            State::Tight => Exit::Fits,
            State::DoesNotFit => Exit::DoesNotFit,
            State::CannotTell => Exit::CannotTell,
        }
    }
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
