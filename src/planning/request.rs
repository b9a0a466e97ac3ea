//! The one request in which command line, files and library calls end, and its answer.

use super::verdict::headroom;
use super::{Advice, Rejected, State, Verdict, advice, search};
use crate::engines::{Deployment, Engine, EngineError, EnginePlan, HostLine, Settings, Version};
use crate::hardware::{Card, Fleet};
use crate::model::Model;
use crate::units::Bytes;

/// Where the facts about a model come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelSource {
    /// Headers of a checkpoint on disk, checked against its config.
    Checkpoint,
    /// A `config.json` alone.
    Config,
    /// A GGUF file.
    Gguf,
    /// A built-in profile.
    Profile,
    /// Config and headers from the Hub.
    Hub,
}

impl ModelSource {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Config => "config",
            Self::Gguf => "gguf",
            Self::Profile => "profile",
            Self::Hub => "hub",
        }
    }
}

/// Who said which version of the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionSource {
    /// `--engine NAME@VERSION`.
    Flag,
    /// The tag of a container image.
    ImageTag,
    /// A requirement on the package in a pasted command.
    Requirement,
    /// The package installed on this machine.
    Installed,
    /// Nobody: the newest known is taken.
    Newest,
}

impl VersionSource {
    /// Name as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::ImageTag => "image_tag",
            Self::Requirement => "requirement",
            Self::Installed => "installed",
            Self::Newest => "newest_known",
        }
    }
}

/// What is to be planned.
#[derive(Clone)]
pub struct PlanRequest {
    /// The model.
    pub model: Model,
    /// Where its facts come from.
    pub source: ModelSource,
    /// Bytes of the checkpoint's tensors, from headers or derived; `None` where no element type is stated.
    pub checkpoint_bytes: Option<Bytes>,
    /// The engine.
    pub engine: &'static dyn Engine,
    /// Its version.
    pub version: Version,
    /// Who said so.
    pub version_source: VersionSource,
    /// What the user set.
    pub settings: Settings,
    /// The cards.
    pub fleet: Fleet,
}

impl PlanRequest {
    /// What loading takes of the host's memory; `None` where the engine's way of loading is not modelled.
    #[must_use]
    pub fn host_lines(&self, plan: &EnginePlan) -> Option<Vec<HostLine>> {
        let deployment =
            Deployment { model: &self.model, settings: &self.settings, fleet: &self.fleet, version: self.version };
        self.engine.host(&deployment, plan)
    }

    /// The engine's plan for other settings or cards: of the data-parallel replica whose cards have the least to spare.
    pub(super) fn engine_plan(&self, settings: &Settings, fleet: &Fleet) -> Result<EnginePlan, EngineError> {
        let replica = |fleet: &Fleet| {
            self.engine.plan(&Deployment { model: &self.model, settings, fleet, version: self.version })
        };
        let first = replica(fleet)?;
        let size = first.ranks.len();
        if first.replicas < 2 || size == 0 {
            return Ok(first);
        }
        // Replicas on cards like those of an earlier one are planned with it.
        let mut seen = vec![&fleet.cards[..size]];
        let mut worst = first;
        for (index, cards) in fleet.cards.chunks_exact(size).enumerate().take(worst.replicas as usize).skip(1) {
            if seen.iter().any(|other| alike(other, cards)) {
                continue;
            }
            seen.push(cards);
            let mut plan = replica(&Fleet { cards: cards.to_vec(), source: fleet.source })?;
            // What there is to say of all replicas was said seeing all cards.
            plan.warnings.clone_from(&worst.warnings);
            for rank in &mut plan.ranks {
                rank.card += index * size;
            }
            let order = |plan: &EnginePlan| {
                let verdict = Verdict::of(plan, fleet);
                (
                    verdict.state != State::DoesNotFit,
                    verdict.state == State::Fits,
                    headroom(plan, fleet, verdict.limiting_rank),
                )
            };
            if order(&plan) < order(&worst) {
                worst = plan;
            }
        }
        Ok(worst)
    }
}

/// Whether two replicas' cards are the same kinds in the same order, equally full.
fn alike(one: &[Card], other: &[Card]) -> bool {
    one.iter()
        .zip(other)
        .all(|(a, b)| a.label == b.label && a.capacity == b.capacity && a.other_processes == b.other_processes)
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What the engine would do.
    pub plan: EnginePlan,
    /// Whether it fits.
    pub verdict: Verdict,
    /// Changes that re-planning confirmed, best first.
    pub advice: Vec<Advice>,
    /// Changes that were tried and do not help.
    pub rejected: Vec<Rejected>,
    /// The smallest number of cards of the limiting kind on which it fits; `None` when none up to the largest layout tried does.
    pub fewest_cards: Option<u32>,
}

/// Plans a deployment and, where it does not fit, searches for repairs.
///
/// # Errors
/// When the engine would refuse the settings outright, or a needed fact is missing.
pub fn plan(request: &PlanRequest) -> Result<Planned, EngineError> {
    let plan = request.engine_plan(&request.settings, &request.fleet)?;
    let verdict = Verdict::of(&plan, &request.fleet);
    let (advice, rejected) =
        if verdict.state.fits() { (Vec::new(), Vec::new()) } else { advice::search(request, &plan, &verdict) };
    let fewest_cards = search::fewest_cards(request, &plan, &verdict);
    Ok(Planned { plan, verdict, advice, rejected, fewest_cards })
}
