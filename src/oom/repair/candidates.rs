//! What is worth trying for each cause, the most likely first, with values from the log where it states them.

use super::moves::{
    HIGH_SHARE, allocator_variable, device_map, eager, engine, fewer_layers, fewer_sequences, fewer_sequences_to,
    is_ggml, lower_context, lower_share, lower_share_to, more_cards, new, quantise, raise_share, readable, share,
    sixteen_bit, smaller_batch, smaller_batch_of_engine, smaller_cache, tensor_parallel,
};
use super::words::{batch, spell};
use super::{Cause, Context, Repair, RepairKind};
use crate::engines::Knob;
use crate::profiles::oom::{Signal, Stage};

/// Largest degree that is tried as a divisor: logs may name any number.
const LARGEST_DEGREE: u32 = 1024;
/// The repairs of a cause, not yet confirmed.
pub(in crate::oom) fn candidates(context: &Context<'_>, cause: Cause) -> Vec<Repair> {
    let list = match cause {
        Cause::WeightsDoNotFit => weights(context),
        Cause::SingleGpuPlacementWhileOthersIdle => one_card(context),
        Cause::WrongDtypeFp32 => vec![sixteen_bit(), tensor_parallel(context)],
        Cause::KvCacheTooSmallForMaxLen => too_long(context),
        Cause::NoMemoryLeftForKv => nothing_left(context),
        Cause::ActivationOrLogitsPeak => peak(context),
        Cause::Fragmentation => vec![
            new(RepairKind::ExpandableSegments, "segments that grow in place", "none known for inference")
                .with(Some(allocator_variable(context))),
            new(
                RepairKind::LowerShare,
                "a reserve beside the weights: cap the device map 5 % lower",
                "less of the model on the card",
            )
            .with(context.facts.runs(&["transformers"]).then(|| "max_memory".to_owned())),
            lower_share(context),
        ],
        Cause::OtherProcessOnGpu => neighbour(context),
        Cause::UnevenSplitOrRankExtra => uneven(context),
        Cause::CudaGraphCapture => graphs(context),
        Cause::SamplerWarmup => vec![fewer_sequences(context), lower_share(context)],
        Cause::ConversionOrLoadTransient => vec![
            new(
                RepairKind::ConvertElsewhere,
                "convert or quantise layer by layer, on the host or on a larger card",
                "time",
            ),
            new(RepairKind::ExpandableSegments, "segments that grow in place", "none known for inference")
                .with(Some(allocator_variable(context))),
            new(RepairKind::OtherRelease, "the release of the loader that worked before", "an older version"),
        ],
        Cause::HostRamExhausted => host(context),
        Cause::TpNotDivisible => divisors(context),
        Cause::KvPoolExhaustedAtRuntime => pool(context),
        Cause::NcclOrLibraryWorkspace => workspace(context),
        Cause::ComputeBuffer => compute(context),
        Cause::MultimodalProfiling => vec![
            fewer_sequences_to(context, 16),
            new(RepairKind::LimitImages, "fewer and smaller images per request", "larger requests are refused")
                .with(Some("--limit-mm-per-prompt '{\"image\": 1, \"video\": 0}'".to_owned()))
                .with(Some("--mm-processor-kwargs '{\"max_pixels\": 1003520}'".to_owned())),
            eager(context),
        ],
        Cause::MemoryLeakGrowth => vec![
            new(RepairKind::OtherRelease, "a newer release, in which the growth may be found", "testing it"),
            eager(context),
            new(
                RepairKind::Restart,
                "a restart before the limit is reached",
                "an interruption; it delays and does not repair",
            ),
        ],
        // A check of the engine that fails without a shortage is one that a release repairs.
        Cause::Unknown if context.signal() == Signal::ProfilingGainedMemory => {
            vec![new(RepairKind::OtherRelease, "a newer release, whose check accepts an equality", "testing it")]
        }
        // Whoever owns the buffer of ggml: these make room on the card.
        Cause::Unknown if context.failure.signal == Signal::GgmlBuffer => {
            vec![fewer_layers(context), lower_context(context, None), smaller_batch(context)]
        }
        Cause::Unknown => Vec::new(),
    };
    dedup(list)
}

fn dedup(list: Vec<Repair>) -> Vec<Repair> {
    let mut kept: Vec<Repair> = Vec::new();
    for repair in list {
        if !kept.iter().any(|r| r.kind == repair.kind) {
            kept.push(repair);
        }
    }
    kept
}

fn weights(context: &Context<'_>) -> Vec<Repair> {
    let mut list = Vec::new();
    if is_ggml(context) {
        list.push(fewer_layers(context));
        list.push(quantise(context));
        list.push(more_cards());
        return list;
    }
    if context.failure.signal == Signal::SplitExhausted {
        list.push(new(RepairKind::FewerLayers, "more layers or experts on the host", "slower"));
    }
    if context.failure.signal == Signal::MovedWhileOffloaded {
        list.push(new(RepairKind::DeviceMap, "drop the `.to()`, or load onto one chosen device", "none"));
    }
    if context.facts.has_idle_cards() {
        list.push(tensor_parallel(context));
    }
    if context.failure.signal == Signal::DeviceMapExceedsCards {
        list.push(more_cards());
    }
    list.extend([quantise(context), more_cards()]);
    list
}

fn one_card(context: &Context<'_>) -> Vec<Repair> {
    if context.facts.engine.is_none() {
        return vec![device_map(), tensor_parallel(context), sixteen_bit(), quantise(context)];
    }
    if context.facts.runs(&["transformers", "pytorch", "deepspeed"]) {
        return vec![device_map(), sixteen_bit(), quantise(context)];
    }
    vec![tensor_parallel(context), quantise(context), more_cards()]
}

fn too_long(context: &Context<'_>) -> Vec<Repair> {
    let number = |name: &str| context.failure.number(name).filter(|n| *n >= 1.0).map(|n| n as u64);
    let length = number("max_seq_len").or_else(|| context.events.number("max_seq_len").map(|n| n as u64));
    let stated = number("estimated_max_len").or_else(|| number("kv_capacity_tokens"));
    // Where the engine names two sizes of bytes, the length shrinks with them.
    let scaled = || {
        let (need, have) = (context.failure.number("kv_needed_gib")?, context.failure.number("kv_available_gib")?);
        (need > 0.0).then(|| (length.unwrap_or(0) as f64 * have / need) as u64)
    };
    let longest = stated.or_else(scaled).filter(|l| *l > 0).map(readable);
    let mut list = vec![lower_context(context, longest)];
    let now = share(context).unwrap_or(0.9);
    if now < HIGH_SHARE && !is_ggml(context) && spell(engine(context), Knob::MemoryFraction, "1").is_some() {
        list.push(raise_share(context, HIGH_SHARE.max(now)));
    }
    list.push(smaller_cache(context));
    if context.facts.has_idle_cards() && !is_ggml(context) {
        list.push(tensor_parallel(context));
    }
    if is_ggml(context) {
        list.push(fewer_layers(context));
    }
    list
}

fn nothing_left(context: &Context<'_>) -> Vec<Repair> {
    let facts = context.facts;
    let mut list = Vec::new();
    let estimate = context.events.number("graph_estimate_gib");
    let absurd = estimate.zip(context.total()).is_some_and(|(gib, total)| gib * 1_073_741_824.0 > total.0 as f64 / 5.0)
        || estimate.is_some_and(|gib| gib > 20.0);
    if absurd {
        list.push(
            new(
                RepairKind::IgnoreGraphEstimate,
                "do not count the estimate of the graphs",
                "the graphs then come on top of the budget",
            )
            .with(Some("VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS=0".to_owned())),
        );
    }
    match context.signal() {
        Signal::TurbomindOutOfMemory => {
            list.push(new(RepairKind::LowerShare, "a smaller share for the cache", "a smaller KV cache").with(spell(
                engine(context),
                Knob::MemoryFraction,
                "0.2",
            )))
        }
        Signal::TotalTokensTooMany => {
            list.push(smaller_batch(context));
            list.push(quantise(context));
        }
        Signal::StateBlocksTooFew => {
            let blocks = context.failure.number("state_blocks").filter(|n| *n >= 1.0).map_or(64, |n| n as u64);
            list.push(fewer_sequences_to(context, blocks));
        }
        Signal::ComponentFailed => {
            if facts.ranks() > 1 {
                list.push(new(
                    RepairKind::TensorParallel,
                    "another tensor-parallel degree, experts spread whole",
                    "other limits of the layout",
                ));
            }
            list.push(lower_share(context));
        }
        // Its PyTorch engine sets logits of a whole prefill chunk aside before it sizes the pool.
        Signal::NoMemoryForKv if facts.runs(&["lmdeploy"]) => {
            return vec![smaller_batch(context), tensor_parallel(context), quantise(context)];
        }
        Signal::Allocation => {
            list.push(new(
                RepairKind::RaiseShare,
                "raise or remove the cap that the process set for itself",
                "less room for others",
            ));
            list.push(lower_share(context));
        }
        _ => {}
    }
    let now = share(context).unwrap_or(if facts.runs(&["sglang"]) { 0.85 } else { 0.9 });
    if now < HIGH_SHARE {
        list.push(raise_share(context, if now < 0.85 { 0.9 } else { HIGH_SHARE }));
    }
    if facts.has_idle_cards() {
        list.push(tensor_parallel(context));
    }
    list.extend([quantise(context), fewer_sequences(context), smaller_batch(context), more_cards()]);
    list
}

fn peak(context: &Context<'_>) -> Vec<Repair> {
    let facts = context.facts;
    if context.failure.signal == Signal::EngineBufferFailed || context.failure.signal == Signal::TacticMemory {
        return vec![smaller_batch(context), lower_context(context, None), lower_share(context)];
    }
    if context.failure.signal == Signal::BufferLimitExceeded {
        return vec![
            lower_context(context, None),
            new(RepairKind::OtherRelease, "a release that keeps the logits of the last token alone", "an upgrade"),
            smaller_batch(context),
        ];
    }
    // At run time the pool is what can give way.
    let has_pool = facts.runs(&["vllm", "sglang", "openllm", "lmdeploy", "tgi"]);
    let mut list = Vec::new();
    if has_pool && !context.is_at(&[Stage::Warmup]) {
        list.push(lower_share(context));
    }
    list.push(smaller_batch(context));
    list.push(lower_context(context, None));
    list.push(fewer_sequences(context));
    list
}

fn neighbour(context: &Context<'_>) -> Vec<Repair> {
    let free_card = new(
        RepairKind::FreeCard,
        "end what holds the card (`shardfit probe` names it), or take another card",
        "the other job",
    )
    .with(Some("CUDA_VISIBLE_DEVICES".to_owned()));
    let in_turn = new(
        RepairKind::StartInTurn,
        "start the engines one after the other, so that none measures while another moves",
        "a slower start",
    );
    match context.signal() {
        Signal::ProfilingGainedMemory => vec![in_turn, free_card],
        Signal::SleepModeRemap => vec![lower_share_to(context, 0.45), free_card],
        _ => {
            let free = context.failure.number("free_gib").zip(context.failure.number("total_gib"));
            let possible = free.map(|(free, total)| free / total.max(1e-6) - 0.02).filter(|s| *s >= 0.2);
            let mut list = vec![free_card];
            match possible {
                Some(possible) => list.push(lower_share_to(context, (possible * 100.0).floor() / 100.0)),
                None => list.push(in_turn),
            }
            list
        }
    }
}

fn uneven(context: &Context<'_>) -> Vec<Repair> {
    if context.facts.runs(&["lmdeploy"]) {
        let ranks = context.facts.ranks();
        return vec![
            new(
                RepairKind::ConvertElsewhere,
                "convert the model first and serve the result",
                "disk space for a second copy",
            )
            .with(Some(format!("lmdeploy convert MODEL_NAME MODEL_PATH --tp {ranks}"))),
            new(RepairKind::LowerShare, "a smaller share for the cache", "a smaller KV cache").with(spell(
                engine(context),
                Knob::MemoryFraction,
                "0.2",
            )),
        ];
    }
    if is_ggml(context) {
        let spare = new(RepairKind::Rebalance, "leave room on the fullest card", "the others carry more").with(Some(
            if context.facts.runs(&["ollama"]) { "OLLAMA_GPU_OVERHEAD=2147483648" } else { "--tensor-split" }
                .to_owned(),
        ));
        return vec![fewer_layers(context), spare, smaller_batch(context)];
    }
    if context.failure.signal == Signal::DeviceMapExceedsCards {
        return vec![
            new(RepairKind::Rebalance, "a device map by hand, or caps for each card that a whole module fits", "none")
                .with(Some("max_memory".to_owned())),
            new(RepairKind::OtherRelease, "a release whose automatic map counts the largest module", "an upgrade"),
        ];
    }
    if context.failure.fields.contains_key("pids") {
        return vec![
            new(RepairKind::DevicePerRank, "set the device of each rank before its first call to CUDA", "none")
                .with(Some("torch.cuda.set_device(local_rank)".to_owned())),
            lower_share(context),
        ];
    }
    let mut list = Vec::new();
    if context.facts.cards.is_some_and(|c| c > 1) {
        list.push(tensor_parallel(context));
    }
    list.push(
        new(
            RepairKind::Rebalance,
            "fewer layers for the stage that fails, or a split by hand",
            "the others carry more",
        )
        .with(context.facts.runs(&["vllm"]).then(|| "VLLM_PP_LAYER_PARTITION".to_owned())),
    );
    list
}

fn graphs(context: &Context<'_>) -> Vec<Repair> {
    let now = share(context).unwrap_or(0.9);
    let step = if now >= HIGH_SHARE { 0.01 } else { 0.05 };
    let lower = new(
        RepairKind::LowerShare,
        format!("{:.0} % of each card for the engine", (now - step) * 100.0),
        "a smaller KV cache",
    )
    .with(spell(engine(context), Knob::MemoryFraction, &format!("{:.2}", now - step)));
    let smaller = new(RepairKind::FewerGraphs, "graphs for small batches alone", "slower decoding of large batches")
        .with(match engine(context) {
            Some("sglang") => Some("--cuda-graph-max-bs 16".to_owned()),
            other => spell(other, Knob::Eager, ""),
        });
    vec![lower, smaller, fewer_sequences(context)]
}

fn host(context: &Context<'_>) -> Vec<Repair> {
    let more = |change: &str| new(RepairKind::HostMemory, change, "memory of the host");
    match context.failure.signal {
        Signal::SharedMemoryFull => vec![
            new(RepairKind::SharedMemory, "a larger shared memory for the container", "none")
                .with(Some("--shm-size=16g".to_owned())),
            new(RepairKind::HostMemory, "NCCL without shared memory", "slower exchange")
                .with(Some("NCCL_SHM_DISABLE=1".to_owned())),
        ],
        Signal::RayWorkerDied => vec![
            more("load with fewer workers at once, so that not every rank holds a checkpoint")
                .with(Some("--max-parallel-loading-workers 1".to_owned())),
            more("more memory, a higher limit or swap"),
        ],
        Signal::PinnedMemoryRefused | Signal::DriverOutOfMemory => vec![
            new(RepairKind::OtherRelease, "a release that does not pin host memory under WSL", "an upgrade"),
            more("a higher memory limit for WSL, or no pinned memory").with(Some("GGML_CUDA_NO_PINNED=1".to_owned())),
        ],
        _ if context.facts.runs(&["transformers", "pytorch"]) => vec![
            new(
                RepairKind::DeviceMap,
                "load shard by shard onto the card instead of the whole into host memory",
                "none",
            )
            .with(Some("device_map=\"auto\"".to_owned()))
            .with(Some("low_cpu_mem_usage=True".to_owned())),
            more("more memory, a higher limit or swap"),
        ],
        _ => {
            let container =
                context.events.field("constraint").map(ToString::to_string).is_some_and(|c| c == "CONSTRAINT_MEMCG");
            let first = if container {
                "a higher memory limit for the container or pod"
            } else {
                "more memory, a higher limit or swap"
            };
            vec![
                more(first),
                new(
                    RepairKind::SharedMemory,
                    "a larger shared memory for the container, where ranks exchange through it",
                    "none",
                )
                .with(Some("--shm-size=16g".to_owned())),
                quantise(context),
            ]
        }
    }
}

fn divisors(context: &Context<'_>) -> Vec<Repair> {
    let heads =
        context.failure.number("attention_heads").or_else(|| context.failure.number("size")).unwrap_or(0.0) as u64;
    let stated = context.failure.number("tensor_parallel_size").map(|n| n as u32);
    let ranks = stated.or(context.facts.tensor_parallel).unwrap_or(2);
    let fits: Vec<u32> = (1..=ranks.saturating_sub(1).min(LARGEST_DEGREE))
        .filter(|n| heads > 0 && heads.is_multiple_of(u64::from(*n)))
        .collect();
    // Powers of two divide vocabularies and key/value heads too, more often than other divisors.
    let best = fits.iter().rev().find(|n| n.is_power_of_two()).copied().unwrap_or(1);
    let all: Vec<String> = fits.iter().map(ToString::to_string).collect();
    vec![
        new(
            RepairKind::TensorParallel,
            format!("tensor parallel over {best} cards (of {})", all.join(", ")),
            "fewer cards share the weights",
        )
        .with(spell(engine(context).or(Some("vllm")), Knob::TensorParallel, &best.to_string())),
        new(
            RepairKind::PipelineParallel,
            format!("pipeline stages over {ranks} cards, which have no such rule"),
            "the cards work in turn",
        )
        .with(spell(engine(context).or(Some("vllm")), Knob::PipelineParallel, &ranks.to_string())),
    ]
}

fn pool(context: &Context<'_>) -> Vec<Repair> {
    if is_ggml(context) {
        return vec![
            fewer_sequences_to(context, 1),
            new(RepairKind::RaiseShare, "a longer context, which all slots share", "memory for the cache").with(spell(
                engine(context),
                Knob::ContextLength,
                "N",
            )),
            smaller_cache(context),
        ];
    }
    let by_pages = context
        .failure
        .number("requested_tokens")
        .zip(context.failure.number("available_tokens"))
        .is_some_and(|(asked, there)| asked < there);
    let mut list = Vec::new();
    if by_pages {
        list.push(
            new(RepairKind::OtherRelease, "a release that counts pages, or pages of one token", "an upgrade")
                .with(Some("--page-size 1".to_owned())),
        );
    }
    list.push(if context.facts.runs(&["tensorrt-llm"]) {
        smaller_batch_of_engine(context)
    } else {
        fewer_sequences(context)
    });
    if by_pages || context.facts.runs(&["sglang"]) {
        list.push(new(
            RepairKind::OtherRelease,
            "a newer release: older schedulers count tokens where they need pages",
            "an upgrade",
        ));
    }
    if share(context).unwrap_or(0.9) < HIGH_SHARE {
        list.push(raise_share(context, HIGH_SHARE));
    }
    list.extend([smaller_cache(context), tensor_parallel(context)]);
    list
}

fn workspace(context: &Context<'_>) -> Vec<Repair> {
    if context.failure.signal == Signal::WorkspaceTooSmall {
        return vec![
            new(
                RepairKind::Workspace,
                "a larger workspace for the attention kernels, or a newer release",
                "some hundred MiB",
            )
            .with(Some("FLASHINFER_WORKSPACE_SIZE".to_owned())),
            fewer_sequences(context),
            smaller_batch(context),
        ];
    }
    if is_ggml(context) {
        return vec![fewer_layers(context), smaller_batch(context), lower_context(context, None)];
    }
    let free = context.failure.number("free_gib").zip(context.failure.number("total_gib"));
    let lower = match free.map(|(free, total)| ((free / total.max(1e-6) - 0.01) * 100.0).floor() / 100.0) {
        Some(possible) if possible > 0.1 => lower_share_to(context, possible),
        _ => lower_share(context),
    };
    vec![lower, fewer_sequences(context)]
}

fn compute(context: &Context<'_>) -> Vec<Repair> {
    if context.facts.runs(&["mlc-llm"]) {
        return vec![raise_share(context, 0.9), smaller_batch(context)];
    }
    let copies =
        new(RepairKind::SmallerBatch, "one copy of the compute buffers, smaller micro-batches", "slower prefill")
            .with(batch(engine(context)).map(str::to_owned))
            .with(context.facts.runs(&["llama.cpp"]).then(|| "GGML_SCHED_MAX_COPIES=1".to_owned()));
    vec![fewer_layers(context), copies, lower_context(context, None)]
}
