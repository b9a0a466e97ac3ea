//! `shardfit plan`

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Format, Output, Problem, picture, resolve};
use crate::engines::{Deployment, EngineError};
use crate::hardware::FleetSource;
use crate::loader::host_memory;
use crate::planning::{self, PlanRequest, Planned, State};
use crate::report::render::chart::{Bars, Cell, HeatMap};
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
    /// Draw memory by component against capacity, as `.svg` or `.png`
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
    /// Draw which context lengths fit at which concurrency, as `.svg` or `.png`
    #[arg(long, value_name = "FILE")]
    pub heat_map: Option<PathBuf>,
    /// Draw on a dark background
    #[arg(long)]
    pub dark: bool,
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
    if let (Some(path), Some(plan)) = (&args.chart, plans.first()) {
        picture::write(&Bars::of_plan(&plan.report), path, args.dark)?;
    }
    if let (Some(path), Some(plan)) = (&args.heat_map, plans.first()) {
        picture::write(&heat_map(plan), path, args.dark)?;
    }
    if args.as_log {
        output.data(&plans.iter().map(|p| as_log(p.request.engine.name(), &p.log())).collect::<Vec<_>>().join("\n"));
    } else if plans.len() > 1 {
        let report = ComparisonReport::new(plans.iter().map(|p| p.report.clone()).collect());
        match output.format {
            Format::Json => output.json(&report),
            Format::Markdown => output.data(&comparison_markdown(&report)),
            Format::Text | Format::Csv => output.data(&comparison_text(&report)),
        }
    } else if let Some(Answer { report, .. }) = plans.first() {
        match output.format {
            Format::Json => output.json(report),
            Format::Markdown => output.data(&plan_markdown(report)),
            Format::Text if args.explain => output.data(&plan_explain(report)),
            Format::Text | Format::Csv => output.data(&plan_text(report)),
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

/// Context lengths against concurrency, all else as planned.
fn heat_map(plan: &Answer) -> HeatMap {
    let grid = planning::grid(&plan.request);
    let cell = |state: &State| match state {
        State::Fits => Cell::Fits,
        State::Tight => Cell::Tight,
        State::DoesNotFit => Cell::Not,
        State::CannotTell => Cell::Unknown,
    };
    let report = &plan.report;
    let layout = format!("{} {} · {} ranks", report.engine.name, report.engine.version, report.layout.ranks);
    let id = plan.report.model.id.as_ref().unwrap_or(&plan.report.model.architecture);
    HeatMap {
        title: format!("{id} on {}: what fits", plan.report.fleet.cards),
        subtitle: format!("{layout} · {} weights · {} KV cache", report.workload.dtype, report.workload.kv_cache_dtype),
        cells: grid.states.iter().map(|row| row.iter().map(cell).collect()).collect(),
        contexts: grid.contexts,
        concurrencies: grid.concurrencies,
    }
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
