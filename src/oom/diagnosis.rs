//! A scan read as a whole: which failure came first, what caused it, what repairs it.

use std::collections::BTreeMap;

use super::budget::budget;
use super::cause::{Confidence, Context, Judgement, judge, suspicions};
use super::repair::{RejectedRepair, Repair, repairs};
use super::{Budget, Event, Events, Facts, Match, Value, fingerprint};
use crate::engines::Cause;
use crate::profiles::oom::{Role, Signal, Stage};

/// A cause that was considered and lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedCause {
    /// The cause.
    pub cause: Cause,
    /// Why it lost.
    pub why: String,
}

/// One failure explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Why.
    pub cause: Cause,
    /// How sure that is.
    pub confidence: Confidence,
    /// In one or two sentences.
    pub why: String,
    /// Card, as the message names it.
    pub device: Option<u32>,
    /// Rank that failed first.
    pub rank: Option<u32>,
    /// The stage in which it happened.
    pub stage: Option<Stage>,
    /// Everything the log states in numbers: of the failure first, then of what the engine reported before it.
    pub fields: BTreeMap<String, Value>,
    /// The messages it rests on, the failure first.
    pub evidence: Vec<Event>,
    /// Where the bytes of the card went.
    pub budget: Option<Budget>,
    /// What the block asked for could be.
    pub matches: Vec<Match>,
    /// Rivals.
    pub rejected: Vec<RejectedCause>,
    /// Repairs, the best first.
    pub repairs: Vec<Repair>,
    /// Popular remedies that do not help.
    pub rejected_repairs: Vec<RejectedRepair>,
}

/// What a log says.
#[derive(Clone)]
pub struct Diagnosis {
    /// What is known of the deployment, the log included.
    pub facts: Facts,
    /// First the first failure.
    pub findings: Vec<Finding>,
    /// Messages that follow from an earlier failure.
    pub consequences: Vec<Event>,
    /// Start-up configuration, as the log states it.
    pub configuration: BTreeMap<String, Value>,
    /// What the engine measured, the first statement of each figure.
    pub measurements: BTreeMap<String, Value>,
}

impl Diagnosis {
    /// Whether a failure was seen whose cause is not known.
    #[must_use]
    pub fn cannot_tell(&self) -> bool {
        self.findings.first().is_some_and(|f| f.cause == Cause::Unknown)
    }
}

/// Most findings of one log.
const SHOWN: usize = 4;

/// Reads the events of a log together with what is known of the deployment.
#[must_use]
pub fn diagnose(events: &Events, facts: &Facts) -> Diagnosis {
    let facts = facts.clone().with_log(events);
    let failures = in_order(events, Role::Failure);
    let mut findings: Vec<Finding> = Vec::new();
    for failure in &failures {
        if findings.len() >= SHOWN {
            break;
        }
        let context = Context::new(events, &facts, failure);
        let judgement = judge(&context);
        if !findings.iter().any(|f| f.cause == judgement.cause || echoes(f, failure)) {
            findings.push(finding(&context, judgement));
        }
    }
    if failures.is_empty() {
        for (event, judgement) in suspicions(events) {
            if !findings.iter().any(|f| f.cause == judgement.cause) {
                findings.push(finding(&Context::new(events, &facts, event), judgement));
            }
        }
    }
    if findings.is_empty()
        && let Some(event) = in_order(events, Role::Decline).first()
    {
        findings.push(finding(&Context::new(events, &facts, event), declined(event)));
    }
    let is_sign = |e: &&Event| e.signal == Signal::Traceback || e.role == Role::Consequence;
    if findings.is_empty()
        && let Some(event) = events.list.iter().find(is_sign)
    {
        findings.push(finding(&Context::new(events, &facts, event), unexplained(event)));
    }
    let consequences = events.list.iter().filter(|e| e.role == Role::Consequence).cloned().collect();
    let mut configuration = BTreeMap::new();
    for event in events.list.iter().filter(|e| e.role == Role::Config) {
        for (name, value) in &event.fields {
            configuration.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    let mut measurements = BTreeMap::new();
    for event in events.list.iter().filter(|e| matches!(e.role, Role::State | Role::Gauge)) {
        for (name, value) in &event.fields {
            measurements.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    Diagnosis { facts, findings, consequences, configuration, measurements }
}

/// Whether a failure repeats what a finding explains: another rank of the same job, or a word of the same program about it.
fn echoes(finding: &Finding, failure: &Event) -> bool {
    let Some(first) = finding.evidence.first() else { return false };
    first.signal == failure.signal || finding.evidence.iter().any(|e| e.place == failure.place)
        // A process that is killed or a peer that fails after an error of the card is no second cause.
        || matches!(failure.signal, Signal::HostKilled | Signal::RayWorkerDied | Signal::NcclOutOfMemory)
}

/// Events of a role, the earliest first: by time stamps where all of one form have one, else in the order of the text.
fn in_order(events: &Events, role: Role) -> Vec<&Event> {
    let mut list: Vec<&Event> = events.list.iter().filter(|e| e.role == role).collect();
    let lengths: Vec<Option<usize>> = list.iter().map(|e| e.time.as_ref().map(String::len)).collect();
    let comparable = lengths.windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]);
    let several_files = list.windows(2).any(|pair| pair[0].place.file != pair[1].place.file);
    if comparable && several_files {
        list.sort_by(|a, b| a.time.cmp(&b.time));
    }
    list
}

fn unexplained(event: &Event) -> Judgement {
    let why = if event.signal == Signal::Traceback {
        "a traceback, and no message about memory before or after it"
    } else {
        "a process ended, and the log does not hold the error that it followed from; the logs of the other ranks may"
    };
    Judgement::new(Cause::Unknown, Confidence::Low, why)
}

fn declined(event: &Event) -> Judgement {
    let why = match event.signal {
        Signal::Xid => "the driver reports a fault of a kernel (illegal access), which is not exhaustion",
        Signal::IllegalAccess => "a kernel touched memory that is not its own: a fault, not exhaustion",
        Signal::KernelResources => {
            "a kernel's tile is larger than the shared memory inside a multiprocessor; the card's memory is not what ran out"
        }
        Signal::TensorsOnTwoDevices => {
            "tensors of one operation are on two cards: an error of placement, no allocation failed"
        }
        _ => "the library could not be initialised; memory is one reason among others (driver, versions)",
    };
    Judgement::new(Cause::Unknown, Confidence::Medium, why)
}

fn finding(context: &Context<'_>, judgement: Judgement) -> Finding {
    let failure = context.failure;
    let mut fields = failure.fields.clone();
    if let Some(wrapper) = context.wrapper {
        wrapper.fields.iter().for_each(|(name, value)| {
            fields.entry(name.clone()).or_insert_with(|| value.clone());
        });
    }
    derived(context, &mut fields);
    for event in events_before(context) {
        for (name, value) in &event.fields {
            fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    let rank = rank(context);
    if let Some(rank) = rank {
        fields.entry("rank".to_owned()).or_insert(Value::Number(f64::from(rank)));
    }
    let mut evidence = vec![failure.clone()];
    evidence.extend(context.wrapper.cloned());
    for event in judgement.evidence {
        if !evidence.contains(&event) {
            evidence.push(event);
        }
    }
    let device = judgement.device.or_else(|| {
        fields.get("device").and_then(Value::number).filter(|d| (0.0..65536.0).contains(d)).map(|d| d as u32)
    });
    let (repairs, rejected_repairs) = repairs(context, judgement.cause);
    Finding {
        cause: judgement.cause,
        confidence: judgement.confidence,
        why: judgement.why,
        device,
        rank,
        stage: context.stage,
        fields,
        evidence,
        budget: budget(context, context.facts.request.as_ref()),
        matches: fingerprint(&context.allocation, context.facts),
        rejected: judgement.rejected.into_iter().map(|(cause, why)| RejectedCause { cause, why }).collect(),
        repairs,
        rejected_repairs,
    }
}

/// The rank that failed: as the message or its prefix names it, else that of the first failure which does.
fn rank(context: &Context<'_>) -> Option<u32> {
    let named = |event: &Event| event.rank.or_else(|| event.number("rank").map(|r| r as u32));
    let failures = context.events.list.iter().filter(|e| e.role == Role::Failure);
    named(context.failure).or_else(|| failures.filter(|e| e.place.file == context.failure.place.file).find_map(named))
}

/// What the engine stated before the failure, the latest first where it repeats itself, and configuration wherever it stands.
fn events_before<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a Event> {
    let failure = context.failure;
    let stated = |e: &&Event| {
        matches!(e.role, Role::State | Role::Config | Role::Gauge | Role::Suspicion | Role::Decline | Role::Failure)
    };
    let related = move |e: &&Event| e.role != Role::Failure || e.signal != failure.signal || e.same_process(failure);
    context.events.list.iter().filter(stated).filter(related)
}

/// Figures that follow from the message's own.
fn derived(context: &Context<'_>, fields: &mut BTreeMap<String, Value>) {
    if context.failure.signal == Signal::GgmlBuffer
        && let (Some(offload), Some(device)) =
            (context.events.of(Signal::Offload).last(), context.failure.number("device"))
    {
        for (list, name) in [("available_list", "free_at_start_gib"), ("allocations_list", "estimated_gib")] {
            let sizes = offload.text(list).unwrap_or_default().split("iB").nth(device.max(0.0) as usize);
            if let Some(size) = sizes.map(str::trim).filter(|s| !s.is_empty()) {
                fields.entry(name.to_owned()).or_insert_with(|| Value::read(name, &format!("{size}iB"), None));
            }
        }
    }
    if context.failure.signal == Signal::SleepResidue {
        let cycles: Vec<&Value> =
            context.events.of(Signal::SleepResidue).filter_map(|e| e.fields.get("residual_gib")).collect();
        for (name, value) in [("residual_gib_first", cycles.first()), ("residual_gib_next", cycles.get(1))] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), (*value).clone());
            }
        }
    }
    if context.failure.signal != Signal::Allocation {
        return;
    }
    let allocation = &context.allocation;
    if let Some(process) = allocation.process {
        fields.entry("this_process_gib".to_owned()).or_insert(Value::Number(rounded(process.as_gib())));
    }
    if let Some(others) = allocation.held_by_others().filter(|h| h.as_gib() >= 0.5) {
        fields.entry("other_processes_gib".to_owned()).or_insert(Value::Number(rounded(others.as_gib())));
    }
}

fn rounded(gib: f64) -> f64 {
    (gib * 100.0).round() / 100.0
}
