//! `shardfit run`

mod account;
mod recording;
mod screen;
mod tail;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::recording::Recording;
use self::screen::RunScreen;
use super::diagnose::patterns;
use crate::cli::args::DeploymentFlags;
use crate::cli::screen::ScreenFlags;
use crate::cli::{Exit, Output, Problem, resolve};
use crate::engines::command_line::without_secrets;
use crate::monitor::{Expectation, Interval};
use crate::planning::{self, State};
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::profiles::stages::StageLines;
use crate::report::PlanReport;
use crate::report::render::{diagnosis_text, run_text};
use crate::report::run::RunReport;
use crate::runner::{Account, Child, Listener, Notice, Options, Outcome, report, watch};
use crate::tui::follow::{FollowScreen, LogLine, Tone};

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Cards and engine, where the command does not say.
    #[command(flatten)]
    pub deployment: DeploymentFlags,
    /// Do not start the command when its plan does not fit
    #[arg(long)]
    pub gate: bool,
    /// With `--gate`, do not start a `tight` plan either
    #[arg(long, requires = "gate")]
    pub strict: bool,
    /// Time between two samples of the cards, 0.1s to 60s
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: Interval,
    /// Say so when for this many seconds nothing is printed and no memory moves; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub quiet_after: u64,
    /// The whole terminal.
    #[command(flatten)]
    pub screen: ScreenFlags,
    /// Record the cards to this file; without it, the recording of a command that fails is kept in the user's state folder
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write what was planned and what happened to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The command that starts the engine, as you would type it
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Plans the command, starts it, watches it to its end, and ends as it does.
///
/// # Errors
/// When the gate stays closed, when there is no such program, or when the report cannot be written.
pub fn run(args: &RunArgs, output: &mut Output) -> Result<Exit, Problem> {
    let words: Vec<String> = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let plan = planned(args, &words);
    match &plan {
        Ok(plan) => announce(plan, output),
        Err(problem) => output.talk(&format!("shardfit: the command is not planned: {}", short(problem))),
    }
    if args.gate {
        let closed = match &plan {
            Ok(plan) => !plan.starts(args.strict),
            Err(_) => true,
        };
        if closed {
            let exit = plan.as_ref().map_or_else(|problem| problem.exit, |_| Exit::DoesNotFit);
            output.talk("shardfit: not started: `--gate` lets only what fits pass");
            let report = report(&words, reported(plan), None, None, Account::default());
            save(args, &report, output)?;
            return Ok(exit);
        }
    }
    // Read before the start: a pattern file that is no good must not cost the run its diagnosis.
    let patterns = patterns(args.deployment.fleet.profile_dir.as_deref())?;
    let stages = StageLines::built_in().map_err(Problem::usage)?;
    let expectation = plan.as_ref().ok().map(|plan| Expectation::of(&plan.report));
    let (probe, recording, blind) = match NvmlProbe::open(Wanted::CHANGING) {
        Ok(probe) => {
            let named = args.record.as_deref();
            let (probe, recording) = Recording::of(Box::new(probe), named, expectation.clone(), output)?;
            (Some(probe), recording, None)
        }
        Err(error) => (None, Recording::none(), Some(error.to_string())),
    };
    let mut screen = open_screen(args, &words, &plan, expectation, Listener::new(&patterns, &stages), output)?;
    let child = match Child::start(&args.command) {
        Ok(child) => child,
        Err(error) => {
            drop(screen);
            recording.close(true, output);
            return Err(not_started(&words, &error));
        }
    };
    let options = Options {
        interval: args.interval,
        quiet: (args.quiet_after > 0).then(|| Duration::from_secs(args.quiet_after)),
    };
    let watched = match &mut screen {
        Some(screen) => screen.watch(child, probe, options),
        None => watch_in_text(child, probe, options, output),
    };
    let outcome = watched.map_err(|error| Problem::cannot_tell(format!("the command cannot be watched: {error}")))?;
    let known =
        account::Known { patterns: &patterns, stages: &stages, plan: plan.as_ref().ok().map(|plan| &plan.report) };
    let account = account::of(args, &words, &known, &outcome);
    recording.mark(&account, &outcome);
    let report = report(&words, reported(plan), Some(&outcome), blind, account);
    let was_on_screen = screen.is_some();
    if let Some(screen) = screen {
        screen.end(&report, &outcome);
    }
    tell(&report, was_on_screen, output);
    recording.close(outcome.ended.is_success(), output);
    save(args, &report, output)?;
    Ok(Exit::Child(outcome.ended.shell_code()))
}

/// Watches a command whose output goes straight through.
fn watch_in_text(
    child: Child,
    probe: Option<Box<dyn Probe + Send>>,
    options: Options,
    output: &mut Output,
) -> io::Result<Outcome> {
    let sinks: (Box<dyn io::Write + Send>, Box<dyn io::Write + Send>) =
        (Box::new(io::stdout()), Box::new(io::stderr()));
    watch(child, sinks, probe, options, &mut |notice| match notice {
        Notice::Sampled { .. } => {}
        Notice::Quiet(time) => output.talk(&format!(
            "shardfit: for {} s nothing was printed and no card's memory moved: the command may hang",
            time.as_secs()
        )),
        Notice::Blind(why) => output.talk(&format!("shardfit: the cards cannot be read: {why}")),
    })
}

/// The screen that was asked for, where there is a terminal for it.
fn open_screen<'p>(
    args: &RunArgs,
    words: &[String],
    plan: &Result<Plan, Problem>,
    expectation: Option<Expectation>,
    listener: Listener<'p>,
    output: &mut Output,
) -> Result<Option<RunScreen<'p>>, Problem> {
    if !args.screen.tui {
        return Ok(None);
    }
    if !io::stdout().is_terminal() {
        output.talk("shardfit: `--tui` needs a terminal: the output goes through as without it");
        return Ok(None);
    }
    let screen = FollowScreen::open(args.screen.theme()?, expectation)
        .map_err(|error| Problem::cannot_tell(format!("the terminal refuses the screen: {error}")))?;
    let title = without_secrets(words.iter().map(String::as_str)).join(" ");
    let line = match plan {
        Ok(plan) if plan.state == State::Fits => LogLine::new(Tone::Plain, &plan.report.verdict.message),
        Ok(plan) => LogLine::new(Tone::Warning, &plan.report.verdict.message),
        Err(problem) => LogLine::new(Tone::Quiet, format!("none: {}", short(problem))),
    };
    Ok(Some(RunScreen::new(screen, title, line, listener)))
}

/// A plan made before the start.
struct Plan {
    report: PlanReport,
    state: State,
}

impl Plan {
    fn starts(&self, strict: bool) -> bool {
        match self.state {
            State::Fits => true,
            State::Tight => !strict,
            State::DoesNotFit | State::CannotTell => false,
        }
    }
}

fn planned(args: &RunArgs, words: &[String]) -> Result<Plan, Problem> {
    let subject = resolve::subject(None, &args.deployment.engine, words)?;
    let fleet = resolve::fleet_for(&subject, &args.deployment.fleet)?;
    let (request, notes) = subject.request(fleet);
    let planned = planning::plan(&request).map_err(super::plan::refused)?;
    let mut report = PlanReport::new(&request, &planned, &notes);
    if let Some(template) = &subject.template {
        report.name_commands(template);
    }
    Ok(Plan { report, state: planned.verdict.state })
}

fn announce(plan: &Plan, output: &mut Output) {
    output.talk(&format!("shardfit: {}", plan.report.verdict.message));
    if let Some(advice) = plan.report.advice.first() {
        let what = advice.command.as_ref().unwrap_or(&advice.change);
        output.talk(&format!("shardfit: repair: {what}"));
    }
}

/// Why there is no plan, without the list of what could be planned: the command runs all the same.
fn short(problem: &Problem) -> &str {
    problem.message.split(": supported are").next().unwrap_or(&problem.message)
}

fn not_started(words: &[String], error: &io::Error) -> Problem {
    let program = words.first().map_or("", String::as_str);
    let problem = Problem::usage(format!("`{program}` cannot be started: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => problem.hint("install it, or name it by its path"),
        io::ErrorKind::PermissionDenied => problem.hint("make it executable, or start it through its interpreter"),
        _ => problem,
    }
}

/// The plan as the report has it.
fn reported(plan: Result<Plan, Problem>) -> Result<PlanReport, String> {
    plan.map(|plan| plan.report).map_err(|problem| problem.message)
}

/// Says what happened where it did not go well. On a screen the last words of the output were seen and are gone: they are said once more.
fn tell(report: &RunReport, was_on_screen: bool, output: &mut Output) {
    let failed = report.ended.as_ref().is_some_and(|ended| ended.exit_code != Some(0));
    if let Some(ended) = report.ended.as_ref().filter(|ended| was_on_screen && failed && !ended.last_lines.is_empty()) {
        output.talk(&format!("{}\n", ended.last_lines.join("\n")));
    }
    if failed || !report.survivors.is_empty() {
        output.talk(run_text(report).trim_end());
    }
    if let Some(diagnosis) = report.diagnosis.as_ref().filter(|diagnosis| !diagnosis.findings.is_empty()) {
        output.talk(&format!("\nshardfit: {}", diagnosis_text(diagnosis).trim_end()));
    }
}

/// Writes the report that was asked for.
fn save(args: &RunArgs, report: &RunReport, output: &mut Output) -> Result<(), Problem> {
    args.report.as_ref().map_or(Ok(()), |path| output.save(path, report))
}
