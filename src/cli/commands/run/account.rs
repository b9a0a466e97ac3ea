//! What is made of a command's output and of the recording once it has ended.
#![expect(clippy::disallowed_methods, reason = "asks the environment which cards the command sees")]

use super::RunArgs;
use crate::cli::commands::diagnose::{self, KnownFlags};
use crate::cli::resolve;
use crate::engines::command_line::{read_any_words, read_script};
use crate::oom::{Patterns, Scanner};
use crate::profiles::stages::StageLines;
use crate::report::PlanReport;
use crate::runner::{Account, Outcome, PoolTrace, Recorded, doubt_the_kernel, explain, observe, phases};
use crate::sources::logs::scan;
use crate::units::Bytes;

/// What evidence names as the file of the output.
pub(super) const OUTPUT: &str = "<output>";
/// The shell's code of a process that ended by SIGKILL.
const KILLED: u8 = 137;

/// What is known beside the command and its outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Messages about memory.
    pub patterns: &'a Patterns,
    /// Lines that begin a stage.
    pub stages: &'a StageLines,
    /// What was planned.
    pub plan: Option<&'a PlanReport>,
}

/// The stages of a command, and where it failed why: what its output says of memory, how it ended as its last word, and what the recording
/// of the cards shows beside that.
pub(super) fn of(args: &RunArgs, words: &[String], known: &Known<'_>, outcome: &Outcome) -> Account {
    let Known { patterns, stages, plan } = *known;
    let mut scanner = Scanner::new(patterns);
    let mut files = vec![scan(outcome.log.text().as_slice(), OUTPUT.to_owned(), &mut scanner)];
    if outcome.ended.shell_code() == KILLED && outcome.passed_on.is_none() {
        let word = match outcome.host_kills {
            Some(0) => "signal: killed, and not by the kernel for want of host memory".to_owned(),
            Some(kills) => format!("signal: killed, and the kernel killed {kills} for want of host memory"),
            None => "signal: killed".to_owned(),
        };
        files.push(scan(word.as_bytes(), "<end of the command>".to_owned(), &mut scanner));
    }
    let events = scanner.finish();
    let phases = phases(&events, stages, &outcome.log, &outcome.clock);
    let pools: Vec<_> = outcome.pools.iter().map(|pool| (pool.clone(), size(pool, args))).collect();
    let (cards, neighbours) = (outcome.cards.as_slice(), outcome.neighbours.as_slice());
    let observed = observe(&Recorded { cards, neighbours, pools: &pools, phases: &phases });
    if outcome.ended.is_success() {
        return Account { phases, observed, diagnosis: None };
    }
    let mut diagnosis =
        diagnose::Known::new(&flags(args, words, plan, outcome)).ok().map(|mut known| known.report(&events, &files).1);
    if let Some(diagnosis) = &mut diagnosis {
        doubt_the_kernel(diagnosis, outcome.host_kills);
        explain(diagnosis, &observed, plan, is_masked(words));
    }
    Account { phases, observed, diagnosis }
}

/// What is known beside the output: the command, or where a script was planned in its place, what it says.
fn flags(args: &RunArgs, words: &[String], plan: Option<&PlanReport>, outcome: &Outcome) -> KnownFlags {
    let mut fleet = args.deployment.fleet.clone();
    if fleet.gpus.is_none() && !outcome.cards.is_empty() {
        fleet.gpus = Some("live".to_owned());
    }
    let mut engine = args.deployment.engine.clone();
    let command = read_any_words(words).is_ok().then(|| shell_words::join(words));
    let planned = plan.filter(|_| command.is_none());
    if let Some(plan) = planned
        && engine.engine.is_none()
    {
        engine.engine = Some(format!("{}@{}", plan.engine.name, plan.engine.version));
    }
    KnownFlags { model: planned.and_then(|plan| plan.model.id.clone()), fleet, engine, command }
}

/// How much memory a card that has none of its own shares with the host; `None` for cards that nobody knows as such.
fn size(pool: &PoolTrace, args: &RunArgs) -> Option<Bytes> {
    let catalogue = resolve::catalogue(&args.deployment.fleet).ok()?;
    let profile = catalogue.by_driver_name(&pool.name, None)?;
    profile.memory.shared_pool.then_some(profile.memory.cuda_total)
}

/// Whether the command may count the cards otherwise than the driver does.
fn is_masked(words: &[String]) -> bool {
    let of_command = read_any_words(words).ok().and_then(|read| read.visible_devices);
    let of_script = || read_script(words).and_then(|script| script.visible_devices);
    of_command.or_else(of_script).is_some() || std::env::var_os("CUDA_VISIBLE_DEVICES").is_some()
}
