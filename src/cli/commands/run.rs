//! `shardfit run`

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use etcetera::BaseStrategy;

use super::diagnose::{Known, KnownFlags, patterns};
use super::run_screen::watch_on_screen;
use crate::cli::args::DeploymentFlags;
use crate::cli::{Exit, Output, Problem, resolve};
use crate::engines::command_line::{read_words, without_secrets};
use crate::monitor::recording::{Header, Recorder};
use crate::monitor::{Expectation, Interval};
use crate::oom::Scanner;
use crate::planning::{self, State};
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::report::DiagnosisReport;
use crate::report::PlanReport;
use crate::report::render::{diagnosis_text, run_text};
use crate::report::run::PhaseReport;
use crate::runner::{Child, Notice, Options, Outcome, RecordingProbe, phases, report, watch};
use crate::sources::logs::scan;

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
    /// Show cards, plan and output on the whole terminal
    #[arg(long)]
    pub tui: bool,
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

/// The shell's code of a process that ended by SIGKILL.
const KILLED: u8 = 137;

/// Plans the command, starts it, watches it to its end, and ends as it does.
///
/// # Errors
/// When the gate stays closed, when there is no such program, or when the report cannot be written.
pub fn run(args: &RunArgs, output: &mut Output) -> Result<Exit, Problem> {
    let words: Vec<String> = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let plan = planned(args, &words);
    match &plan {
        Ok(plan) => announce(plan, output),
        Err(problem) => output.talk(&format!("shardfit: the command is not planned: {}", problem.message)),
    }
    if args.gate {
        let closed = match &plan {
            Ok(plan) => !plan.starts(args.strict),
            Err(_) => true,
        };
        if closed {
            let exit = plan.as_ref().map_or_else(|problem| problem.exit, |_| Exit::DoesNotFit);
            output.talk("shardfit: not started: `--gate` lets only what fits pass");
            save(args, &words, plan, None, None, output)?;
            return Ok(exit);
        }
    }
    let probe = NvmlProbe::open(Wanted::CHANGING).map(|probe| Box::new(probe) as Box<dyn Probe + Send>);
    let (probe, blind) = match probe {
        Ok(probe) => (Some(probe), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let expectation = plan.as_ref().ok().map(|plan| Expectation::of(&plan.report));
    let (probe, recording) = match probe {
        Some(probe) => recorded(args, probe, expectation, output)?,
        None => (None, None),
    };
    let child = Child::start(&args.command).map_err(|error| not_started(&words, &error))?;
    let sinks: (Box<dyn io::Write + Send>, Box<dyn io::Write + Send>) =
        (Box::new(io::stdout()), Box::new(io::stderr()));
    let options = Options {
        interval: args.interval,
        quiet: (args.quiet_after > 0).then(|| Duration::from_secs(args.quiet_after)),
    };
    let watched = if args.tui && io::stdout().is_terminal() {
        let expectation = plan.as_ref().ok().map(|plan| Expectation::of(&plan.report));
        watch_on_screen(child, without_secrets(words.iter().map(String::as_str)).join(" "), probe, options, expectation)
    } else {
        watch(child, sinks, probe, options, &mut |notice| match notice {
            Notice::Quiet(time) => output.talk(&format!(
                "shardfit: for {} s nothing was printed and no card's memory moved: the command may hang",
                time.as_secs()
            )),
            Notice::Blind(why) => output.talk(&format!("shardfit: the cards cannot be read: {why}")),
        })
    };
    let outcome = watched.map_err(|error| Problem::cannot_tell(format!("the command cannot be watched: {error}")))?;
    save(args, &words, plan, Some(&outcome), blind, output)?;
    match recording {
        Some(path) if args.record.is_some() || !outcome.ended.is_success() => {
            output.talk(&format!("shardfit: the cards were recorded: `shardfit top --replay {}`", path.display()));
        }
        Some(path) => drop(std::fs::remove_file(path)),
        None => {}
    }
    Ok(Exit::Child(outcome.ended.shell_code()))
}

/// The probe with its answers recorded, and the file. Where nobody named one and none can be made, the command runs all the same.
type Recorded = (Option<Box<dyn Probe + Send>>, Option<PathBuf>);

fn recorded(
    args: &RunArgs,
    probe: Box<dyn Probe + Send>,
    expectation: Option<Expectation>,
    output: &mut Output,
) -> Result<Recorded, Problem> {
    let header = Header::now("run", expectation);
    let made = match &args.record {
        Some(path) => Recorder::create(path, &header),
        None => own_place().and_then(|path| Recorder::create(&path, &header)),
    };
    match made {
        Ok(recorder) => {
            let path = recorder.path().to_owned();
            Ok((Some(Box::new(RecordingProbe::new(probe, recorder))), Some(path)))
        }
        Err(error) => match &args.record {
            Some(path) => Err(Problem::usage(format!("the recording `{}` cannot be written: {error}", path.display()))
                .hint("name a new file: recordings are never written over")),
            None => {
                output.talk(&format!("shardfit: the cards are not recorded: {error}"));
                Ok((Some(probe), None))
            }
        },
    }
}

/// A new file in the user's state folder.
fn own_place() -> io::Result<PathBuf> {
    let base = etcetera::base_strategy::Xdg::new().map_err(io::Error::other)?;
    let folder = base.state_dir().unwrap_or_else(|| base.data_dir()).join("shardfit");
    std::fs::create_dir_all(&folder)?;
    let seconds = std::time::UNIX_EPOCH.elapsed().map_err(io::Error::other)?.as_secs();
    Ok(folder.join(format!("run-{seconds}-{}.rec", std::process::id())))
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

fn not_started(words: &[String], error: &io::Error) -> Problem {
    let program = words.first().map_or("", String::as_str);
    let problem = Problem::usage(format!("`{program}` cannot be started: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => problem.hint("install it, or name it by its path"),
        io::ErrorKind::PermissionDenied => problem.hint("make it executable, or start it through its interpreter"),
        _ => problem,
    }
}

/// What the output of a command says: its stages, and where it failed, what it says about memory; how it ended counts as its last word.
fn heard(args: &RunArgs, words: &[String], outcome: &Outcome) -> Option<(Vec<PhaseReport>, Option<DiagnosisReport>)> {
    let mut fleet = args.deployment.fleet.clone();
    if fleet.gpus.is_none() && !outcome.cards.is_empty() {
        fleet.gpus = Some("live".to_owned());
    }
    let flags = KnownFlags {
        model: None,
        fleet,
        engine: args.deployment.engine.clone(),
        command: read_words(words).is_ok().then(|| shell_words::join(words)),
    };
    let patterns = patterns(args.deployment.fleet.profile_dir.as_deref()).ok()?;
    let mut scanner = Scanner::new(&patterns);
    let mut files = vec![scan(outcome.log.text().as_slice(), "<output>".to_owned(), &mut scanner)];
    if matches!(outcome.ended.shell_code(), KILLED) && outcome.passed_on.is_none() {
        let word = match outcome.host_kills {
            Some(0) => "signal: killed, and not by the kernel for want of host memory".to_owned(),
            Some(kills) => format!("signal: killed, and the kernel killed {kills} for want of host memory"),
            None => "signal: killed".to_owned(),
        };
        files.push(scan(word.as_bytes(), "<end of the command>".to_owned(), &mut scanner));
    }
    let events = scanner.finish();
    let phases = phases(&events, &outcome.log, &outcome.clock);
    if outcome.ended.is_success() {
        return Some((phases, None));
    }
    Some((phases, Known::new(&flags).ok().map(|mut known| known.report(&events, &files).1)))
}

/// Says what happened where it did not go well, and writes the report that was asked for.
fn save(
    args: &RunArgs,
    words: &[String],
    plan: Result<Plan, Problem>,
    outcome: Option<&Outcome>,
    blind: Option<String>,
    output: &mut Output,
) -> Result<(), Problem> {
    let failed = outcome.is_some_and(|outcome| !outcome.ended.is_success());
    let (phases, diagnosis) = outcome.and_then(|outcome| heard(args, words, outcome)).unwrap_or_default();
    let plan = plan.map(|plan| plan.report).map_err(|problem| problem.message);
    let report = report(words, plan, outcome, blind, diagnosis, phases);
    if failed || !report.survivors.is_empty() {
        output.talk(run_text(&report).trim_end());
    }
    if let Some(diagnosis) = report.diagnosis.as_ref().filter(|diagnosis| !diagnosis.findings.is_empty()) {
        output.talk(&format!("\nshardfit: {}", diagnosis_text(diagnosis).trim_end()));
    }
    match &args.report {
        Some(path) => output.save(path, &report),
        None => Ok(()),
    }
}
