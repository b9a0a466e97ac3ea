//! An outcome as a report.

use super::{CardTrace, Ended, Moment, Observation, Outcome, Survivor};
use crate::engines::command_line::without_secrets;
use crate::report::probe::ToolReport;
use crate::report::run::{EndReport, MomentReport, ObservedReport, PhaseReport, RunCard, RunReport, SurvivorReport};
use crate::report::{DiagnosisReport, PlanReport};

/// Lines of output in a report.
const LINES: usize = 20;

/// What was made of the output and the recording of a command.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The stages that the output told of.
    pub phases: Vec<PhaseReport>,
    /// What the recording shows.
    pub observed: Vec<Observation>,
    /// Why it failed.
    pub diagnosis: Option<DiagnosisReport>,
}

/// The report of a command: what was planned (or why not) and what happened (or nothing, where it was kept from starting).
#[must_use]
pub fn report(
    command: &[String],
    plan: Result<PlanReport, String>,
    outcome: Option<&Outcome>,
    cards_reason: Option<String>,
    account: Account,
) -> RunReport {
    let (plan, plan_reason) = match plan {
        Ok(plan) => (Some(plan), None),
        Err(reason) => (None, Some(reason)),
    };
    RunReport {
        schema: RunReport::SCHEMA,
        tool: ToolReport { name: "shardfit", version: env!("CARGO_PKG_VERSION") },
        command: without_secrets(command.iter().map(String::as_str)),
        plan,
        plan_reason,
        ended: outcome.map(end),
        cards: outcome.map(|outcome| outcome.cards.iter().map(card).collect()).unwrap_or_default(),
        cards_reason,
        phases: account.phases,
        observed: account.observed.iter().map(observed).collect(),
        diagnosis: account.diagnosis,
        survivors: outcome.map(|outcome| outcome.survivors.iter().map(survivor).collect()).unwrap_or_default(),
    }
}

fn end(outcome: &Outcome) -> EndReport {
    let (exit_code, signal) = match outcome.ended {
        Ended::Code(code) => (Some(code), None),
        Ended::Signal(signal) => (None, Some(signal)),
    };
    EndReport {
        exit_code,
        signal,
        seconds: outcome.time.as_secs_f64(),
        signal_passed_on: outcome.passed_on,
        host_memory_kills: outcome.host_kills,
        log_bytes: outcome.log.total(),
        last_lines: outcome.log.last_lines(LINES),
    }
}

fn card(trace: &CardTrace) -> RunCard {
    RunCard {
        card: trace.id.to_string(),
        name: trace.name.clone(),
        uuid: trace.uuid.clone(),
        capacity_bytes: trace.capacity,
        first_used_bytes: trace.first.used,
        peak_used_bytes: trace.peak.used,
        peak_seconds: trace.peak.at.as_secs_f64(),
        peak_ours_bytes: trace.peak_ours,
        last: trace.last.iter().map(moment).collect(),
    }
}

fn moment(moment: &Moment) -> MomentReport {
    MomentReport {
        seconds: moment.at.as_secs_f64(),
        used_bytes: moment.used,
        ours_bytes: moment.ours,
        others_bytes: moment.ours.map(|ours| moment.used.saturating_sub(ours)),
    }
}

fn observed(seen: &Observation) -> ObservedReport {
    ObservedReport {
        kind: seen.kind.name().to_owned(),
        card: seen.card.to_string(),
        pid: seen.pid,
        memory_bytes: seen.bytes,
        seconds: seen.at.as_secs_f64(),
        text: seen.text.clone(),
    }
}

fn survivor(survivor: &Survivor) -> SurvivorReport {
    SurvivorReport { pid: survivor.pid, command: survivor.command.clone(), used_bytes: survivor.used }
}
