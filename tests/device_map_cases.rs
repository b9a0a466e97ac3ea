//! Two deployments of Transformers over several cards, as people ran them: which card holds what, which dies first, and why.
#![allow(clippy::unwrap_used, reason = "stored facts are known to be whole")]

mod corpus;

use std::collections::BTreeMap;

use shardfit::engines::transformers::{Transformers, flag};
use shardfit::engines::{
    Cause, Component, ContextLength, Deployment, Engine, EngineError, EnginePlan, Settings, Version,
};
use shardfit::hardware::{Card, Fleet, FleetSource};
use shardfit::model::Model;
use shardfit::planning::{ModelSource, PlanRequest, State, Verdict, VersionSource, plan};
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::units::Bytes;

const V4: Version = Version { major: 4, minor: 57, patch: 3 };
const V5: Version = Version { major: 5, minor: 23, patch: 0 };

fn fleet(count: usize, name: &str) -> Fleet {
    let card = Card::of_profile(&GpuCatalogue::built_in().select(name).unwrap());
    Fleet { cards: vec![card; count], source: FleetSource::Given }
}

fn model(id: &str) -> Model {
    corpus::model(id).unwrap().unwrap()
}

fn try_plan(model: &Model, fleet: &Fleet, version: Version, settings: &Settings) -> Result<EnginePlan, EngineError> {
    Transformers.plan(&Deployment { model, settings, fleet, version })
}

/// Weights of each card in MiB, as reports round them.
fn weights(plan: &EnginePlan) -> Vec<(usize, u64)> {
    plan.ranks.iter().map(|r| (r.card, r.tensors.resident.as_mib().round() as u64)).collect()
}

/// The 72-billion model in 4 bits: full key/value heads, a vocabulary of 152,064, untied.
mod gptq_on_four_24_gb_cards {
    use super::*;

    fn settings(map: &str) -> Settings {
        Settings {
            device_map: Some(map.to_owned()),
            dtype: Some("float16".to_owned()),
            max_model_len: ContextLength::Tokens(4096),
            batch_size: Some(1),
            ..Settings::default()
        }
    }

    fn planned(map: &str, version: Version) -> EnginePlan {
        let model = model("Qwen/Qwen1.5-72B-Chat-GPTQ-Int4");
        try_plan(&model, &fleet(4, "RTX-3090"), version, &settings(map)).unwrap()
    }

    /// Embedding on the first card, norm and head on the last, layers between by rounding up.
    fn by_hand(layers: u32, cards: u32) -> String {
        let each = layers.div_ceil(cards);
        let mut map: BTreeMap<String, u32> =
            (0..layers).map(|layer| (format!("model.layers.{layer}"), layer / each)).collect();
        map.insert("model.embed_tokens".to_owned(), 0);
        map.insert("model.norm".to_owned(), cards - 1);
        map.insert("lm_head".to_owned(), cards - 1);
        serde_json::to_string(&map).unwrap()
    }

    #[test]
    fn auto_in_version_4() {
        let plan = planned("auto", V4);
        assert_eq!(weights(&plan), [(0, 8000), (1, 9950), (2, 9950), (3, 11461)]);
        let layers: Vec<_> = plan.ranks.iter().map(|r| r.layers.end - r.layers.start).collect();
        assert_eq!(layers, [13, 23, 23, 21]);
        // 32 KiB a layer and token.
        assert_eq!(plan.ranks[1].kv[1], Bytes::kib(32) * 23 * 4096);
        assert_eq!(plan.ranks[1].kv[1], Bytes::mib(2944));
        assert_eq!(weights(&plan), weights(&planned("balanced", V4)));
        assert_eq!(plan.refusals, [None, None, None]);
    }

    #[test]
    fn auto_in_version_5_loads_the_front_and_says_so() {
        let plan = planned("auto", V5);
        assert_eq!(weights(&plan), [(0, 10163), (1, 12546), (2, 12546), (3, 4106)]);
        let warned: Vec<_> = plan.warnings.iter().filter(|w| w.contains("more weights and cache")).collect();
        assert_eq!(warned.len(), 2, "{:?}", plan.warnings);
    }

    #[test]
    fn balanced_low_0_leaves_the_first_card_empty() {
        let plan = planned("balanced_low_0", V4);
        assert_eq!(weights(&plan), [(1, 13624), (2, 13411), (3, 12326)]);
        assert!(plan.warnings.iter().any(|w| w.starts_with("card 0 gets nothing")), "{:?}", plan.warnings);
    }

    #[test]
    fn sequential_fills_one_card_after_the_other_and_the_first_dies() {
        // By version 4 and 5 alike: there is nothing to balance.
        for version in [V4, V5] {
            let plan = planned("sequential", version);
            assert_eq!(weights(&plan), [(0, 21411), (1, 17950)], "{version}");
            assert!(plan.warnings.iter().any(|w| w.starts_with("cards 2, 3 get nothing")), "{:?}", plan.warnings);
            // It loads; the cache of 44 layers then finds no room beside it.
            let refusal = plan.refusals[1].as_ref().unwrap();
            assert_eq!((refusal.rank, refusal.cause), (Some(0), Cause::UnevenSplitOrRankExtra));
        }
    }

    #[test]
    fn by_hand_the_ends_carry_more() {
        let plan = planned(&by_hand(80, 4), V4);
        assert_eq!(weights(&plan), [(0, 11028), (1, 8652), (2, 8652), (3, 11028)]);
        assert_eq!(plan.refusals, [None, None, None]);
        // Rounding up can leave the last card without a layer: 9 layers on 4 cards are 3, 3, 3 and none.
        let last: Vec<_> = by_hand(9, 4).matches(":3").map(str::to_owned).collect();
        assert_eq!(last.len(), 2, "norm and head alone");
    }

    #[test]
    fn one_named_card_dies_while_three_idle() {
        let plan = planned("cuda:2", V4);
        assert_eq!(weights(&plan), [(2, 39361)]);
        let refusal = plan.refusals[0].as_ref().unwrap();
        assert_eq!(refusal.cause, Cause::SingleGpuPlacementWhileOthersIdle);
    }

    #[test]
    fn scratch_of_the_kernels_follows_the_widest_layer() {
        let mut second = settings("auto");
        second.engine_flags.insert(flag::EXLLAMA.to_owned(), "2".to_owned());
        let model = model("Qwen/Qwen1.5-72B-Chat-GPTQ-Int4");
        let with = try_plan(&model, &fleet(4, "RTX-3090"), V4, &second).unwrap();
        let scratch = |plan: &EnginePlan| {
            let line = plan.ranks[1].lines.iter().find(|l| l.what == "scratch of the GPTQ kernels").unwrap();
            line.estimate.clone()
        };
        // 2·8192·24576 + 4·24576·2048·8 bytes.
        assert_eq!(scratch(&with).expected, Bytes::mib(1920) + Bytes(256));
        let default = scratch(&planned("auto", V4));
        assert_eq!((default.expected, default.high), (Bytes::mib(384), Bytes::mib(1920) + Bytes(256)));
        // 9950 + 1920 + 2944 and a context: 14.9 GiB before activations.
        let rank = &with.ranks[1];
        let sum = rank.tensors.resident + scratch(&with).expected + rank.kv[1];
        assert_eq!(sum.as_mib().round() as u64, 14814);
    }

    #[test]
    fn what_a_map_forgets_is_refused() {
        let model = model("Qwen/Qwen1.5-72B-Chat-GPTQ-Int4");
        let map = r#"{"model.embed_tokens": 0, "model.layers": 1, "model.norm": 1}"#;
        let error = try_plan(&model, &fleet(4, "RTX-3090"), V4, &settings(map)).unwrap_err();
        assert!(error.to_string().contains("does not give any device"), "{error}");
        assert!(error.to_string().contains("lm_head.weight"), "{error}");
        let error = try_plan(&model, &fleet(4, "RTX-3090"), V4, &settings(r#"{"": 7}"#)).unwrap_err();
        assert!(matches!(error, EngineError::TooFewCards { ranks: 8, cards: 4 }), "{error}");
    }

    #[test]
    fn caps_bind_and_what_they_leave_goes_to_host_memory_or_disk() {
        let mut capped = settings("auto");
        let gib = |name: &str, n| (name.to_owned(), Bytes::gib(n));
        capped.max_memory = Some(BTreeMap::from([gib("0", 10), gib("1", 10), gib("cpu", 64)]));
        let model = model("Qwen/Qwen1.5-72B-Chat-GPTQ-Int4");
        let plan = try_plan(&model, &fleet(4, "RTX-3090"), V4, &capped).unwrap();
        // Cards that are not named get nothing.
        assert_eq!(plan.ranks.len(), 2);
        let on_cards: Bytes = plan.ranks.iter().map(|r| r.tensors.resident).sum();
        let offload = plan.offload.unwrap();
        assert_eq!((on_cards + offload).as_mib().round() as u64, 39361);
        assert!(offload > Bytes::gib(15));
        assert!(plan.warnings.iter().any(|w| w.contains("stay in host memory")));
        // Their cache is on the first card, where they are computed.
        assert_eq!(plan.ranks.iter().map(|r| r.kv[1]).sum::<Bytes>(), Bytes::mib(10) * 1024);
        // Without `cpu` the rest goes to disk.
        capped.max_memory.as_mut().unwrap().remove("cpu");
        let plan = try_plan(&model, &fleet(4, "RTX-3090"), V4, &capped).unwrap();
        assert_eq!(plan.offload, Some(Bytes::ZERO));
        assert!(plan.warnings.iter().any(|w| w.contains("go to disk")), "{:?}", plan.warnings);
    }
}

/// The 14-billion model in half precision, which fits four cards of 21.98 GiB with room to spare.
mod half_precision_on_four_a10 {
    use super::*;

    fn settings() -> Settings {
        Settings {
            device_map: Some("auto".to_owned()),
            dtype: Some("auto".to_owned()),
            max_model_len: ContextLength::Tokens(2048),
            ..Settings::default()
        }
    }

    fn request(settings: Settings, version: Version) -> PlanRequest {
        PlanRequest {
            model: model("Qwen/Qwen1.5-14B-Chat"),
            source: ModelSource::Profile,
            checkpoint_bytes: None,
            engine: &Transformers,
            version,
            version_source: VersionSource::Flag,
            settings,
            fleet: fleet(4, "A10"),
        }
    }

    #[test]
    fn auto_spreads_it() {
        let model = model("Qwen/Qwen1.5-14B-Chat");
        let four = try_plan(&model, &fleet(4, "A10"), V4, &settings()).unwrap();
        assert_eq!(weights(&four), [(0, 5694), (1, 7216), (2, 7216), (3, 6897)]);
        let five = try_plan(&model, &fleet(4, "A10"), V5, &settings()).unwrap();
        assert_eq!(weights(&five), [(0, 6897), (1, 8418), (2, 8418), (3, 3289)]);
        // 20 KiB a layer and token.
        assert_eq!(four.ranks[1].kv_bytes_per_token, Some(Bytes::kib(20) * 12));
        for plan in [four, five] {
            assert_eq!(plan.refusals, [None, None, None]);
        }
    }

    #[test]
    fn moving_it_afterwards_gathers_it_on_one_card() {
        let mut moved = settings();
        moved.engine_flags.insert(flag::TO_DEVICE.to_owned(), "cuda".to_owned());
        let request = request(moved, V4);
        let planned = plan(&request).unwrap();
        assert_eq!(planned.verdict.state, State::DoesNotFit);
        assert_eq!(planned.verdict.cause, Some(Cause::SingleGpuPlacementWhileOthersIdle));
        assert_eq!(weights(&planned.plan), [(0, 27022)]);
        // A feed-forward matrix in half precision, 13696 × 5120 × 2 bytes, rounded to 2 MiB.
        assert!(planned.verdict.engine_words.unwrap().contains("Tried to allocate 134.00 MiB"));
        assert!(planned.plan.warnings.iter().any(|w| w.contains("`.to(device)`")));
        // The repair is to leave the map alone.
        let first = &planned.advice[0];
        assert!(first.change.contains(".to("), "{first:?}");
        assert_eq!(first.state, State::Fits);
    }

    #[test]
    fn float32_by_accident_is_its_own_cause() {
        // Before version 5 the default; four cards hold 52.8 GiB, one does not.
        let on_one = Settings { device_map: Some("cuda:0".to_owned()), dtype: None, ..settings() };
        let planned = plan(&request(on_one.clone(), V4)).unwrap();
        assert_eq!(planned.plan.workload.dtype.name(), "F32");
        assert!(planned.plan.warnings.iter().any(|w| w.contains("float32")));
        // Half of it would not fit one card either, so the cause is the placement.
        assert_eq!(planned.verdict.cause, Some(Cause::SingleGpuPlacementWhileOthersIdle));
        // On one larger card the type alone decides.
        let large = PlanRequest { fleet: fleet(1, "A100-40GB"), ..request(on_one, V4) };
        let planned = plan(&large).unwrap();
        assert_eq!(planned.verdict.cause, Some(Cause::WrongDtypeFp32));
        assert_eq!(planned.advice[0].flags, ["torch_dtype=\"auto\""]);
    }

    #[test]
    fn a_long_prompt_is_a_matter_of_activations_and_cache() {
        let long = Settings {
            max_model_len: ContextLength::Tokens(32768),
            engine_flags: BTreeMap::from([(flag::ATTENTION.to_owned(), "eager".to_owned())]),
            ..settings()
        };
        let model = model("Qwen/Qwen1.5-14B-Chat");
        let cards = fleet(4, "A10");
        let plan = try_plan(&model, &cards, V4, &long).unwrap();
        assert_eq!(Verdict::of(&plan, &cards).cause, Some(Cause::ActivationOrLogitsPeak));
        let scores = plan.ranks[1].expected(Component::Activation);
        assert!(scores > Bytes::gib(300), "{scores}");
    }
}
