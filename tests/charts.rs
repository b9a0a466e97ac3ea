//! The charts of the documentation, drawn by the program itself. A test says when they are stale:
//! `SHARDFIT_RENEW_DOCS=1 cargo test --test charts` draws them anew.

#![expect(clippy::disallowed_methods, reason = "reads and writes the pictures of the documentation")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use shardfit::hardware::{CardState, MemoryState, Reading, Snapshot};
use shardfit::monitor::recording::{Encoder, Header, Mark, MarkKind, Replay, timeline};
use shardfit::monitor::{Expectation, ExpectedCard, Sample};
use shardfit::report::render::chart::{Format, LoadHistory, Mode, draw};
use shardfit::units::Bytes;

/// Compares a drawing with the stored one, or stores it.
fn fresh(name: &str, drawn: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/charts");
    let path = folder.join(name);
    if std::env::var_os("SHARDFIT_RENEW_DOCS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(path, drawn).unwrap();
    } else {
        let stored = std::fs::read(&path).unwrap_or_default();
        assert!(stored == drawn, "`docs/charts/{name}` is stale: SHARDFIT_RENEW_DOCS=1 cargo test --test charts");
    }
}

/// What the program draws for arguments that end in a flag that takes a file.
fn drawn(arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.svg");
    let mut command = Command::cargo_bin("shardfit").unwrap();
    let output = command.args(arguments).arg(&picture).output().unwrap();
    std::fs::read(&picture).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

const PLAN: [&str; 10] = [
    "plan",
    "Qwen/Qwen2.5-72B-Instruct",
    "--engine",
    "vllm@0.11.0",
    "--tp",
    "4",
    "--no-calibration",
    "--gpus",
    "4xA100-80GB",
    "--chart",
];

#[test]
fn plans() {
    fresh("plan.svg", &drawn(&PLAN));
    fresh("plan-dark.svg", &drawn(&[&PLAN[..9], &["--dark", "--chart"]].concat()));
    fresh("does-not-fit.svg", &drawn(&[&PLAN[..8], &["4xA100-40GB", "--chart"]].concat()));
    fresh("what-fits.svg", &drawn(&[&PLAN[..9], &["--heat-map"]].concat()));
}

#[test]
fn diagnosis() {
    fresh("diagnosis.svg", &drawn(&["diagnose", "examples/oom/case3-moved-to-one-card.log", "--chart"]));
}

/// Two cards that load a model, serve it, and one that runs out of memory: made up, as the title says.
#[test]
fn replay() {
    let plan = Expectation {
        title: "A made-up incident: one rank leaks until it fails".to_owned(),
        verdict: String::new(),
        cards: (0..2).map(expected).collect(),
    };
    let (mut encoder, mut bytes) = Encoder::new(&Header::default());
    for second in 0..=900u64 {
        let cards = (0..2).map(|index| card(index, used(index, second))).collect();
        let (driver_version, cuda_version) = (Reading::Denied, Reading::Denied);
        let snapshot = Snapshot { driver_version, cuda_version, cards, peers: Vec::new() };
        bytes.extend(encoder.sample(&Sample { at: Duration::from_secs(second), outcome: Ok(snapshot) }));
    }
    for (second, kind, text) in [
        (95, MarkKind::Phase, "weights loaded"),
        (130, MarkKind::Phase, "serving"),
        (640, MarkKind::Alarm, "card 1: 3.90 GiB over the plan (over-plan > 3.90 GiB)"),
        (780, MarkKind::OutOfMemory, "rank 1: tried to allocate 448 MiB"),
    ] {
        bytes.extend(Encoder::mark(&Mark { at: Duration::from_secs(second), kind, text: text.to_owned() }));
    }
    let replay = Replay::of_bytes(bytes).unwrap();
    fresh("replay.svg", &draw(&timeline(&replay, Some(&plan)), Format::Svg, Mode::Light).unwrap());
}

fn expected(place: u32) -> ExpectedCard {
    ExpectedCard {
        place,
        uuid: None,
        label: "A100-80GB".to_owned(),
        capacity: Bytes::mib(81_152),
        ranks: vec![place],
        parts: Vec::new(),
        total: Bytes::gib(72),
        high: Bytes::gib(74),
    }
}

fn used(card: u32, second: u64) -> Bytes {
    let leak = if card == 1 { second.saturating_sub(300) * 15 } else { 0 };
    match (card, second) {
        (_, 0..100) => Bytes::mib(500 + second * 360),
        (_, 100..130) => Bytes::mib(36_500 + (second - 100) * 1200),
        (1, 780..) => Bytes::mib(15),
        _ => Bytes::mib(73_000 + second * 37 % 90 + leak),
    }
}

fn card(index: u32, used: Bytes) -> CardState {
    let mut card = CardState::unreadable(index, Reading::Unsupported);
    card.name = Reading::Known("NVIDIA A100-SXM4-80GB".to_owned());
    card.memory = Reading::Known(MemoryState {
        total: Bytes::mib(81_920),
        reserved: Reading::Known(Bytes::mib(768)),
        used,
        free: Bytes::mib(81_152).saturating_sub(used),
    });
    card
}

/// A load as it would look: made up, because a real one differs each time.
#[test]
fn load() {
    let sample = |tick: u32| {
        let at = f64::from(tick) / 10.0;
        let arrived = |slower: f64| Bytes(((at - 1.0).max(0.0) * (1.25e9 - slower)).min(9.1e9) as u64);
        (at, vec![arrived(0.0), arrived(4e7), arrived(6e7), arrived(1.1e8)])
    };
    let history = LoadHistory {
        title: "A made-up load of four ranks".to_owned(),
        cards: (0..4).map(|card| (format!("cuda:{card}"), Bytes::mib(22_508), Bytes(9_100_000_000))).collect(),
        samples: (0..=95).map(sample).collect(),
        steps: vec![(0.4, "cards opened".to_owned()), (9.0, "all bytes arrived".to_owned())],
    };
    fresh("load.svg", &draw(&history.timeline(), Format::Svg, Mode::Light).unwrap());
}
