//! Expert, data and context parallelism, by hand from the rules of `layers/fused_moe/layer.py` and `v1/core/kv_cache_utils.py` of vLLM 0.11.
#![allow(clippy::unwrap_used, reason = "built-in models are known to be whole")]

mod corpus;

use shardfit::engines::vllm::{KvLayout, PageOptions, Release, sharding};
use shardfit::engines::{Deployment, ENGINES, Settings};
use shardfit::hardware::resolve;
use shardfit::model::{Model, Part};
use shardfit::profiles::gpus::GpuCatalogue;
use shardfit::sharding::{ExpertRule, Layout, Rank, RankTensor, shard};
use shardfit::units::{Bytes, DType};

fn model(id: &str) -> Model {
    corpus::model(id).unwrap().unwrap()
}

fn release() -> Release {
    Release::of("0.11.2".parse().unwrap())
}

fn rank(model: &Model, layout: Layout, rank: u32, redundant: u32) -> Vec<RankTensor> {
    let mut rules = sharding::rules(model, layout, DType::BF16, None, release()).unwrap();
    if let ExpertRule::Whole { redundant: copies, .. } = &mut rules.experts {
        *copies = redundant;
    }
    shard(model, layout, &rules, Rank { tp_rank: rank, pp_rank: 0 }).unwrap()
}

fn bytes(tensors: &[RankTensor], part: Part) -> u64 {
    tensors.iter().filter(|t| t.part == part).map(|t| t.bytes().0).sum()
}

/// Whole experts on some ranks are as many bytes as slices of all on each, where they divide.
#[test]
fn whole_experts_weigh_what_slices_do() {
    let qwen = model("Qwen/Qwen3-30B-A3B");
    for tp in [2, 4, 8] {
        let sliced = rank(&qwen, Layout { tp, pp: 1, dp: 1, ep: false }, 0, 0);
        let whole = rank(&qwen, Layout { tp, pp: 1, dp: 1, ep: true }, tp - 1, 0);
        assert_eq!(bytes(&sliced, Part::Experts), bytes(&whole, Part::Experts), "{tp}");
        // 48 layers of 128 experts, each three matrices of 2048 × 768 in two bytes.
        assert_eq!(bytes(&whole, Part::Experts), 48 * (128 / u64::from(tp)) * 3 * 2048 * 768 * 2);
    }
}

/// The first ranks take the experts that are left over.
#[test]
fn remainders_go_to_the_first_ranks() {
    let qwen = model("Qwen/Qwen1.5-MoE-A2.7B-Chat");
    let layout = Layout { tp: 8, pp: 1, dp: 1, ep: true };
    let expert = 24 * 3 * 2048 * 1408 * 2;
    let held: Vec<u64> = (0..8).map(|r| bytes(&rank(&qwen, layout, r, 0), Part::Experts) / expert).collect();
    assert_eq!(held, [8, 8, 8, 8, 7, 7, 7, 7]);
}

/// Replicas share the experts, and with several of them a shared expert is whole on each rank.
#[test]
fn replicas_share_experts() {
    let deepseek = model("deepseek-ai/DeepSeek-V2-Lite");
    let alone = rank(&deepseek, Layout { tp: 2, pp: 1, dp: 1, ep: true }, 0, 0);
    let four = rank(&deepseek, Layout { tp: 2, pp: 1, dp: 4, ep: true }, 0, 0);
    assert_eq!(bytes(&alone, Part::Experts), 4 * bytes(&four, Part::Experts));
    assert_eq!(bytes(&alone, Part::SharedExpert) * 2, bytes(&four, Part::SharedExpert));
    assert_eq!(bytes(&alone, Part::Attention), bytes(&four, Part::Attention));
    // Without expert parallelism each is sliced over all ranks of all replicas.
    let sliced = rank(&deepseek, Layout { tp: 2, pp: 1, dp: 4, ep: false }, 0, 0);
    assert_eq!(bytes(&sliced, Part::Experts), bytes(&four, Part::Experts));
}

/// Copies of experts take places after the last expert: 32 more over 32 ranks are one more a rank.
#[test]
fn redundant_experts_take_places() {
    let deepseek = model("deepseek-ai/DeepSeek-V3");
    let layout = Layout { tp: 8, pp: 1, dp: 4, ep: true };
    let (plain, more) = (rank(&deepseek, layout, 7, 0), rank(&deepseek, layout, 7, 32));
    // 58 layers of three matrices of 7168 × 2048 in FP8 with a scale in float32 for each 128 × 128.
    let expert = 58 * 3 * (7168 * 2048 + 7168 * 2048 / 16_384 * 4);
    assert_eq!(bytes(&plain, Part::Experts), 8 * expert);
    assert_eq!(bytes(&more, Part::Experts), 9 * expert);
}

/// Ranks that share the tokens of a sequence hold each a part of it: the same blocks print so many times the tokens.
#[test]
fn shared_tokens_multiply_the_pool() {
    let deepseek = model("deepseek-ai/DeepSeek-V3");
    let layout = Layout { tp: 8, pp: 1, dp: 1, ep: false };
    let options =
        PageOptions { dtype: DType::BF16, model_dtype: DType::BF16, block_size: 64, capability: Some((9, 0)) };
    let alone = KvLayout::new(&deepseek, layout, &(0..61), options, 8192, release());
    let shared = alone.clone().with_context_ranks(8);
    let pool = Bytes::from_gib(20.0);
    let (blocks, length) = (alone.blocks(pool), 131_072);
    assert_eq!(blocks, pool.0 / (64 * 576 * 2 * 61));
    assert_eq!(shared.printed_tokens(blocks, length), 8 * alone.printed_tokens(blocks, length));
    assert_eq!(shared.sequence_bytes(length), Bytes(alone.sequence_bytes(length).0 / 8));
    assert_eq!(shared.tokens(blocks, length), Some(8 * 64 * blocks));
    // States and windows are not shared out.
    let mistral = model("mistralai/Mistral-7B-v0.1");
    let window = KvLayout::new(&mistral, Layout { tp: 1, ..layout }, &(0..32), options, 8192, release());
    assert_eq!(window.sequence_bytes(length), window.clone().with_context_ranks(2).sequence_bytes(length));
}

/// The card with the least room limits all ranks: the pool is that of the smallest.
#[test]
fn the_smallest_card_limits_all() {
    let llama = model("meta-llama/Llama-3.1-8B-Instruct");
    let engine = ENGINES.iter().find(|engine| engine.name() == "vllm").unwrap();
    let plan = |fleet: &str| {
        let fleet = resolve(&fleet.parse().unwrap(), &GpuCatalogue::built_in()).unwrap();
        let settings = Settings { tensor_parallel: Some(2), ..Settings::default() };
        let version = "0.11.2".parse().unwrap();
        engine.plan(&Deployment { model: &llama, settings: &settings, fleet: &fleet, version }).unwrap()
    };
    let (mixed, small) = (plan("1xL4,1xA100-80GB"), plan("2xL4"));
    let blocks = |plan: &shardfit::engines::EnginePlan| plan.kv.blocks;
    assert!(blocks(&small).is_some());
    let ratio = blocks(&mixed).unwrap() as f64 / blocks(&small).unwrap() as f64;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}
