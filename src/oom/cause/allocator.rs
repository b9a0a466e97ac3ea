//! Blocks that PyTorch's allocator could not get: whose memory it is, where it happened, how large the block was.

use super::engine_words::PEAKS;
use super::{Confidence, Context, Judgement};
use crate::engines::Cause;
use crate::oom::Allocation;
use crate::oom::fingerprint::{MatchKind, fingerprint};
use crate::profiles::oom::{Signal, Stage};
use crate::units::Bytes;

/// Memory that no figure of the process accounts for, above which another process is there.
const UNACCOUNTED: Bytes = Bytes(1_288_490_189);
/// The same once kernels, handles and workspaces of a serving process have come on top, where no message tells its whole size.
const UNACCOUNTED_SERVING: Bytes = Bytes::gib(2);
/// A block this large is one tensor, not the last straw.
const LARGE: Bytes = Bytes::gib(1);
/// A block this small fails only on a card that is full already.
const SMALL: Bytes = Bytes::mib(64);
/// Blocks up to this size are cut from segments that they share.
const SEGMENT: Bytes = Bytes::mib(20);
/// The smallest piece that the allocator takes from the driver.
const SMALLEST: Bytes = Bytes::mib(2);
/// Requests served before a failure that speak for slow growth.
const MANY_REQUESTS: f64 = 1000.0;

/// Numbers of processes that one launcher starts lie no further apart.
const ONE_START: f64 = 64.0;

type Rule = fn(&Context<'_>) -> Option<Judgement>;

/// In the order in which they are asked.
const RULES: &[Rule] = &[
    cap,
    own_ranks,
    other_processes,
    no_context,
    second_runtime,
    by_stage,
    loading,
    cache_block,
    too_large,
    serving,
    many_requests,
    pieces,
    contradiction,
    nothing_cached,
    one_card,
    large_block,
    idle_cards,
    smallest_piece,
    full_of_tensors,
    crumbs,
];

pub(super) fn judge(context: &Context<'_>) -> Option<Judgement> {
    match context.failure.signal {
        Signal::Allocation | Signal::MappingFailed | Signal::DriverOutOfMemory => {
            RULES.iter().find_map(|rule| rule(context))
        }
        _ => None,
    }
}

/// A cap that the process set for itself.
fn cap(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allowed, reserved, free) = (numbers.allowed?, numbers.reserved()?, numbers.free?);
    let capped = reserved + Bytes::mib(256) >= allowed && free > numbers.requested.unwrap_or_default();
    let cause = match context.stage {
        Some(Stage::Weights) => Cause::WeightsDoNotFit,
        Some(Stage::Forward) => Cause::ActivationOrLogitsPeak,
        _ => Cause::NoMemoryLeftForKv,
    };
    capped.then(|| {
        Judgement::new(
            cause,
            Confidence::Medium,
            format!("{free} is free and the process holds all of the {allowed} it allows itself: a cap of its own, not the card"),
        )
        .not(Cause::OtherProcessOnGpu, "the card has room")
    })
}

/// Other ranks of the same job on this card.
fn own_ranks(context: &Context<'_>) -> Option<Judgement> {
    let pids = match context.failure.fields.get("pids") {
        Some(crate::oom::Value::Numbers(pids)) if pids.len() >= 2 => pids,
        _ => return None,
    };
    let others = &context.allocation.others;
    let (least, most) = (others.iter().min()?, others.iter().max()?);
    let alike = others.len() >= 2 && most.0 - least.0 <= most.0 / 20;
    let near = pids.iter().all(|pid| pids.iter().any(|other| other != pid && (other - pid).abs() <= ONE_START));
    // One stranger among many ranks changes nothing.
    let consecutive = neighbours(pids) * 3 > pids.len() * 2;
    // Bare contexts fill no card.
    let is_much = others.iter().sum::<Bytes>() > UNACCOUNTED;
    (others.len() >= 2 && is_much && (alike && near || consecutive)).then(|| {
        Judgement::new(
            Cause::UnevenSplitOrRankExtra,
            Confidence::Medium,
            format!(
                "{} more processes with neighbouring numbers hold {} on this card: ranks of the same job that put something on it",
                others.len(),
                others.iter().sum::<Bytes>()
            ),
        )
        .not(Cause::OtherProcessOnGpu, "strangers would not have neighbouring process numbers and like sizes")
    })
}

/// How many of these processes were started one right after the other.
fn neighbours(pids: &[f64]) -> usize {
    let mut sorted = pids.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut run, mut longest) = (1, 0);
    for pair in sorted.windows(2) {
        run = if pair[1] - pair[0] <= 3.0 { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    longest
}

fn other_processes(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let is_remainder = numbers.others.is_empty() && numbers.process.is_none();
    let serves = context.is_at(&[Stage::Serving, Stage::Forward]);
    let usual = match numbers.total {
        // The executables of captured graphs and the libraries' workspaces grow with the card.
        Some(total) if is_remainder && serves && numbers.private_pools.is_some() => {
            UNACCOUNTED_SERVING.max(Bytes(total.0 / 10))
        }
        _ if is_remainder && serves => UNACCOUNTED_SERVING,
        _ => UNACCOUNTED,
    };
    let held = numbers.held_by_others().filter(|held| *held > usual)?;
    // Room for the block would have been there: whoever holds the rest is not to blame.
    if has_room(numbers) {
        return None;
    }
    let requested = numbers.requested.unwrap_or_default();
    // Nor would the block fit without them.
    if numbers.free.unwrap_or_default() + held < requested {
        return None;
    }
    // A remainder that no process is named for is no neighbour where the process's own cache alone would hold the block.
    let in_own_cache = numbers.unallocated.is_some_and(|cached| cached >= requested && cached > held);
    if numbers.others.is_empty() && in_own_cache {
        return None;
    }
    let total = numbers.total?;
    let own = numbers.process.or(numbers.reserved())?;
    // What no message lists is only inferred: not where an empty card would be too small, nor where all ranks show the same.
    if numbers.others.is_empty() && (is_too_large_for_any(context, total) || is_the_same_everywhere(context)) {
        return None;
    }
    Some(
        Judgement::new(
            Cause::OtherProcessOnGpu,
            if held.0 > total.0 / 10 { Confidence::High } else { Confidence::Medium },
            format!(
                "this process holds {own} of {total}, {} is free, and {held} belongs to others",
                numbers.free.unwrap_or_default()
            ),
        )
        .not(Cause::WeightsDoNotFit, format!("this process holds {own} only")),
    )
}

/// Whether the driver had room for the block. Of a full card it keeps a last piece.
fn has_room(numbers: &Allocation) -> bool {
    let is_last_piece = numbers.free.zip(numbers.requested).is_some_and(|(free, r)| free <= SMALL && r <= SMALL);
    numbers.is_short() == Some(false) && !is_last_piece
}

/// Whether the weights of one rank exceed a card, whoever else is on it.
fn is_too_large_for_any(context: &Context<'_>, total: Bytes) -> bool {
    let own = context.allocation.reserved().unwrap_or_default();
    own.0 > total.0 / 2 && context.facts.weights_per_card().is_some_and(|weights| weights > total)
}

/// Whether ranks on other cards miss just as much, and less than they hold: memory of the job itself, outside of PyTorch.
fn is_the_same_everywhere(context: &Context<'_>) -> bool {
    let numbers = &context.allocation;
    let Some((held, own)) = numbers.held_by_others().zip(numbers.reserved()) else { return false };
    if held.0 > own.0 / 2 {
        return false;
    }
    let device = context.failure.number("device");
    let mut peers = context.peers().filter(|e| e.number("device").is_some() && e.number("device") != device);
    peers.any(|e| {
        let theirs = Allocation::read(e).held_by_others();
        theirs.is_some_and(|theirs| theirs.0.abs_diff(held.0) <= held.0 / 50)
    })
}

/// Not even a context could be made.
fn no_context(context: &Context<'_>) -> Option<Judgement> {
    let at_start = context.is_at(&[Stage::Startup]) && context.failure.signal == Signal::DriverOutOfMemory;
    at_start.then(|| {
        Judgement::new(
            Cause::OtherProcessOnGpu,
            Confidence::Medium,
            "the first call to the card fails, before this process holds anything on it: others fill it",
        )
        .on(context.stage_event)
        .not(Cause::WeightsDoNotFit, "nothing was loaded yet")
    })
}

/// The same process holds most of the card outside of PyTorch.
fn second_runtime(context: &Context<'_>) -> Option<Judgement> {
    let (beside, total) = (context.allocation.beside_allocator()?, context.total()?);
    (beside.0 > total.0 / 2).then(|| {
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Low,
            format!(
                "{beside} of {total} belongs to this process and not to PyTorch: a second runtime holds its model here"
            ),
        )
        .not(Cause::OtherProcessOnGpu, "the memory is this process's own")
    })
}

/// Stages that are a cause by themselves.
fn by_stage(context: &Context<'_>) -> Option<Judgement> {
    let hinted = context.failure.fields.contains_key("graph_hint");
    let (cause, why) = match context.stage {
        _ if hinted => {
            (Cause::CudaGraphCapture, "the engine's own remark on this failure is about its estimate of the graphs")
        }
        Some(Stage::GraphCapture) => {
            (Cause::CudaGraphCapture, "the failure comes while CUDA graphs are captured, after the pool took its share")
        }
        Some(Stage::SamplerWarmup) => (Cause::SamplerWarmup, "the failure comes while the sampler is warmed up"),
        Some(Stage::KvSizing) => (Cause::NoMemoryLeftForKv, "the failure comes while the KV pool is allocated"),
        // Without a profile it is the request's own image.
        Some(Stage::MultimodalProfiling) if context.facts.runs(&["transformers"]) => return None,
        Some(Stage::MultimodalProfiling) => (
            Cause::MultimodalProfiling,
            "the failure comes while the largest images are run through the vision encoder",
        ),
        Some(Stage::Conversion) => {
            (Cause::ConversionOrLoadTransient, "the failure comes while weights are converted or quantised")
        }
        _ => return None,
    };
    Some(Judgement::new(cause, Confidence::Medium, why).on(context.stage_event))
}

/// Weights are being created, loaded or moved.
fn loading(context: &Context<'_>) -> Option<Judgement> {
    if !context.is_at(&[Stage::Weights]) {
        return None;
    }
    let numbers = &context.allocation;
    let cached = numbers.unallocated.zip(numbers.requested).is_some_and(|(u, r)| u.0 > r.0 / 2);
    let in_loader = context.stage_event.is_some_and(|e| e.pattern == "frame.weights-loaded");
    if in_loader && cached && numbers.fits_in_pieces() == Some(true) {
        return Some(
            Judgement::new(
                Cause::ConversionOrLoadTransient,
                Confidence::Medium,
                "the loader keeps pieces that it no longer uses: free memory and cache together would hold the tensor",
            )
            .on(context.stage_event)
            .not(Cause::WeightsDoNotFit, "what is missing is in the cache of the same process"),
        );
    }
    if let Some(moved) = context.before(Signal::MovedWhileDispatched) {
        let held = context.facts.model.weights.map(|w| format!(" all {w} of")).unwrap_or_default();
        return Some(
            not_float32(
                context,
                Judgement::new(
                    Cause::SingleGpuPlacementWhileOthersIdle,
                    Confidence::High,
                    format!("a model already spread over the cards is moved as a whole, which gathers{held} its weights on one card"),
                ),
            )
            .on([moved])
            .on(context.stage_event),
        );
    }
    let judgement = too_large(context).map(|judgement| not_float32(context, judgement)).unwrap_or_else(|| {
        if context.facts.pipeline_parallel.is_some_and(|pp| pp > 1) {
            return Judgement::new(
                Cause::UnevenSplitOrRankExtra,
                Confidence::Low,
                "weights of one stage fill its card while they are created",
            );
        }
        if context.facts.has_idle_cards() && context.facts.ranks() == 1 {
            return Judgement::new(
                Cause::SingleGpuPlacementWhileOthersIdle,
                Confidence::Medium,
                "one card is full while weights are created, and nothing puts any on the others",
            );
        }
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            "the card is full while weights are still being created",
        )
    });
    Some(judgement.on(context.stage_event))
}

/// Names float32 as a rival that loses, where the block is a matrix in 16 bits.
fn not_float32(context: &Context<'_>, judgement: Judgement) -> Judgement {
    let matches = fingerprint(&context.allocation, context.facts);
    let half = matches.iter().find(|m| m.kind == MatchKind::Weight && m.dtype.bits() == 16 && m.ranks == 1);
    let single = matches.iter().any(|m| m.kind == MatchKind::Weight && m.dtype == crate::units::DType::F32);
    match half.zip(context.allocation.requested).filter(|_| !single && judgement.cause != Cause::WrongDtypeFp32) {
        Some((_, requested)) => judgement.not(
            Cause::WrongDtypeFp32,
            format!("the block is a matrix in 16 bits; in float32 it would be {}", requested * 2),
        ),
        None => judgement,
    }
}

/// The model is larger than the card by arithmetic.
fn too_large(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let total = numbers.total?;
    if has_room(numbers) || context.is_at(&[Stage::Serving, Stage::Forward, Stage::Profiling]) {
        return None;
    }
    // The card must be full of this process's tensors, as far as the message says.
    let least = if is_too_large_for_any(context, total) { 50 } else { 75 };
    if numbers.allocated.is_some_and(|a| a.0 < total.0 / 100 * least) || numbers.free.is_some_and(|f| f.0 > total.0 / 2)
    {
        return None;
    }
    if let Some(judgement) = float32(context, total) {
        return Some(judgement);
    }
    let facts = context.facts;
    let weights = facts.weights_per_card().filter(|w| w.0 > total.0 / 100 * 93)?;
    // A device map leaves on the host what does not fit, so that a model larger than the card proves nothing. Quantised layers may not go
    // there.
    let may_offload = facts.ranks() == 1 && !engine_chooses(context) && !facts.model.is_quantised();
    let cached = numbers.unallocated.zip(numbers.requested).is_some_and(|(u, r)| u.0 > r.0 / 2);
    let places_by_free_memory = may_offload && cached && numbers.fits_in_pieces() == Some(true);
    if places_by_free_memory {
        return None;
    }
    let basis = if facts.model.is_guessed { ", by the size in its name" } else { "" };
    if facts.ranks() == 1 && facts.has_idle_cards() {
        return Some(
            Judgement::new(
                Cause::SingleGpuPlacementWhileOthersIdle,
                if context.is_at(&[Stage::Weights]) { Confidence::High } else { Confidence::Medium },
                format!("weights of {weights}{basis} go to one card of {total} while others stay empty"),
            )
            .not(Cause::Fragmentation, "no arrangement of the cache would make room for all weights"),
        );
    }
    Some(
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Medium,
            format!("each card gets {weights} of weights{basis} and has {total}"),
        )
        .not(Cause::Fragmentation, "no arrangement of the cache would make room for all weights"),
    )
}

/// Whether the engine takes the checkpoint's element type and places all weights itself.
fn engine_chooses(context: &Context<'_>) -> bool {
    context.facts.runs(&["vllm", "sglang", "tgi", "lmdeploy", "tensorrt-llm", "llama.cpp", "ollama", "openllm"])
}

/// In 16 bits the model fits, in 32 it does not, and the card is full.
fn float32(context: &Context<'_>, total: Bytes) -> Option<Judgement> {
    let facts = context.facts;
    let half = facts.model.in_16_bits().filter(|_| !facts.model.is_quantised())?;
    let full = half * 2;
    if engine_chooses(context) || facts.ranks() > 1 || half.0 > total.0 / 100 * 85 || full.0 < total.0 / 100 * 95 {
        return None;
    }
    let matches = fingerprint(&context.allocation, facts);
    let as_float32 = matches.iter().find(|m| m.kind == MatchKind::Weight && m.dtype == crate::units::DType::F32);
    let as_half = matches.iter().any(|m| m.kind == MatchKind::Weight && m.dtype.bits() == 16);
    if as_half && as_float32.is_none() {
        return None;
    }
    let mut why = format!("in 16 bits the weights take {half} and fit the card ({total}); in float32 they take {full}");
    if let Some(found) = as_float32 {
        why = format!("{why}; the block is {}", found.text);
    }
    let confidence =
        if as_float32.is_some() || context.is_at(&[Stage::Weights]) { Confidence::Medium } else { Confidence::Low };
    Some(
        Judgement::new(Cause::WrongDtypeFp32, confidence, why)
            .not(Cause::WeightsDoNotFit, "in 16 bits they fit")
            .not(Cause::SingleGpuPlacementWhileOthersIdle, "one card suffices once the element type is right"),
    )
}

/// A request found no room beside the pool.
fn serving(context: &Context<'_>) -> Option<Judgement> {
    context.is_at(&[Stage::Serving]).then(|| {
        Judgement::new(
            Cause::ActivationOrLogitsPeak,
            Confidence::Medium,
            "the engine was serving: a tensor that depends on the request found no room outside the pool",
        )
        .on(context.stage_event)
        .not(Cause::NoMemoryLeftForKv, "the pool was allocated long before")
    })
}

/// Memory is there, in pieces.
fn pieces(context: &Context<'_>) -> Option<Judgement> {
    in_pieces(context).filter(|_| !has_usual_slack(context))
}

/// The same where the pieces are no more than any allocator holds, and nothing else explains the failure.
fn crumbs(context: &Context<'_>) -> Option<Judgement> {
    in_pieces(context).map(|judgement| Judgement { confidence: Confidence::Low, ..judgement })
}

/// Whether the card is full and the cache as small as on any such card.
fn has_usual_slack(context: &Context<'_>) -> bool {
    let numbers = &context.allocation;
    numbers.is_short() == Some(true)
        && numbers.unallocated.zip(numbers.total).is_some_and(|(cached, total)| cached.0 < total.0 / 50)
}

fn in_pieces(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (unallocated, requested) = (numbers.unallocated?, numbers.requested?);
    let at_peak = context.is_at(PEAKS) && requested >= LARGE;
    let whole_in_cache = unallocated >= requested;
    if at_peak || !(whole_in_cache || numbers.fits_in_pieces() == Some(true)) {
        return None;
    }
    // A card full of live tensors: what little is cached is no reason.
    let full = numbers.total.zip(numbers.allocated).filter(|(total, live)| live.0 > total.0 / 10 * 9);
    if full.is_some_and(|(total, _)| unallocated <= untouched(total)) {
        return None;
    }
    let free = numbers.free.unwrap_or_default();
    // A larger block is a segment of its own, for which the driver has room.
    if requested > SEGMENT && free > requested * 2 {
        return None;
    }
    Some(
        Judgement::new(
            Cause::Fragmentation,
            if numbers.is_short() == Some(false) { Confidence::Low } else { Confidence::Medium },
            format!("{unallocated} is cached in pieces and {free} is free; together they would hold the block of {requested}"),
        )
        .not(Cause::ActivationOrLogitsPeak, "in one piece the memory would suffice"),
    )
}

/// What a cache holds at most while hardly anything was given back; the messages round to 10 MiB.
fn untouched(total: Bytes) -> Bytes {
    Bytes::mib(16).max(Bytes(total.0 / 100))
}

/// The allocator never took anything back: nothing but weights was allocated so far.
fn nothing_cached(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, unallocated, total) = (numbers.allocated?, numbers.unallocated?, numbers.total?);
    let has_pool = engine_chooses(context) || numbers.private_pools.is_some();
    let is_one_of_many = numbers.share_requested().is_some_and(|share| share < 0.1);
    let is_loading = is_one_of_many
        && unallocated <= untouched(total)
        && allocated.0 > total.0 / 100 * 75
        && numbers.free.is_some()
        && !has_room(numbers);
    if !is_loading || has_pool || context.stage.is_some_and(|s| s != Stage::Weights && s != Stage::Startup) {
        return None;
    }
    let why = format!(
        "{allocated} of {total} is in tensors and only {unallocated} in the cache: no temporary was given back yet, as while weights are placed"
    );
    let cause = if context.facts.ranks() == 1 && context.facts.has_idle_cards() {
        Cause::SingleGpuPlacementWhileOthersIdle
    } else {
        Cause::WeightsDoNotFit
    };
    Some(
        Judgement::new(cause, Confidence::Low, why)
            .not(Cause::ActivationOrLogitsPeak, "a forward pass leaves pieces in the cache"),
    )
}

/// More is free than asked for.
fn contradiction(context: &Context<'_>) -> Option<Judgement> {
    let requested = context.allocation.requested?;
    let Some(free) = context.allocation.free else {
        let total = context.allocation.total?;
        let held = context.allocation.reserved()?;
        return ((held + requested).0 < total.0 / 2).then(|| {
            Judgement::new(
                Cause::Unknown,
                Confidence::Low,
                format!("{held} is held, {requested} asked for, and the card has {total}: others may hold it, or the device allows no buffer of that size"),
            )
        });
    };
    // What is printed is rounded, and the last pages of a card are not always usable.
    let roomy = free.0 > requested.0.saturating_add(requested.0 / 4) + Bytes::mib(16).0
        || (requested >= LARGE && free >= requested);
    roomy.then(|| {
        Judgement::new(
            Cause::Unknown,
            Confidence::Medium,
            format!("{free} is free and {requested} was asked for: the numbers do not show that the card ran out. Something else released memory meanwhile, or the system refused (page file, commit limit)"),
        )
        .not(Cause::WeightsDoNotFit, "the card has room for the block")
    })
}

/// One tensor of a good part of the card.
fn large_block(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    if numbers.requested.is_none() && context.is_at(PEAKS) {
        let why = "the failure comes in a forward pass; the message holds no numbers";
        return Some(Judgement::new(Cause::ActivationOrLogitsPeak, Confidence::Low, why).on(context.stage_event));
    }
    let requested = numbers.requested?;
    let share = numbers.share_requested();
    let at_peak = context.is_at(PEAKS);
    let vllm_after_graphs = context.facts.runs(&["vllm"]) && numbers.private_pools.is_some() && requested >= LARGE;
    if vllm_after_graphs && !at_peak && share.is_none_or(|s| s < 0.2) {
        return Some(
            Judgement::new(
                Cause::SamplerWarmup,
                Confidence::Low,
                format!("graphs are captured and the pool is full when {requested} is asked for in one block, as the sampler's warm-up does"),
            )
            .not(Cause::CudaGraphCapture, "the graphs hold their memory already"),
        );
    }
    if !(at_peak
        || share.is_some_and(|s| s >= 0.2)
        || requested >= LARGE
        || context.failure.signal == Signal::MappingFailed)
    {
        return None;
    }
    let mut why = format!("the block of {requested}");
    if let Some(share) = share {
        why = format!("{why} is {:.0} % of the card", share * 100.0);
    }
    let confidence = match (at_peak, share) {
        (_, Some(share)) if share >= 0.5 => Confidence::High,
        (true, _) => Confidence::Medium,
        _ => Confidence::Low,
    };
    let why = if context.failure.signal == Signal::MappingFailed {
        "the card is full to the last pages at run time, with segments that already grow in place".to_owned()
    } else {
        format!("{why}: one tensor of activations, attention or logits")
    };
    Some(
        Judgement::new(Cause::ActivationOrLogitsPeak, confidence, why)
            .on(context.stage_event)
            .not(Cause::Fragmentation, "free memory and cache together do not hold the block"),
    )
}

fn cache(what: &str) -> Judgement {
    Judgement::new(Cause::KvCacheTooSmallForMaxLen, Confidence::Medium, format!("the block is {what}"))
}

/// The cache grows, or the block is one layer's cache.
fn cache_block(context: &Context<'_>) -> Option<Judgement> {
    if context.is_at(&[Stage::KvGrowth]) {
        return Some(cache("part of the cache, which grows with the length").on(context.stage_event));
    }
    // Engines with a pool allocate it whole; ranks hold a part of the heads.
    if engine_chooses(context) || context.facts.ranks() > 1 {
        return None;
    }
    let found = fingerprint(&context.allocation, context.facts).into_iter().find(|m| m.kind == MatchKind::Cache)?;
    Some(cache(&found.text))
}

fn many_requests(context: &Context<'_>) -> Option<Judgement> {
    if context.allocation.requested.is_none_or(|r| r > SMALL) {
        return None;
    }
    let counted = context
        .events
        .of(Signal::RequestCounter)
        .filter(|e| e.number("request_id").is_some_and(|n| n >= MANY_REQUESTS))
        .last()?;
    Some(
        Judgement::new(
            Cause::MemoryLeakGrowth,
            Confidence::Low,
            format!(
                "{} requests were served before a small block failed: use grew over time",
                counted.number("request_id").unwrap_or_default()
            ),
        )
        .on([counted])
        .not(Cause::WeightsDoNotFit, "the engine served for long"),
    )
}

/// A card full of one process's tensors beside empty ones, when a further one of ordinary size comes.
fn one_card(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, total) = (numbers.allocated?, numbers.total?);
    let is_further_tensor = numbers.share_requested().is_some_and(|share| share < 0.1) && !context.is_at(PEAKS);
    // Beyond what an engine's budget gives weights and pool together.
    let is_full = allocated.0 > total.0 / 100 * 93;
    (is_further_tensor && is_full && unused_cards(context) > 0).then(|| unused(context))
}

/// Cards that hold no part of the one copy of the model.
fn unused_cards(context: &Context<'_>) -> u32 {
    let facts = context.facts;
    if facts.ranks() == 1 && facts.has_idle_cards() { facts.cards.unwrap_or(1) - 1 } else { 0 }
}

fn unused(context: &Context<'_>) -> Judgement {
    Judgement::new(
        Cause::SingleGpuPlacementWhileOthersIdle,
        Confidence::Low,
        format!("one card is full and {} more stay unused", unused_cards(context)),
    )
}

/// A full card beside empty ones.
fn idle_cards(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let full = match (numbers.allocated, numbers.total) {
        (Some(allocated), Some(total)) => allocated.0 > total.0 / 100 * 85,
        _ => numbers.is_short() == Some(true),
    };
    let has_pool = context.facts.runs(&["vllm", "sglang", "tgi"]);
    (full && !has_pool && unused_cards(context) > 0).then(|| unused(context))
}

/// The smallest piece fails in an engine with a pool: many small tensors took what the budget leaves, as captures do.
fn smallest_piece(context: &Context<'_>) -> Option<Judgement> {
    let small =
        context.allocation.requested.is_some_and(|r| r <= SMALLEST) && context.allocation.is_short() == Some(true);
    let fits = context.facts.weights_per_card().zip(context.total()).is_none_or(|(w, t)| w.0 < t.0 / 100 * 85);
    let has_pool =
        context.facts.runs(&["vllm", "sglang"]) || (context.facts.engine.is_none() && context.facts.ranks() > 1);
    (small && fits && has_pool).then(|| {
        Judgement::new(
            Cause::CudaGraphCapture,
            Confidence::Low,
            "the card is full to the last 2 MiB although the budget leaves a part of it: small tensors outside the budget, as graph capture makes them",
        )
        .not(Cause::ActivationOrLogitsPeak, "a peak asks for large blocks")
    })
}

/// Tensors of this process alone fill the card, and one more of ordinary size comes: more than any budget gives a pool, and in smaller
/// pieces than a peak asks for.
fn full_of_tensors(context: &Context<'_>) -> Option<Judgement> {
    let numbers = &context.allocation;
    let (allocated, total) = (numbers.allocated?, numbers.total?);
    let is_further_tensor = numbers.share_requested().is_some_and(|share| share < 0.02);
    let fits = context.facts.weights_per_card().is_some_and(|weights| weights.0 < total.0 / 100 * 60);
    (context.stage.is_none() && is_further_tensor && !fits && allocated.0 > total.0 / 100 * 95).then(|| {
        Judgement::new(
            Cause::WeightsDoNotFit,
            Confidence::Low,
            format!("tensors of this process take {allocated} of {total} and one more of ordinary size fails, as while weights are created"),
        )
        .not(Cause::OtherProcessOnGpu, "the tensors are this process's own")
        .not(Cause::ActivationOrLogitsPeak, "a peak asks for large blocks")
    })
}
