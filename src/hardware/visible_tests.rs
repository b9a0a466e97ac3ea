//! Tables of masks: what is typed, what a process sees.

use super::*;
use crate::hardware::{MemoryState, MigMode, Reading};
use crate::units::Bytes;

fn card(index: u32, uuid: &str, capability: (u32, u32), gib: u64) -> CardState {
    CardState {
        uuid: Reading::Known(uuid.to_owned()),
        compute_capability: Reading::Known(capability),
        memory: Reading::Known(MemoryState {
            total: Bytes::gib(gib),
            reserved: Reading::Unsupported,
            used: Bytes::ZERO,
            free: Bytes::gib(gib),
        }),
        mig: Reading::Known(MigMode::Disabled),
        ..CardState::unreadable(index, Reading::Failed)
    }
}

/// A MIG card; one instance for each (identity, GPU instance).
fn split(index: u32, uuid: &str, instances: &[(&str, u32)]) -> CardState {
    let instance = |(index, (uuid, gpu_instance)): (usize, &(&str, u32))| MigInstance {
        index: index as u32,
        uuid: Reading::Known((*uuid).to_owned()),
        name: Reading::Unsupported,
        gpu_instance: Reading::Known(*gpu_instance),
        memory: Reading::Unsupported,
    };
    let instances = instances.iter().enumerate().map(instance).collect();
    CardState { mig: Reading::Known(MigMode::Enabled(instances)), ..card(index, uuid, (8, 0), 80) }
}

fn machine(driver: &str, cards: Vec<CardState>) -> Snapshot {
    Snapshot {
        driver_version: Reading::Known(driver.to_owned()),
        cuda_version: Reading::Unsupported,
        cards,
        peers: Vec::new(),
    }
}

fn four_equal() -> Snapshot {
    let uuids = ["GPU-a1b2", "GPU-a1c3", "GPU-d4e5", "GPU-f6a7"];
    machine("570.1", (0..4).map(|i| card(i, uuids[i as usize], (8, 6), 24)).collect())
}

/// What each ordinal is, as `1` or `0/2` for instance 2 of card 0.
fn names(ids: &[DeviceId]) -> Vec<String> {
    ids.iter().map(|(card, instance)| instance.map_or(card.to_string(), |i| format!("{card}/{i}"))).collect()
}

#[track_caller]
fn check(snapshot: &Snapshot, mask: Option<&str>, ordinals: &[&str], cut_at: Option<&str>, hidden: &[&str]) {
    let seen = VisibleDevices::select(snapshot, DeviceOrder::PciBusId, mask).unwrap();
    assert_eq!(names(&seen.ordinals), ordinals, "mask {mask:?}");
    assert_eq!(seen.cut_at.as_deref(), cut_at, "mask {mask:?}");
    assert_eq!(names(&seen.hidden_by_mig), hidden, "mask {mask:?}");
}

#[test]
fn masks_over_whole_cards() {
    let cases: &[(Option<&str>, &[&str], Option<&str>)] = &[
        (None, &["0", "1", "2", "3"], None),
        (Some("2,1"), &["2", "1"], None),
        (Some(" 3 , 0 "), &["3", "0"], None),
        // An empty mask hides every card; so do -1 and the words people write.
        (Some(""), &[], None),
        (Some("-1"), &[], Some("-1")),
        (Some("NoDevFiles"), &[], Some("NoDevFiles")),
        // The list ends at the first entry that names nothing.
        (Some("0,2,-1,1"), &["0", "2"], Some("-1")),
        (Some("1,4,0"), &["1"], Some("4")),
        (Some("0,,1"), &["0"], None),
        (Some("99999999999999999999999"), &[], Some("99999999999999999999999")),
        // Numbers are read as far as they go.
        (Some("1gpu2,2ampere"), &["1", "2"], None),
        (Some("+1,02"), &["1", "2"], None),
        // Identities and unique prefixes of them.
        (Some("GPU-f6a7"), &["3"], None),
        (Some("GPU-d,GPU-a1b"), &["2", "0"], None),
        (Some("GPU-d4e5,GPU-0000,GPU-f6a7"), &["2"], Some("GPU-0000")),
        // The first entry decides how the list is read.
        (Some("GPU-d4e5,1"), &["2"], Some("1")),
        (Some("1,GPU-d4e5"), &["1"], Some("GPU-d4e5")),
        (Some("gpu-d4e5"), &[], Some("gpu-d4e5")),
    ];
    for (mask, ordinals, cut_at) in cases {
        check(&four_equal(), *mask, ordinals, *cut_at, &[]);
    }
}

#[test]
fn repeats_and_ambiguous_prefixes_are_refused() {
    let select = |mask| VisibleDevices::select(&four_equal(), DeviceOrder::PciBusId, Some(mask));
    assert_eq!(select("0,1,0"), Err(SelectError::Repeated("0".into())));
    assert_eq!(select("0,00"), Err(SelectError::Repeated("00".into())));
    assert_eq!(select("GPU-d4e5,GPU-d"), Err(SelectError::Repeated("GPU-d".into())));
    assert_eq!(select("GPU-a1"), Err(SelectError::Ambiguous("GPU-a1".into())));
    assert_eq!(select("GPU-"), Err(SelectError::Ambiguous("GPU-".into())));
}

#[test]
fn order_by_speed_or_by_slot() {
    let mixed = machine(
        "550.54.15",
        vec![
            card(0, "GPU-t4", (7, 5), 16),
            card(1, "GPU-a10", (8, 6), 24),
            card(2, "GPU-h100", (9, 0), 80),
            card(3, "GPU-a6000", (8, 6), 48),
            CardState { compute_capability: Reading::Lost, ..card(4, "GPU-lost", (0, 0), 24) },
        ],
    );
    let ordinals = |order, mask| names(&VisibleDevices::select(&mixed, order, mask).unwrap().ordinals);
    assert_eq!(ordinals(DeviceOrder::FastestFirst, None), ["2", "3", "1", "0", "4"]);
    assert_eq!(ordinals(DeviceOrder::PciBusId, None), ["0", "1", "2", "3", "4"]);
    // A number counts in that order; an identity does not care.
    assert_eq!(ordinals(DeviceOrder::FastestFirst, Some("0,1")), ["2", "3"]);
    assert_eq!(ordinals(DeviceOrder::PciBusId, Some("0,1")), ["0", "1"]);
    assert_eq!(ordinals(DeviceOrder::FastestFirst, Some("GPU-t4")), ["0"]);

    assert_eq!(DeviceOrder::from_variable(Some("PCI_BUS_ID")), DeviceOrder::PciBusId);
    for other in [None, Some("FASTEST_FIRST"), Some(""), Some("pci_bus_id")] {
        assert_eq!(DeviceOrder::from_variable(other), DeviceOrder::FastestFirst);
    }
}

/// Card 0 in two GPU instances, the first of them in two compute instances; card 1 whole; card 2 in MIG mode without an instance.
fn partitioned(driver: &str) -> Snapshot {
    machine(
        driver,
        vec![
            split(0, "GPU-aa", &[("MIG-11", 1), ("MIG-12", 1), ("MIG-2", 2)]),
            card(1, "GPU-bb", (8, 0), 80),
            split(2, "GPU-cc", &[]),
        ],
    )
}

#[test]
fn before_branch_570_one_instance_is_seen_alone() {
    let old = partitioned("550.54.15");
    check(&old, None, &["0/0"], None, &["1", "0/2"]);
    check(&old, Some("MIG-2"), &["0/2"], None, &[]);
    check(&old, Some("MIG-2,MIG-11"), &["0/2"], None, &["0/0"]);
    check(&old, Some("GPU-bb"), &["1"], None, &[]);
    check(&old, Some("GPU-bb,MIG-2"), &["0/2"], None, &["1"]);
    check(&old, Some("0"), &["1"], None, &[]);
    check(&old, Some("1"), &["0/0"], None, &[]);
    check(&old, Some("2"), &[], Some("2"), &[]);
    // The card's own identity stands for its first instance; a partitioned card without one shows nothing.
    check(&old, Some("GPU-aa"), &["0/0"], None, &[]);
    check(&old, Some("GPU-cc"), &[], Some("GPU-cc"), &[]);
    assert_eq!(
        VisibleDevices::select(&old, DeviceOrder::PciBusId, Some("MIG-1")),
        Err(SelectError::Ambiguous("MIG-1".into()))
    );
}

#[test]
fn since_branch_570_one_of_each_gpu_instance_is_seen() {
    let new = partitioned("570.124.06");
    check(&new, None, &["1", "0/0", "0/2"], None, &[]);
    check(&new, Some("GPU-bb,MIG-2"), &["1", "0/2"], None, &[]);
    check(&new, Some("2,0"), &["0/2", "1"], None, &[]);
    check(&new, Some("MIG-12,MIG-11,MIG-2"), &["0/1", "0/2"], None, &["0/0"]);
}

#[test]
fn no_cards_no_ordinals() {
    check(&machine("570.1", Vec::new()), None, &[], None, &[]);
    check(&machine("570.1", Vec::new()), Some("0"), &[], Some("0"), &[]);
}
