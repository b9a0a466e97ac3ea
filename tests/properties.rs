//! What holds for every model that can be read, every fleet and every setting, and for text that is written and read again.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::Value;
use shardfit::engines::{ContextLength, Deployment, Engine, EngineError, EnginePlan, Settings, Version, engine};
use shardfit::hardware::{Fleet, FleetSpec, resolve};
use shardfit::model::Model;
use shardfit::planning::{ModelSource, PlanRequest, Planned, State, VersionSource, plan};
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::profiles::models::built_in_models;
use shardfit::report::PlanReport;
use shardfit::report::render::{plan_explain, plan_markdown, plan_text};
use shardfit::units::{Bytes, Fraction};

/// The built-in models of families that are read.
fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let read = built_in_models().iter().filter_map(|profile| {
            let quantization = profile.quantization.map(parse);
            let model = Model::from_config(&parse(profile.config), quantization.as_ref()).ok()?;
            Some(model.named(profile.id()))
        });
        let models: Vec<Model> = read.collect();
        assert!(models.len() >= 60, "only {} built-in models are read", models.len());
        models
    })
}

fn fleet(text: &str) -> Fleet {
    static CATALOGUE: OnceLock<GpuCatalogue> = OnceLock::new();
    let spec: FleetSpec = text.parse().unwrap();
    resolve(&spec, CATALOGUE.get_or_init(GpuCatalogue::built_in)).unwrap()
}

fn vllm() -> (&'static dyn Engine, Version) {
    (engine("vllm").unwrap(), Version::new(0, 11, 2))
}

fn request(model: &Model, settings: Settings, fleet: Fleet) -> PlanRequest {
    let (engine, version) = vllm();
    PlanRequest {
        model: model.clone(),
        source: ModelSource::Profile,
        checkpoint_bytes: model.checkpoint_bytes(),
        engine,
        version,
        version_source: VersionSource::Flag,
        settings,
        fleet,
    }
}

fn with_tp(tp: u32) -> Settings {
    Settings { tensor_parallel: Some(tp), ..Settings::default() }
}

/// The engine's plan alone, without the search for repairs.
fn engine_plan(model: &Model, settings: &Settings, fleet: &Fleet) -> Result<EnginePlan, EngineError> {
    let (engine, version) = vllm();
    engine.plan(&Deployment { model, settings, fleet, version })
}

fn id(model: &Model) -> &str {
    model.id.as_deref().unwrap()
}

/// One of the corpus on fleets from too small to ample: no panic, a verdict in words, a first screen, sums that are sums.
#[test]
fn every_model_has_a_first_screen() {
    let mut answered = 0;
    for model in models() {
        for (cards, tp) in [("1xT4", 1), ("4xA10", 4), ("2xL4,2xA100-80GB", 2), ("8xH100", 8)] {
            let request = request(model, with_tp(tp), fleet(cards));
            let planned = match plan(&request) {
                Ok(planned) => planned,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    continue;
                }
            };
            answered += 1;
            let what = format!("{} on {cards}", id(model));
            let report = PlanReport::new(&request, &planned, &[]);
            assert_screen(&report, &what);
            assert_sums(&report, &what);
            assert_verdict(&planned, &report, &what);
        }
    }
    assert!(answered >= 180, "only {answered} plans were made");
}

#[track_caller]
fn assert_screen(report: &PlanReport, what: &str) {
    let text = plan_text(report);
    assert!(text.lines().count() <= 20, "{what}:\n{text}");
    let plain = text.replace("\u{1b}[0m", "");
    assert!(
        plain.lines().next().unwrap().contains(report.verdict.message.split_once(": ").unwrap().1),
        "{what}:\n{text}"
    );
    assert!(text.lines().last().unwrap().contains("weakest line"), "{what}:\n{text}");
    for form in [plan_markdown(report), plan_explain(report)] {
        assert!(form.contains(&report.verdict.message), "{what}:\n{form}");
    }
}

#[track_caller]
fn assert_sums(report: &PlanReport, what: &str) {
    for rank in &report.ranks {
        let parts = [
            rank.weights_bytes,
            rank.kv_cache_bytes,
            rank.activation_bytes,
            rank.cuda_graph_bytes,
            rank.communication_bytes,
            rank.context_bytes,
            rank.allocator_bytes,
            rank.other_processes_bytes,
        ];
        assert_eq!(rank.total_bytes, parts.iter().sum::<Bytes>(), "{what}, rank {}: components", rank.rank);
        let lines: Bytes = rank.lines.iter().map(|line| line.expected).sum();
        assert_eq!(rank.total_bytes, lines, "{what}, rank {}: lines", rank.rank);
        let constructed_or_changed: Bytes = rank.weights.values().sum();
        assert_eq!(constructed_or_changed, rank.weights_bytes, "{what}, rank {}: parts of the weights", rank.rank);
        assert!(rank.file_bytes <= rank.constructed_bytes, "{what}, rank {}", rank.rank);
        for line in &rank.lines {
            assert!(line.low <= line.expected && line.expected <= line.high, "{what}: {line:?}");
        }
    }
}

#[track_caller]
fn assert_verdict(planned: &Planned, report: &PlanReport, what: &str) {
    let verdict = &report.verdict;
    assert!(verdict.message.len() > 10, "{what}: {verdict:?}");
    let fits = planned.verdict.state == State::Fits;
    assert_eq!(verdict.fits, Some(fits), "{what}");
    assert_eq!(verdict.cause.is_none(), fits, "{what}: {verdict:?}");
    match planned.verdict.state {
        State::Fits => {
            assert!(report.ranks.iter().all(|rank| rank.headroom_bytes >= 0), "{what}");
            assert!(report.advice.is_empty(), "{what}");
        }
        State::Tight | State::DoesNotFit => {
            assert!(verdict.need_bytes > verdict.have_bytes, "{what}: {verdict:?}");
            assert!(verdict.shortfall_bytes > Some(Bytes::ZERO), "{what}: {verdict:?}");
            assert!(report.advice.iter().all(|advice| advice.confirmed && !advice.flags.is_empty()), "{what}");
        }
        State::CannotTell => unreachable!("{what}: every fact of a built-in model is known"),
    }
    // The longest context that is named can be had.
    if let (State::Fits, Some(longest)) = (planned.verdict.state, report.capacity.longest_context_that_fits) {
        assert!(report.workload.max_model_len <= Some(longest), "{what}");
    }
}

/// More ranks never hold more each, and together never less than one alone.
#[test]
fn more_ranks_never_weigh_more_each() {
    let mut compared = 0;
    for model in models() {
        let mut before: Option<Bytes> = None;
        let mut alone = None;
        for tp in [1u32, 2, 4, 8] {
            let Ok(plan) = engine_plan(model, &with_tp(tp), &fleet(&format!("{tp}xH200"))) else { continue };
            let each = plan.ranks.iter().map(|rank| rank.tensors.resident).max().unwrap();
            let all: Bytes = plan.ranks.iter().map(|rank| rank.tensors.resident).sum();
            if let Some(before) = before {
                assert!(each <= before, "{} at TP {tp}: {each} after {before}", id(model));
                compared += 1;
            }
            assert!(all >= *alone.get_or_insert(all), "{} at TP {tp}: all ranks together lost weights", id(model));
            before = Some(each);
        }
    }
    assert!(compared >= 120, "only {compared} steps were compared");
}

/// The ranks of a tensor-parallel group weigh the same.
#[test]
fn ranks_of_a_group_are_equal() {
    for model in models() {
        let Ok(plan) = engine_plan(model, &with_tp(4), &fleet("4xH200")) else { continue };
        let weights: Vec<_> = plan.ranks.iter().map(|rank| rank.tensors.resident).collect();
        assert!(weights.windows(2).all(|pair| pair[0] == pair[1]), "{}: {weights:?}", id(model));
    }
}

/// Stages hold each layer once.
#[test]
fn stages_hold_each_layer_once() {
    for model in models() {
        for pp in [2u32, 3, 5] {
            let settings = Settings { pipeline_parallel: Some(pp), ..Settings::default() };
            let Ok(plan) = engine_plan(model, &settings, &fleet(&format!("{pp}xH200"))) else { continue };
            let mut next = 0;
            for rank in &plan.ranks {
                assert_eq!(rank.layers.start, next, "{} over {pp} stages", id(model));
                next = rank.layers.end;
            }
            assert_eq!(next, model.layers, "{} over {pp} stages", id(model));
        }
    }
}

fn any_model() -> impl Strategy<Value = &'static Model> {
    (0..models().len()).prop_map(|at| &models()[at])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What does not fit at a length does not fit at a longer one, and the pool holds no more sequences of it.
    #[test]
    fn longer_sequences_never_need_less(model in any_model(), short in 1u64..200_000, more in 1u64..200_000, tp in 0u32..4) {
        let fleet = fleet(&format!("{}xA100-80GB", 1 << tp));
        let settings = |length| Settings { max_model_len: ContextLength::Tokens(length), ..with_tp(1 << tp) };
        let (Ok(short), Ok(long)) =
            (engine_plan(model, &settings(short), &fleet), engine_plan(model, &settings(short + more), &fleet))
        else { return Ok(()) };
        for (shorter, longer) in short.refusals.iter().zip(&long.refusals) {
            prop_assert!(shorter.is_none() || longer.is_some(), "{}", id(model));
        }
        if let (Some(shorter), Some(longer)) = (short.kv.max_concurrency, long.kv.max_concurrency) {
            prop_assert!(longer <= shorter, "{}: {longer} > {shorter}", id(model));
        }
    }

    /// A larger share of the card holds no fewer tokens, and no smaller card holds more.
    #[test]
    fn more_memory_never_holds_less(model in any_model(), size in 1u64..200, more in 0u64..64, percent in 30u32..100, rise in 0u32..50) {
        let share = |percent: u32| Fraction::new(f64::from(percent.min(100)) / 100.0).unwrap();
        let tokens = |gib: u64, percent: u32| {
            let settings = Settings { memory_fraction: Some(share(percent)), ..Settings::default() };
            engine_plan(model, &settings, &fleet(&format!("1x{gib}GiB"))).ok().and_then(|plan| plan.kv.blocks)
        };
        let base = tokens(size, percent);
        // The scheduler's defaults step up at 70 GiB, which costs activation memory: cards are compared below and above it.
        if (size < 70) == (size + more < 70) {
            prop_assert!(base <= tokens(size + more, percent), "{}: a larger card", id(model));
        }
        prop_assert!(base <= tokens(size, percent + rise), "{}: a larger share", id(model));
    }

    /// Nothing that can be typed as settings panics, and every answer adds up.
    #[test]
    fn any_settings_are_answered(
        model in any_model(),
        tp in 1u32..20, pp in 1u32..9,
        length in 1u64..1 << 40, sequences in 1u64..1 << 33, batched in 1u64..1 << 33,
        cards in 1u32..24, gib in 1u64..400, percent in 1u32..=100, eager: bool,
    ) {
        let settings = Settings {
            tensor_parallel: Some(tp),
            pipeline_parallel: Some(pp),
            max_model_len: ContextLength::Tokens(length),
            max_num_seqs: Some(sequences),
            max_num_batched_tokens: Some(batched),
            memory_fraction: Some(Fraction::new(f64::from(percent) / 100.0).unwrap()),
            enforce_eager: Some(eager),
            ..Settings::default()
        };
        let request = request(model, settings.clone(), fleet(&format!("{cards}x{gib}GiB")));
        if let Ok(plan) = engine_plan(model, &settings, &request.fleet) {
            for rank in &plan.ranks {
                prop_assert!(rank.tensors.from_files <= rank.tensors.constructed);
                prop_assert!(rank.budget.is_none_or(|budget| budget <= request.fleet.cards[rank.card].capacity));
            }
            prop_assert_eq!(plan.ranks.len(), (tp * pp) as usize);
        }
    }

    /// Sizes read as they are written, to the digits that are shown.
    #[test]
    fn sizes_survive_their_text(bytes: u64) {
        let text = Bytes(bytes).to_string();
        let read: Bytes = text.parse().unwrap();
        // Two decimals of the unit shown: at most half a hundredth of it, and a rounding of the number beside.
        prop_assert!(read.0.abs_diff(bytes) <= bytes / 190 + 1, "{text}: {} for {bytes}", read.0);
        prop_assert_eq!(read.to_string(), text);
    }

    /// Whole units survive exactly, binary and decimal apart.
    #[test]
    fn whole_sizes_are_exact(count in 0u64..10_000, unit in 0usize..8) {
        let (name, size) = [
            ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
            ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TiB", 1 << 40),
        ][unit];
        for text in [format!("{count}{name}"), format!("{count} {name}")] {
            prop_assert_eq!(text.parse::<Bytes>().unwrap(), Bytes(count * size), "{}", text);
        }
    }

    #[test]
    fn versions_survive_their_text(major: u32, minor: u32, patch: u32) {
        let version = Version::new(major, minor, patch);
        prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        prop_assert_eq!(format!("v{version}-cu129").parse::<Version>().unwrap(), version);
    }

    #[test]
    fn fleets_survive_their_text(items in prop::collection::vec((1u32..50, 0usize..6), 1..5)) {
        let names = ["A10", "L4", "A100-80GB", "H100", "24GiB", "RTX-3090"];
        let text = items.iter().map(|(count, at)| format!("{count}x{}", names[*at])).collect::<Vec<_>>().join(",");
        let spec: FleetSpec = text.parse().unwrap();
        let FleetSpec::Listed(parts) = &spec else { return Err(TestCaseError::fail("cards were listed")) };
        let written = parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        prop_assert_eq!(written.parse::<FleetSpec>().unwrap(), spec.clone());
        let fleet = resolve(&spec, &GpuCatalogue::built_in()).unwrap();
        prop_assert_eq!(fleet.cards.len(), items.iter().map(|(count, _)| *count as usize).sum::<usize>());
    }

    /// Whatever is typed as a fleet, a size or a version: an answer or an error, never a panic.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,24}", digits in "[0-9xX*.,+ GiBTMkA-]{0,16}") {
        for text in [&text, &digits] {
            let _ = text.parse::<Bytes>();
            let _ = text.parse::<Version>();
            let _ = text.parse::<Fraction>();
            if let Ok(spec) = text.parse::<FleetSpec>()
                && spec != FleetSpec::Live
            {
                let _ = resolve(&spec, &GpuCatalogue::built_in());
            }
        }
    }
}
