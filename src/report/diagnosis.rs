//! `shardfit/diagnosis/1`: what a log says about memory, why, and what repairs it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tool;
use crate::engines::Cause;
use crate::oom::{Budget, Confidence, Diagnosis, Event, Finding, MatchKind, Repair, RepairKind, Value};
use crate::oom::{Difference, Stated, compare};
use crate::profiles::oom::Stage;
use crate::units::Bytes;

/// A diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisReport {
    /// `shardfit/diagnosis/1`.
    pub schema: String,
    /// Who wrote it.
    pub tool: Tool,
    /// The logs, in the order they were read.
    pub files: Vec<LogReport>,
    /// The engine; `null` where neither flags nor the log name it.
    pub engine: Option<String>,
    /// Its version.
    pub engine_version: Option<String>,
    /// Start-up configuration as the log states it.
    pub configuration: BTreeMap<String, Value>,
    /// What the engine measured, the unit in the name.
    pub measurements: BTreeMap<String, Value>,
    /// First the first failure.
    pub findings: Vec<FindingReport>,
    /// What another log states differently, where one was named: sizes that moved first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<AgainstReport>,
    /// Messages that follow from an earlier failure.
    pub consequences: u64,
    /// What the reader must know.
    pub notes: Vec<String>,
}

/// Another log, and what it states differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgainstReport {
    /// The other log.
    pub name: String,
    /// Its cause; `null` where it holds no failure.
    pub cause: Option<Cause>,
    /// What differs.
    pub differences: Vec<DifferenceRow>,
}

/// One thing that two logs state differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceRow {
    /// Name, the unit as suffix.
    pub name: String,
    /// In this log.
    pub here: Option<Value>,
    /// In the other.
    pub there: Option<Value>,
    /// Here less there, where both are sizes.
    pub moved_bytes: Option<i64>,
}

/// A log that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogReport {
    /// Its path, or `<stdin>`.
    pub name: String,
    /// Bytes of text.
    pub size_bytes: Bytes,
    /// Lines.
    pub lines: u64,
}

/// One failure explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingReport {
    /// One of the causes that plans and diagnoses share.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why, with the numbers.
    pub why: String,
    /// Card as the message names it.
    pub device: Option<u32>,
    /// Rank that failed first.
    pub rank: Option<u32>,
    /// The stage in which it happened.
    pub stage: Option<Stage>,
    /// Numbers and words as printed, the unit in the name.
    pub fields: BTreeMap<String, Value>,
    /// The lines it rests on, the failure first.
    pub evidence: Vec<EvidenceReport>,
    /// Where the bytes of the card went.
    pub budget: Option<BudgetReport>,
    /// What the block asked for could be. Evidence, never proof.
    pub fingerprint: Vec<MatchReport>,
    /// Causes that were considered and lost.
    pub rejected: Vec<RejectedCauseReport>,
    /// Repairs, the best first.
    pub repairs: Vec<RepairReport>,
    /// Popular remedies that do not help here.
    pub rejected_repairs: Vec<RejectedRepairReport>,
}

/// A quoted line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceReport {
    /// The log.
    pub file: String,
    /// Its line, counted from 1.
    pub line: u64,
    /// The words.
    pub text: String,
}

/// Where the bytes of the card went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetReport {
    /// The card's total.
    pub capacity_bytes: Option<Bytes>,
    /// What was asked for.
    pub requested_bytes: Option<Bytes>,
    /// What was free.
    pub free_bytes: Option<Bytes>,
    /// The lines.
    pub lines: Vec<BudgetLineReport>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetLineReport {
    /// What it is.
    pub component: String,
    /// By the log.
    pub stated_bytes: Option<Bytes>,
    /// By the plan.
    pub planned_bytes: Option<Bytes>,
    /// Whether the log states clearly more than the plan gives.
    pub larger_than_planned: bool,
}

/// A tensor of the size of the block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatchReport {
    /// What kind of tensor.
    pub kind: MatchKind,
    /// Element type.
    pub dtype: String,
    /// Ranks it would be divided over.
    pub ranks: u32,
    /// With the arithmetic.
    pub text: String,
}

/// A cause that lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedCauseReport {
    /// The cause.
    pub cause: Cause,
    /// Why it lost.
    pub why: String,
}

/// A repair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepairReport {
    /// What it changes.
    pub kind: RepairKind,
    /// In words.
    pub change: String,
    /// Flags, settings or variables as typed.
    pub flags: Vec<String>,
    /// Whether planning again showed that it fits.
    pub confirmed: bool,
    /// The plan with it.
    pub predicted: Option<PredictedRepair>,
    /// What it costs.
    pub price: String,
    /// Why it is not confirmed, or what to know of it.
    pub reason: Option<String>,
    /// The command with the change.
    pub command: Option<String>,
}

/// A plan with a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PredictedRepair {
    /// `fits` or `tight`.
    pub state: String,
    /// Least headroom of any card.
    pub headroom_bytes: Bytes,
}

/// A remedy that does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedRepairReport {
    /// The remedy.
    pub change: String,
    /// Why.
    pub why: String,
}

impl DiagnosisReport {
    /// The schema's name.
    pub const SCHEMA: &'static str = "shardfit/diagnosis/1";

    /// Puts a diagnosis into the report's form.
    #[must_use]
    pub fn new(diagnosis: &Diagnosis, files: Vec<LogReport>, notes: Vec<String>) -> Self {
        let findings = diagnosis.findings.iter().map(|finding| finding_report(finding, &files)).collect();
        Self {
            schema: Self::SCHEMA.to_owned(),
            tool: Tool::this(),
            engine: diagnosis.facts.engine.clone(),
            engine_version: diagnosis.facts.version.clone(),
            configuration: diagnosis.configuration.clone(),
            measurements: diagnosis.measurements.clone(),
            findings,
            against: None,
            consequences: diagnosis.consequences.len() as u64,
            notes,
            files,
        }
    }
}

impl DiagnosisReport {
    /// Everything that the log states, the first failure's figures first.
    #[must_use]
    pub fn stated(&self) -> Stated {
        let mut all = self.findings.first().map(|finding| finding.fields.clone()).unwrap_or_default();
        for (name, value) in self.configuration.iter().chain(&self.measurements) {
            all.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (name, version) in [("engine", &self.engine), ("engine_version", &self.engine_version)] {
            if let Some(version) = version {
                all.entry(name.to_owned()).or_insert_with(|| Value::Text(version.clone()));
            }
        }
        all
    }

    /// Compares with another report.
    pub fn compare(&mut self, other: &Self) {
        let row = |d: Difference| DifferenceRow {
            name: d.name,
            here: d.here,
            there: d.there,
            moved_bytes: d.moved.map(|m| m.as_i64()),
        };
        self.against = Some(AgainstReport {
            name: other.files.first().map_or_else(|| "<log>".to_owned(), |file| file.name.clone()),
            cause: other.findings.first().map(|finding| finding.cause),
            differences: compare(&self.stated(), &other.stated()).into_iter().map(row).collect(),
        });
    }
}

fn finding_report(finding: &Finding, files: &[LogReport]) -> FindingReport {
    FindingReport {
        cause: finding.cause,
        confidence: finding.confidence,
        why: finding.why.clone(),
        device: finding.device,
        rank: finding.rank,
        stage: finding.stage,
        fields: finding.fields.clone(),
        evidence: finding.evidence.iter().map(|event| evidence(event, files)).collect(),
        budget: finding.budget.as_ref().map(budget),
        fingerprint: finding
            .matches
            .iter()
            .map(|m| MatchReport { kind: m.kind, dtype: m.dtype.to_string(), ranks: m.ranks, text: m.text.clone() })
            .collect(),
        rejected: finding.rejected.iter().map(|r| RejectedCauseReport { cause: r.cause, why: r.why.clone() }).collect(),
        repairs: finding.repairs.iter().map(repair).collect(),
        rejected_repairs: finding
            .rejected_repairs
            .iter()
            .map(|r| RejectedRepairReport { change: r.change.clone(), why: r.why.clone() })
            .collect(),
    }
}

fn evidence(event: &Event, files: &[LogReport]) -> EvidenceReport {
    let file = files.get(event.place.file).map_or_else(|| "<log>".to_owned(), |file| file.name.clone());
    EvidenceReport { file, line: event.place.line, text: event.text.clone() }
}

fn budget(budget: &Budget) -> BudgetReport {
    let line = |line: &crate::oom::BudgetLine| BudgetLineReport {
        component: line.component.clone(),
        stated_bytes: line.stated,
        planned_bytes: line.planned,
        larger_than_planned: line.is_larger,
    };
    BudgetReport {
        capacity_bytes: budget.capacity,
        requested_bytes: budget.requested,
        free_bytes: budget.free,
        lines: budget.lines.iter().map(line).collect(),
    }
}

fn repair(repair: &Repair) -> RepairReport {
    RepairReport {
        kind: repair.kind,
        change: repair.change.clone(),
        flags: repair.flags.clone(),
        confirmed: repair.confirmed,
        predicted: repair.headroom.map(|headroom_bytes| PredictedRepair {
            state: if repair.is_tight { "tight" } else { "fits" }.to_owned(),
            headroom_bytes,
        }),
        price: repair.price.clone(),
        reason: repair.reason.clone(),
        command: repair.command.clone(),
    }
}
