//! Loading onto cards made of host memory: every byte where a naive rule puts it, whatever the split, the buffers and the number of workers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test ends with what it meets, and makes the files and processes it needs"
)]

mod loader_support;

use std::sync::Mutex;

use proptest::prelude::*;
use shardfit::loader::device::HostCards;
use shardfit::loader::reader::Disk;
use shardfit::loader::{InvalidPlacement, LoadError, LoadOptions, Observer, Phase, Progress, Verify, load};
use shardfit::units::{Bytes, DType};

use loader_support::{Builder, Slice, assert_expected, load_and_keep, placed_bytes, tensor_parallel};

fn cards(count: usize) -> HostCards {
    HostCards::new(&vec![Bytes::mib(64); count])
}

fn full(staging: Bytes, workers: usize) -> LoadOptions {
    LoadOptions { staging, workers: Some(workers), verify: Verify::Full, ..LoadOptions::default() }
}

#[test]
fn every_rank_holds_what_the_naive_rule_says() {
    for ranks in [1, 2, 4] {
        let devices: Vec<usize> = (0..ranks).collect();
        let fixture = tensor_parallel(ranks, &devices);
        let (outcome, arenas) = load_and_keep(&fixture.placement, cards(ranks), &full(Bytes::mib(2), 2)).unwrap();
        assert_expected(&fixture, &arenas);
        for rank in &outcome.ranks {
            assert_eq!(rank.placed.0, placed_bytes(&fixture.placement)[&rank.rank]);
            assert_eq!(rank.placed, rank.compared);
            assert!(rank.seconds.is_some() && rank.gigabytes_per_second().is_some());
        }
        let verification = outcome.verification.unwrap();
        assert!(verification.compared >= outcome.placed(), "padding is compared too");
    }
}

#[test]
fn ranks_may_share_a_card() {
    let fixture = tensor_parallel(4, &[0, 0, 1, 1]);
    let (outcome, arenas) = load_and_keep(&fixture.placement, cards(2), &full(Bytes::mib(1), 1)).unwrap();
    assert_expected(&fixture, &arenas);
    assert_eq!(outcome.devices.len(), 2);
    let held: u64 = fixture.placement.ranks[..2].iter().map(|rank| rank.arena.0).sum();
    let at = |phase| outcome.devices[0].at(phase).unwrap().used().0;
    assert_eq!((at(Phase::Opened), at(Phase::Allocated), at(Phase::Verified), at(Phase::Freed)), (0, held, held, 0));
}

#[test]
fn each_byte_is_read_once_whatever_the_number_of_ranks() {
    let wanted = |ranks: usize| {
        let fixture = tensor_parallel(ranks, &vec![0; ranks]);
        let reads = fixture.placement.reads.iter().filter(|read| !read.destinations.is_empty());
        let wanted: u64 = reads.map(|read| read.range.len).sum();
        let options = LoadOptions { verify: Verify::None, ..full(Bytes::mib(1), 1) };
        let (outcome, _) = load_and_keep(&fixture.placement, cards(1), &options).unwrap();
        (wanted, outcome.read.0)
    };
    let (wanted_by_one, read_for_one) = wanted(1);
    let (wanted_by_four, read_for_four) = wanted(4);
    assert_eq!(wanted_by_one, read_for_one);
    assert_eq!((wanted_by_four, read_for_four), (wanted_by_one, read_for_one));
}

#[test]
fn a_card_without_a_shard_is_not_touched() {
    let fixture = tensor_parallel(2, &[0, 3]);
    let (outcome, _) = load_and_keep(&fixture.placement, cards(5), &LoadOptions::default()).unwrap();
    let touched: Vec<usize> = outcome.devices.iter().map(|device| device.device).collect();
    assert_eq!(touched, [0, 3]);
}

#[test]
fn steps_are_told_in_order_and_progress_ends_complete() {
    struct Steps(Mutex<Vec<Phase>>);
    impl Observer for Steps {
        fn reached(&self, phase: Phase) {
            self.0.lock().unwrap().push(phase);
        }
    }
    let fixture = tensor_parallel(2, &[0, 1]);
    let progress = Progress::new(&fixture.placement);
    assert_eq!(progress.snapshot().ended, None);
    let steps = Steps(Mutex::default());
    let outcome =
        load(&fixture.placement, &cards(2), &Disk::default(), &LoadOptions::default(), &progress, &steps).unwrap();
    assert_eq!(*steps.0.lock().unwrap(), Phase::ALL);
    assert_eq!(outcome.reached, Phase::ALL);
    let end = progress.snapshot();
    assert_eq!(end.ended, Some(Phase::Released));
    assert_eq!(end.read, end.read_total);
    assert!(end.ranks.iter().all(|rank| rank.placed == rank.total && rank.compared > Bytes::ZERO));
}

#[test]
fn staging_stays_within_its_bound() {
    let fixture = tensor_parallel(2, &[0, 1]);
    for staging in [Bytes::kib(256), Bytes::mib(1), Bytes::mib(7)] {
        let (outcome, arenas) = load_and_keep(&fixture.placement, cards(2), &full(staging, 4)).unwrap();
        assert_expected(&fixture, &arenas);
        assert!(outcome.staging <= staging, "{} of {staging}", outcome.staging);
    }
    let too_little = load_and_keep(&fixture.placement, cards(2), &full(Bytes::kib(4), 4)).unwrap_err();
    assert!(matches!(too_little.error, LoadError::Options(_)), "{too_little}");
}

#[test]
fn a_full_card_refuses_and_names_rank_and_tensor() {
    let fixture = tensor_parallel(2, &[0, 1]);
    let arena = fixture.placement.ranks[1].arena;
    let cards = HostCards::new(&[Bytes::mib(64), Bytes(arena.0 - 1)]);
    let failure = load_and_keep(&fixture.placement, cards, &LoadOptions::default()).unwrap_err();
    assert!(
        matches!(failure.error, LoadError::Device(shardfit::loader::device::DeviceError::OutOfMemory { .. })),
        "{failure}"
    );
    assert_eq!(failure.at.rank, Some(1));
    assert_eq!(failure.at.tensor.as_deref(), Some("rotary"));
    assert_eq!(failure.outcome.placed(), Bytes::ZERO);
    assert!(failure.outcome.devices.iter().all(|device| device.at(Phase::Freed).unwrap().used() == Bytes::ZERO));
}

#[test]
fn a_host_too_small_is_refused_before_anything_is_filled() {
    let mut fixture = tensor_parallel(1, &[0]);
    // An arena no machine has: the check must refuse it without touching memory.
    fixture.placement.ranks[0].arena = Bytes::gib(1 << 20);
    let cards = HostCards::new(&[Bytes::gib(1 << 21)]);
    let failure = load_and_keep(&fixture.placement, cards, &LoadOptions::default()).unwrap_err();
    assert!(matches!(failure.error, LoadError::HostMemory { .. }), "{failure}");
    assert!(failure.outcome.reached.is_empty());
}

#[test]
fn contradictory_placements_are_refused() {
    let check = |change: &dyn Fn(&mut shardfit::placement::Placement)| {
        let mut fixture = tensor_parallel(2, &[0, 1]);
        change(&mut fixture.placement);
        match load_and_keep(&fixture.placement, cards(2), &LoadOptions::default()).unwrap_err().error {
            LoadError::Placement(error) => error,
            other => panic!("{other}"),
        }
    };
    type Error = InvalidPlacement;
    let last = |p: &mut shardfit::placement::Placement| p.reads.len() - 1;
    assert!(matches!(check(&|p| p.ranks[1].device = 9), Error::NoSuchDevice { rank: 1, device: 9, devices: 2 }));
    assert!(matches!(check(&|p| p.ranks[0].tensors[0].offset = u64::MAX), Error::OutsideArena { rank: 0, .. }));
    assert!(matches!(check(&|p| p.reads[0].range.file = 7), Error::OutsideFile { .. }));
    assert!(matches!(check(&|p| p.reads[0].range.offset = u64::MAX - 3), Error::OutsideFile { .. }));
    assert!(matches!(check(&|p| p.reads.swap(0, 1)), Error::OutOfOrder { .. }));
    assert!(matches!(check(&|p| p.reads[0].destinations[0].rank = 5), Error::Destination { .. }));
    assert!(matches!(check(&|p| p.reads[0].destinations[0].copy.rows = u64::MAX), Error::Destination { .. }));
    assert!(matches!(check(&|p| p.reads[0].destinations[0].copy.target_offset += 2), Error::Destination { .. }));
    assert!(matches!(check(&|p| p.reads[0].destinations.clear()), Error::Unfilled { rank: 0, .. }));
    let to_bool = |p: &mut shardfit::placement::Placement| {
        let at = last(p);
        p.reads[at].destinations[0].cast = Some((DType::F32, DType::BOOL));
    };
    assert!(matches!(check(&to_bool), Error::Cast { to: DType::BOOL, .. }));
}

#[test]
fn nothing_to_load_is_loaded() {
    let fixture = Builder::new(1, &[]).build();
    let (outcome, arenas) = load_and_keep(&fixture.placement, cards(0), &LoadOptions::default()).unwrap();
    assert!(arenas.is_empty() && outcome.read == Bytes::ZERO);
    // A rank whose tensors are all computed has an arena, and nothing is read for it.
    let fixture = Builder::new(0, &[0]).generated(0, "rotary", 700).build();
    let (outcome, arenas) = load_and_keep(&fixture.placement, cards(1), &full(Bytes::mib(1), 1)).unwrap();
    assert_expected(&fixture, &arenas);
    assert_eq!((outcome.read, outcome.ranks[0].zeroed), (Bytes::ZERO, Bytes(700)));
}

/// A random matrix and random parts of it.
fn random_matrix() -> impl Strategy<Value = (DType, [u64; 2], Vec<Slice>)> {
    let dtypes = prop_oneof![Just(DType::F32), Just(DType::F16), Just(DType::BF16), Just(DType::F64)];
    let targets = prop_oneof![Just(DType::F32), Just(DType::F16), Just(DType::BF16), Just(DType::F64)];
    (dtypes, 1u64..80, 1u64..400).prop_flat_map(move |(dtype, rows, columns)| {
        let slice = (
            0..3usize,
            0..rows,
            0..columns,
            1..=rows,
            1..=columns,
            proptest::option::of(targets.clone()),
            0..2u64,
            0..3u64,
        )
            .prop_map(move |(rank, row, column, height, width, to, pad_rows, pad_columns)| Slice {
                rank,
                rows: row..(row + height).min(rows),
                columns: column..(column + width).min(columns),
                to: to.unwrap_or(dtype),
                padding: (pad_rows, pad_columns),
            });
        (Just(dtype), Just([rows, columns]), proptest::collection::vec(slice, 0..5))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn random_slices_of_random_tensors_arrive(
        matrices in proptest::collection::vec((0..3usize, 0..9000usize, random_matrix()), 1..9),
        pack_below in prop_oneof![Just(None), Just(Some(100)), Just(Some(u64::MAX))],
        workers in 1..4usize,
    ) {
        let mut builder = Builder::new(3, &[0, 1, 1]);
        for (index, (file, gap, (dtype, shape, slices))) in matrices.iter().enumerate() {
            builder.gap(*file, *gap).matrix(*file, &format!("t{index}"), *dtype, *shape, slices);
        }
        let fixture = builder.build();
        // Buffers of 64 KiB cut most tensors somewhere inside a row.
        let buffer = Some(Bytes::kib(64));
        let options = LoadOptions { pack_below, buffer, ..full(Bytes::mib(4), workers) };
        let (_, arenas) = load_and_keep(&fixture.placement, cards(2), &options).unwrap();
        assert_expected(&fixture, &arenas);
        // The sampled comparison finds nothing wrong either.
        let sampled = LoadOptions { verify: Verify::Sample, ..options };
        load_and_keep(&fixture.placement, cards(2), &sampled).unwrap();
    }
}
