//! Cards made of what is known: a profile, a bare size, or what the driver reported.

use super::{
    Card, CardSource, CardState, Fleet, FleetItem, FleetSource, FleetSpec, MemoryState, MigInstance, MigMode, Snapshot,
    VisibleDevices,
};
use crate::profiles::CardCalibration;
use crate::profiles::gpus::{GpuCatalogue, GpuProfile, SelectGpuError, threads_per_multiprocessor};
use crate::units::{Basis, Bytes, Estimate, Formula};

/// Cards that cannot be planned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A name that leads to no card, or to several.
    #[error(transparent)]
    Name(#[from] SelectGpuError),
    /// `live` is not a list: the driver must be asked.
    #[error("`live` names the cards of this machine: ask its driver")]
    Live,
    /// The driver gives no memory for a card, and its name is not known either.
    #[error(
        "the driver tells no memory size for card {index} ({name}): name the cards instead, such as `--gpus 4x24GiB`"
    )]
    NoMemory {
        /// NVML index.
        index: u32,
        /// Product name, or why there is none.
        name: String,
    },
    /// A device mask names a card that the snapshot lacks.
    #[error("card {0} is visible but was not reported")]
    Missing(u32),
}

/// The cards of a list such as `2xL4,1xA100-80GB` or `4x24GiB`, in its order.
///
/// # Errors
/// When a name finds no card or several, or the list is `live`.
pub fn resolve(spec: &FleetSpec, catalogue: &GpuCatalogue) -> Result<Fleet, ResolveError> {
    let FleetSpec::Listed(items) = spec else { return Err(ResolveError::Live) };
    let mut cards = Vec::new();
    for item in items {
        let (count, card) = match item {
            FleetItem::Named { count, name } => (*count, Card::of_profile(&catalogue.select(name)?)),
            FleetItem::Sized { count, capacity } => (*count, Card::of_size(*capacity)),
        };
        cards.extend(std::iter::repeat_n(card, count as usize));
    }
    Ok(Fleet { cards, source: FleetSource::Given })
}

/// The visible cards of a snapshot, in the order of their CUDA ordinals.
///
/// # Errors
/// When a card's memory is unknown both to the driver and to the profiles.
pub fn resolve_snapshot(
    snapshot: &Snapshot,
    visible: &VisibleDevices,
    source: FleetSource,
    catalogue: &GpuCatalogue,
) -> Result<Fleet, ResolveError> {
    let mut cards = Vec::new();
    for (index, instance) in &visible.ordinals {
        let missing = || ResolveError::Missing(*index);
        let state = snapshot.cards.iter().find(|c| c.index == *index).ok_or_else(missing)?;
        let card = match (instance, state.mig.as_ref().known()) {
            (None, _) => Card::of_state(state, catalogue)?,
            (Some(wanted), Some(MigMode::Enabled(instances))) => {
                let instance = instances.iter().find(|i| i.index == *wanted).ok_or_else(missing)?;
                Card::of_mig_instance(state, instance, catalogue)?
            }
            (Some(_), _) => return Err(missing()),
        };
        cards.push(card);
    }
    Ok(Fleet { cards, source })
}

impl Card {
    /// A card as its profile describes it, with nobody else on it.
    #[must_use]
    pub fn of_profile(profile: &GpuProfile) -> Self {
        Self {
            label: profile.id.clone(),
            name: profile.names.first().unwrap_or(&profile.id).clone(),
            capacity: profile.memory.cuda_total,
            compute_capability: Some(profile.compute_capability),
            multiprocessors: Some(profile.multiprocessors),
            context: context_of(profile),
            other_processes: Bytes::ZERO,
            shared_pool: profile.memory.shared_pool,
            nvlink: profile.nvlink,
            uuid: None,
            source: CardSource::Profile(profile.id.clone()),
        }
    }

    /// A card known by its CUDA total alone. What kernels it runs is unknown, and its context is assumed.
    #[must_use]
    pub fn of_size(capacity: Bytes) -> Self {
        let label = short(capacity);
        Self {
            name: label.clone(),
            label,
            capacity,
            compute_capability: None,
            multiprocessors: None,
            context: context_of_any_card(),
            other_processes: Bytes::ZERO,
            shared_pool: false,
            nvlink: false,
            uuid: None,
            source: CardSource::Size,
        }
    }

    /// A card as the driver reports it now; a profile of its exact name adds what the driver does not tell.
    ///
    /// # Errors
    /// When neither the driver nor a profile knows how much memory it has.
    pub fn of_state(state: &CardState, catalogue: &GpuCatalogue) -> Result<Self, ResolveError> {
        let name = state.name.as_ref().known();
        let memory = state.memory.known();
        let profile = name.and_then(|name| catalogue.by_driver_name(name, memory.map(|m| m.total)));
        let (capacity, other_processes) = match (memory, &profile) {
            (Some(memory), profile) => shares(memory, profile.as_ref().map(|p| p.memory.cuda_total)),
            // NVML gives no memory for a pool shared with the host; what processes hold is what they are known to hold.
            (None, Some(profile)) => {
                let held = state.processes.as_ref().known().map(|all| all.iter().filter_map(|p| p.used.known()).sum());
                (profile.memory.cuda_total, held.unwrap_or(Bytes::ZERO))
            }
            (None, None) => {
                let name = name.map_or_else(|| "no name".to_owned(), |n| format!("`{n}`"));
                return Err(ResolveError::NoMemory { index: state.index, name });
            }
        };
        let uuid = state.uuid.clone().known();
        let compute_capability = state.compute_capability.known();
        Ok(Self::live(profile.as_ref(), name.cloned(), uuid, capacity, compute_capability).holding(other_processes))
    }

    /// A MIG instance as the driver reports it now: to CUDA, a card of its own.
    ///
    /// # Errors
    /// When neither the driver nor a profile knows how much memory it has.
    pub fn of_mig_instance(
        parent: &CardState,
        instance: &MigInstance,
        catalogue: &GpuCatalogue,
    ) -> Result<Self, ResolveError> {
        let name = instance.name.as_ref().known();
        let profile = name.and_then(|name| catalogue.by_driver_name(name, None));
        let (capacity, other_processes) = match (instance.memory.known(), &profile) {
            (Some(memory), _) => shares(memory, None),
            (None, Some(profile)) => (profile.memory.cuda_total, Bytes::ZERO),
            (None, None) => {
                let name = name.map_or_else(|| format!("MIG instance {}", instance.index), |n| format!("`{n}`"));
                return Err(ResolveError::NoMemory { index: parent.index, name });
            }
        };
        let uuid = instance.uuid.clone().known();
        let compute_capability = parent.compute_capability.known();
        let mut card = Self::live(profile.as_ref(), name.cloned(), uuid, capacity, compute_capability);
        // Instances cannot reach each other, whatever links their cards have.
        card.nvlink = false;
        Ok(card.holding(other_processes))
    }

    /// Takes a measured context in the place of the profile's. An engine's process loads kernels on use, 10 to 150 MiB of them: what
    /// published process lists hold above a bare context, from an A10 to an H100.
    pub fn calibrate(&mut self, measured: &CardCalibration) {
        if let Some(bare) = measured.bare_context {
            let rule =
                Formula::with("bare context B measured on this machine + 10–150 MiB of kernels", &[("B", bare.0)]);
            let with = |kernels: u64| bare + Bytes::mib(kernels);
            self.context = Estimate::between(with(10), with(65), with(150), Basis::Measured, rule);
        }
    }

    fn live(
        profile: Option<&GpuProfile>,
        name: Option<String>,
        uuid: Option<String>,
        capacity: Bytes,
        compute_capability: Option<(u32, u32)>,
    ) -> Self {
        let known = match profile {
            Some(profile) => Self::of_profile(profile),
            None => Self::of_size(capacity),
        };
        Self {
            label: match (profile, &name) {
                (None, Some(name)) => name.clone(),
                _ => known.label,
            },
            name: name.unwrap_or(known.name),
            capacity,
            compute_capability: compute_capability.or(known.compute_capability),
            uuid,
            source: CardSource::Live,
            ..known
        }
    }

    fn holding(self, other_processes: Bytes) -> Self {
        Self { other_processes, ..self }
    }
}

/// (CUDA total, held by others) of a card. Where the driver's own part is not told apart, `used` includes it, and the profile's total
/// stands in; either way what remains is what the driver calls free.
fn shares(memory: MemoryState, profile_total: Option<Bytes>) -> (Bytes, Bytes) {
    let capacity = match (memory.cuda_total(), profile_total) {
        (Some(total), _) => return (total, memory.used),
        (None, Some(total)) => total.min(memory.total),
        (None, None) => memory.total,
    };
    (capacity, capacity.saturating_sub(memory.free))
}

fn context_of(profile: &GpuProfile) -> Estimate {
    if let Some(context) = &profile.context {
        let rule = Formula::plain("context of a process with kernels loaded on use, from the card's profile");
        return Estimate::between(context.low, context.expected, context.high, context.basis, rule);
    }
    let Some(threads) = threads_per_multiprocessor(profile.compute_capability) else {
        return context_of_any_card();
    };
    // The driver backs the stacks of all resident threads, 1 KiB each; its own structures take 60 to 200 MiB and the kernels an engine
    // loads up to 250 MiB (drivers of 2022 to 2025, kernels loaded on use). 230 MiB is the middle of ten kinds of card.
    let stacks = Bytes::kib(u64::from(profile.multiprocessors) * u64::from(threads));
    let rule = Formula::with(
        "M·T·1 KiB of stacks + 60–200 MiB of driver structures + up to 250 MiB of kernels",
        &[("M", profile.multiprocessors.into()), ("T", threads.into())],
    );
    Estimate::between(stacks + Bytes::mib(60), stacks + Bytes::mib(230), stacks + Bytes::mib(450), Basis::Assumed, rule)
}

/// From an L4 to a B200.
fn context_of_any_card() -> Estimate {
    let rule = Formula::plain("context of an unknown card: the range from small to large ones");
    Estimate::between(Bytes::mib(200), Bytes::mib(450), Bytes::mib(800), Basis::Assumed, rule)
}

/// `24GiB`, as one would type it.
fn short(capacity: Bytes) -> String {
    match capacity.0 {
        n if n.is_multiple_of(1 << 30) => format!("{}GiB", n >> 30),
        n if n.is_multiple_of(1_000_000_000) => format!("{}GB", n / 1_000_000_000),
        n if n.is_multiple_of(1 << 20) => format!("{}MiB", n >> 20),
        _ => capacity.to_string().replace(' ', ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{ProcessState, Reading};

    fn fleet(text: &str) -> Result<Fleet, ResolveError> {
        resolve(&text.parse().unwrap(), &GpuCatalogue::built_in())
    }

    fn state(name: &str, total: u64, reserved: Reading<u64>, used: u64) -> CardState {
        let held = reserved.known().unwrap_or(0);
        CardState {
            index: 0,
            uuid: Reading::Known("GPU-1".into()),
            name: Reading::Known(name.into()),
            pci_bus_id: Reading::Unsupported,
            compute_capability: Reading::Unsupported,
            memory: Reading::Known(MemoryState {
                total: Bytes::mib(total),
                reserved: reserved.map(Bytes::mib),
                used: Bytes::mib(used),
                free: Bytes::mib(total - held - used),
            }),
            processes: Reading::Unsupported,
            mig: Reading::Unsupported,
            pcie: Reading::Unsupported,
            temperature_celsius: Reading::Unsupported,
            power_milliwatts: Reading::Unsupported,
            utilization_percent: Reading::Unsupported,
            vitals: Default::default(),
        }
    }

    fn live(state: &CardState) -> Result<Card, ResolveError> {
        Card::of_state(state, &GpuCatalogue::built_in())
    }

    #[test]
    fn listed_fleets() {
        let cards = fleet("2xL4,1xA100-80GB").unwrap();
        assert_eq!(cards.to_string(), "2×L4, 1×A100-80GB");
        assert_eq!(cards.cards[2].capacity, Bytes::from_gib(79.25));
        assert_eq!((cards.cards[2].compute_capability, cards.cards[2].multiprocessors), (Some((8, 0)), Some(108)));
        assert_eq!(cards.cards[2].name, "NVIDIA A100-SXM4-80GB");

        let sized = fleet("4x24GiB").unwrap();
        assert_eq!(sized.to_string(), "4×24GiB");
        assert_eq!((sized.cards[0].capacity, sized.cards[0].compute_capability), (Bytes::gib(24), None));
        assert_eq!(sized.cards[0].context.basis, Basis::Assumed);
        assert_eq!(fleet("24GB").unwrap().cards[0].label, "24GB");

        assert_eq!(fleet("4xA10").unwrap().cards.len(), 4);
        assert!(matches!(fleet("A100"), Err(ResolveError::Name(SelectGpuError::Ambiguous { .. }))));
        assert!(matches!(fleet("4xB1000"), Err(ResolveError::Name(SelectGpuError::Unknown { .. }))));
        assert_eq!(fleet("live"), Err(ResolveError::Live));
    }

    #[test]
    fn contexts_agree_with_the_formula() {
        // The measured figures lie inside the bounds that the formula would give: neither is far off.
        for profile in GpuCatalogue::built_in().all().unwrap() {
            let Some(measured) = &profile.context else { continue };
            let bare = GpuProfile { context: None, ..profile.clone() };
            let formula = context_of(&bare);
            assert!(
                measured.expected >= formula.low && measured.expected <= formula.high + Bytes::mib(50),
                "{}",
                profile.id
            );
        }
        let formula = context_of(&GpuProfile { context: None, ..GpuCatalogue::built_in().select("a10").unwrap() });
        assert_eq!(formula.expected, Bytes::mib(108 + 230));
        assert!(formula.formula.to_string().contains("M = 72, T = 1536"));
    }

    #[test]
    fn live_cards_take_the_drivers_word() {
        let card = live(&state("NVIDIA A10", 23028, Reading::Known(520), 1000)).unwrap();
        assert_eq!((card.capacity, card.other_processes), (Bytes::mib(22508), Bytes::mib(1000)));
        assert_eq!((card.label.as_str(), card.multiprocessors), ("A10", Some(72)));
        assert_eq!((card.source, card.uuid.as_deref()), (CardSource::Live, Some("GPU-1")));

        let unknown = live(&state("NVIDIA X1", 30000, Reading::Known(500), 0)).unwrap();
        assert_eq!((unknown.capacity, unknown.multiprocessors), (Bytes::mib(29500), None));
        assert_eq!((unknown.label.as_str(), unknown.context.basis), ("NVIDIA X1", Basis::Assumed));
    }

    #[test]
    fn without_the_reserved_part_free_memory_is_what_counts() {
        for (name, capacity) in [("NVIDIA A10", Bytes::from_gib(21.98)), ("NVIDIA X1", Bytes::mib(23028))] {
            let card = live(&state(name, 23028, Reading::Unsupported, 700)).unwrap();
            assert_eq!(card.capacity, capacity, "{name}");
            assert_eq!(card.capacity.saturating_sub(card.other_processes), Bytes::mib(23028 - 700), "{name}");
        }
    }

    #[test]
    fn a_shared_pool_has_no_nvml_memory() {
        let mut spark = state("NVIDIA GB10", 1, Reading::Unsupported, 0);
        spark.memory = Reading::Unsupported;
        spark.processes = Reading::Known(vec![ProcessState {
            pid: 1,
            used: Reading::Known(Bytes::gib(2)),
            name: None,
            command: None,
            user: None,
            orphan: false,
            gpu_instance: None,
        }]);
        let card = live(&spark).unwrap();
        assert_eq!((card.capacity, card.other_processes, card.shared_pool), (Bytes::mib(124_610), Bytes::gib(2), true));
        spark.name = Reading::Denied;
        assert!(matches!(live(&spark), Err(ResolveError::NoMemory { index: 0, .. })));
    }

    #[test]
    fn visible_cards_and_instances_become_a_fleet() {
        let mut parent = state("NVIDIA H200", 143_771, Reading::Known(615), 0);
        parent.compute_capability = Reading::Known((9, 0));
        parent.mig = Reading::Known(MigMode::Enabled(vec![MigInstance {
            index: 0,
            uuid: Reading::Known("MIG-1".into()),
            name: Reading::Known("NVIDIA H200 MIG 1g.18gb".into()),
            gpu_instance: Reading::Known(7),
            memory: Reading::Unsupported,
        }]));
        let snapshot = Snapshot {
            driver_version: Reading::Unsupported,
            cuda_version: Reading::Unsupported,
            cards: vec![parent],
            peers: vec![],
        };
        let catalogue = GpuCatalogue::built_in();
        let fleet = |ordinals: Vec<(u32, Option<u32>)>| {
            let visible = VisibleDevices { ordinals, cut_at: None, hidden_by_mig: Vec::new() };
            resolve_snapshot(&snapshot, &visible, FleetSource::Live, &catalogue)
        };
        let slice = &fleet(vec![(0, Some(0))]).unwrap().cards[0];
        assert_eq!((slice.capacity, slice.multiprocessors), (Bytes::gib(16), Some(16)));
        assert_eq!((slice.uuid.as_deref(), slice.nvlink), (Some("MIG-1"), false));
        assert_eq!(fleet(vec![(0, None)]).unwrap().cards[0].capacity, Bytes::mib(143_156));
        assert_eq!(fleet(vec![(3, None)]), Err(ResolveError::Missing(3)));
        assert_eq!(fleet(vec![(0, Some(4))]), Err(ResolveError::Missing(0)));
    }
}
