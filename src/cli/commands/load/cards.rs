//! Which cards a load uses: those of the CUDA driver, or host memory that stands in for some.

use super::{DeviceChoice, LoadArgs};
use crate::cli::resolve::{self, Subject};
use crate::cli::{Exit, Problem, calibration};
use crate::engines::RankShard;
use crate::hardware::{Card, Fleet, FleetSource, Snapshot};
use crate::loader::available_host_memory;
use crate::loader::device::{Cards, CudaCards, CudaDriver, DeviceIdentity, HostCards};
use crate::probe::{NvmlProbe, Probe, Wanted};
use crate::profiles::CardCalibration;
use crate::profiles::gpus::GpuCatalogue;
use crate::units::Bytes;

/// Host cards that are offered when nobody names cards: more than any layout has ranks.
const HOST_CARDS: usize = 64;

/// The cards at hand, before ranks are put on them.
pub(super) struct AtHand {
    /// The cards in the order of their ordinals.
    pub fleet: Fleet,
    kind: Kind,
    reason: String,
    measured: Vec<Option<CardCalibration>>,
}

enum Kind {
    Cuda(CudaDriver),
    Host,
}

impl AtHand {
    /// The backend of `--device`, and its cards.
    pub fn open(args: &LoadArgs, subject: &Subject) -> Result<Self, Problem> {
        if args.device != DeviceChoice::Host {
            match CudaDriver::open() {
                Ok(driver) if driver.devices().len() > 0 => return Self::cuda(args, driver),
                Ok(_) if args.device == DeviceChoice::Cuda => {
                    return Err(Problem::cannot_tell("the CUDA driver shows no card")
                        .hint("check CUDA_VISIBLE_DEVICES; `--device host` proves placement without a card"));
                }
                Err(error) if args.device == DeviceChoice::Cuda => {
                    return Err(Problem::cannot_tell(error).hint("`--device host` proves placement without a card"));
                }
                Ok(_) => return Self::host(args, subject, "the CUDA driver shows no card"),
                Err(error) => return Self::host(args, subject, &error.to_string()),
            }
        }
        Self::host(args, subject, "asked for")
    }

    fn cuda(args: &LoadArgs, driver: CudaDriver) -> Result<Self, Problem> {
        let mut probe = NvmlProbe::open(Wanted::MEMORY).ok();
        let snapshot = probe.as_mut().and_then(|probe| probe.snapshot().ok());
        let catalogue = resolve::catalogue(&args.deployment.fleet)?;
        let mut cards: Vec<Card> =
            driver.devices().map(|device| card_of(device, snapshot.as_ref(), &catalogue)).collect();
        let version = snapshot.as_ref().and_then(|snapshot| snapshot.driver_version.as_ref().known());
        let kept = if args.deployment.fleet.no_calibration { None } else { calibration::read()? };
        let of_card = |card: &Card| kept.as_ref()?.card(&card.name, version.map(String::as_str)).cloned();
        let measured: Vec<_> = cards.iter().map(of_card).collect();
        for (card, measured) in cards.iter_mut().zip(&measured) {
            measured.iter().for_each(|measured| card.calibrate(measured));
        }
        let reason = format!("the CUDA driver shows {}", counted(driver.devices().len(), "card"));
        Ok(Self { fleet: Fleet { cards, source: FleetSource::Live }, kind: Kind::Cuda(driver), reason, measured })
    }

    fn host(args: &LoadArgs, subject: &Subject, why: &str) -> Result<Self, Problem> {
        let fleet = match &args.deployment.fleet.gpus {
            Some(text) if !text.eq_ignore_ascii_case("live") => resolve::fleet_for(subject, &args.deployment.fleet)?,
            _ => {
                let bound = available_host_memory().ok_or_else(|| {
                    Problem::cannot_tell("this machine does not tell how much memory is available")
                        .hint("state the capacity of the host cards: `--gpus 4x24GiB`")
                })?;
                let card = Card { label: "host memory".to_owned(), ..Card::of_size(bound.available) };
                Fleet { cards: vec![card; HOST_CARDS], source: FleetSource::Given }
            }
        };
        let reason = format!("host memory stands in for cards: {why}");
        Ok(Self { fleet, kind: Kind::Host, reason, measured: Vec::new() })
    }
}

/// A CUDA device as a planner sees it: by NVML where it answers, else by the driver's own total.
fn card_of(device: &DeviceIdentity, snapshot: Option<&Snapshot>, catalogue: &GpuCatalogue) -> Card {
    let same = |uuid: Option<&String>| uuid.is_some_and(|text| device.uuid.is_some_and(|u| u.matches(text)));
    for state in snapshot.into_iter().flat_map(|s| &s.cards) {
        if same(state.uuid.as_ref().known())
            && let Ok(card) = Card::of_state(state, catalogue)
        {
            return card;
        }
        for instance in state.mig_instances().into_iter().flatten() {
            if same(instance.uuid.as_ref().known())
                && let Ok(card) = Card::of_mig_instance(state, instance, catalogue)
            {
                return card;
            }
        }
    }
    let known = catalogue.by_driver_name(&device.name, None).map(|profile| Card::of_profile(&profile));
    let card = known.unwrap_or_else(|| Card::of_size(device.total));
    Card { name: device.name.clone(), capacity: device.total, uuid: device.uuid.map(|u| format!("GPU-{u}")), ..card }
}

/// The cards of one load, with the ranks on them.
pub(super) struct Backend {
    cards: Box<dyn Cards>,
    /// Cards in rank order, for the plan.
    pub fleet: Fleet,
    /// Index among the load's cards of each rank.
    pub device_of_rank: Vec<usize>,
    /// Why this kind of card.
    pub reason: String,
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// What calibration measured of each of the load's cards.
    measured: Vec<Option<CardCalibration>>,
}

impl Backend {
    /// Puts ranks on cards: as `--devices` says, else one rank a card.
    pub fn assign(hand: AtHand, shards: &[RankShard], devices: &[u32]) -> Result<Self, Problem> {
        let ordinals: Vec<u32> = if devices.is_empty() {
            shards.iter().map(|shard| shard.rank).collect()
        } else if devices.len() == shards.len() {
            devices.to_vec()
        } else {
            let message =
                format!("`--devices` names {} for {}", counted(devices.len(), "card"), counted(shards.len(), "rank"));
            return Err(
                Problem::usage(message).hint("name one ordinal a rank: `--devices 0,0,1,1` for 4 ranks on 2 cards")
            );
        };
        let available = hand.fleet.cards.len();
        if let Some(beyond) = ordinals.iter().find(|ordinal| **ordinal as usize >= available) {
            let zeros = vec!["0"; shards.len()].join(",");
            return Err(Problem {
                message: format!("card {beyond} is wanted, and there {}", are(available, "card")),
                hints: vec![format!(
                    "`--devices {zeros}` puts all ranks on one card; `--gpus` states the host's cards"
                )],
                exit: Exit::Usage,
            });
        }
        let mut used: Vec<u32> = ordinals.clone();
        used.sort_unstable();
        used.dedup();
        let device_of_rank: Vec<usize> =
            ordinals.iter().map(|ordinal| used.iter().position(|u| u == ordinal).unwrap_or(0)).collect();
        let card = |ordinal: &u32| hand.fleet.cards[*ordinal as usize].clone();
        let mut warnings = Vec::new();
        if used.len() < ordinals.len() {
            warnings.push(format!(
                "{} share {}: this proves placement and sizes, not that each rank has a card of its own",
                counted(ordinals.len(), "rank"),
                counted(used.len(), "card")
            ));
        }
        let measured = used.iter().map(|ordinal| hand.measured.get(*ordinal as usize).cloned().flatten()).collect();
        let cards: Box<dyn Cards> = match hand.kind {
            Kind::Cuda(driver) => Box::new(CudaCards::new(driver, used)),
            Kind::Host => {
                let capacities: Vec<Bytes> = used.iter().map(|o| card(o).capacity).collect();
                Box::new(HostCards::new(&capacities))
            }
        };
        let fleet = Fleet { cards: ordinals.iter().map(card).collect(), source: hand.fleet.source };
        Ok(Self { cards, fleet, device_of_rank, reason: hand.reason, warnings, measured })
    }

    /// What a context without an engine's kernels takes on one of the load's cards, where calibration measured it.
    pub fn bare_context(&self, index: usize) -> Option<Bytes> {
        self.measured.get(index)?.as_ref()?.bare_context
    }

    /// The width below which the CPU packs rows, the least that calibration measured; `None` leaves it to the kind of card.
    pub fn pack_below(&self) -> Option<u64> {
        self.measured.iter().flatten().filter_map(|card| card.pack_below).min()
    }

    /// The cards.
    pub fn cards(&self) -> &dyn Cards {
        self.cards.as_ref()
    }
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn are(n: usize, what: &str) -> String {
    if n == 1 { format!("is 1 {what}") } else { format!("are {n} {what}s") }
}
