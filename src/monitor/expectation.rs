//! What a plan predicts for each card, in the form that a monitor lays over what it sees.

use serde::{Deserialize, Serialize};

use super::{CardId, CardUsage};
use crate::engines::Component;
use crate::report::PlanReport;
use crate::units::{ByteDelta, Bytes};

/// The predictions of a plan, by card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What was planned: model, engine, layout.
    pub title: String,
    /// The verdict in one sentence.
    pub verdict: String,
    /// Its cards, in the order of the plan.
    pub cards: Vec<ExpectedCard>,
}

/// One card of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedCard {
    /// Place in the fleet.
    pub place: u32,
    /// Identity, when the plan was made for live cards.
    pub uuid: Option<String>,
    /// Its label.
    pub label: String,
    /// CUDA total that was planned with.
    pub capacity: Bytes,
    /// Ranks on it.
    pub ranks: Vec<u32>,
    /// What is expected by component, in the order of reports; components without bytes are left out.
    pub parts: Vec<ExpectedPart>,
    /// Sum at the best figures.
    pub total: Bytes,
    /// The top at high demand: steady state or load, whichever is higher.
    pub high: Bytes,
}

/// One component of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedPart {
    /// What it is.
    pub part: Part,
    /// How much.
    pub bytes: Bytes,
}

/// A component as screens and charts show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Parameters.
    Weights,
    /// KV pool or cache.
    Kv,
    /// Activation peak.
    Activation,
    /// CUDA graphs.
    Graphs,
    /// Communicators.
    Communication,
    /// Context and allocator slack: what the runtime itself costs.
    Context,
    /// Other processes.
    Others,
}

impl Part {
    /// All, in the order of reports.
    pub const ALL: [Self; 7] =
        [Self::Weights, Self::Kv, Self::Activation, Self::Graphs, Self::Communication, Self::Context, Self::Others];

    /// For legends.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Kv => "KV",
            Self::Activation => "activation",
            Self::Graphs => "graphs",
            Self::Communication => "comm",
            Self::Context => "context",
            Self::Others => "others",
        }
    }

    /// The part that a ledger's component is shown as.
    #[must_use]
    pub const fn of(component: Component) -> Self {
        match component {
            Component::Weights => Self::Weights,
            Component::KvCache => Self::Kv,
            Component::Activation => Self::Activation,
            Component::CudaGraph => Self::Graphs,
            Component::Communication => Self::Communication,
            Component::Context | Component::Allocator => Self::Context,
            Component::OtherProcesses => Self::Others,
        }
    }
}

impl Expectation {
    /// The predictions of a report. Ranks that share a card are added up.
    #[must_use]
    pub fn of(report: &PlanReport) -> Self {
        let mut cards: Vec<ExpectedCard> = Vec::new();
        for rank in &report.ranks {
            let place = cards.iter().position(|card| card.place == rank.card).unwrap_or_else(|| {
                cards.push(ExpectedCard {
                    place: rank.card,
                    uuid: rank.device_uuid.clone(),
                    label: rank.gpu.clone(),
                    capacity: rank.capacity_bytes,
                    ranks: Vec::new(),
                    parts: Vec::new(),
                    total: Bytes::ZERO,
                    high: Bytes::ZERO,
                });
                cards.len() - 1
            });
            let card = &mut cards[place];
            let parts = [
                (Part::Weights, rank.weights_bytes),
                (Part::Kv, rank.kv_cache_bytes),
                (Part::Activation, rank.activation_bytes),
                (Part::Graphs, rank.cuda_graph_bytes),
                (Part::Communication, rank.communication_bytes),
                (Part::Context, rank.context_bytes + rank.allocator_bytes),
                (Part::Others, rank.other_processes_bytes),
            ];
            for (part, bytes) in parts {
                match card.parts.iter_mut().find(|other| other.part == part) {
                    Some(other) => other.bytes += bytes,
                    None if bytes > Bytes::ZERO => card.parts.push(ExpectedPart { part, bytes }),
                    None => {}
                }
            }
            card.parts.sort_by_key(|part| part.part);
            card.ranks.push(rank.rank);
            card.total += rank.total_bytes;
            let high = i128::from(rank.capacity_bytes.0) - i128::from(rank.headroom_bytes);
            card.high += Bytes(u64::try_from(high).unwrap_or(0));
        }
        let id = report.model.id.clone().unwrap_or_else(|| report.model.architecture.clone());
        let engine = format!("{} {}", report.engine.name, report.engine.version);
        let layout = match (report.layout.tp, report.layout.pp) {
            (Some(tp), Some(pp)) => format!("TP {tp} × PP {pp}"),
            _ => "device map".to_owned(),
        };
        Self { title: format!("{id} · {engine} · {layout}"), verdict: report.verdict.message.clone(), cards }
    }

    /// What is expected of a card: by UUID where the plan names one, else by its place.
    #[must_use]
    pub fn card(&self, usage: &CardUsage) -> Option<&ExpectedCard> {
        self.of_identity(&usage.id, usage.uuid.as_ref().known().map(String::as_str))
    }

    /// The same by identity.
    #[must_use]
    pub fn of_identity(&self, id: &CardId, uuid: Option<&str>) -> Option<&ExpectedCard> {
        self.cards.iter().find(|card| match (&card.uuid, uuid) {
            (Some(planned), Some(uuid)) => planned == uuid,
            (Some(_), None) => false,
            (None, _) => id.instance.is_none() && card.place == id.index,
        })
    }
}

impl ExpectedCard {
    /// Memory in use less what is expected.
    #[must_use]
    pub fn drift(&self, used: Bytes) -> ByteDelta {
        used.delta(self.total)
    }
}
