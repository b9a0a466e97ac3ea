//! Buffers for LoRA adapters: made at load for as many as may be active, whether any is loaded or not (`lora/layers/base_linear.py`).

use crate::engines::vllm::options::LoraOptions;
use crate::model::{Instances, Kind, Model, Module, Role, Segment, SegmentKind};
use crate::sharding::{Layout, ShardingRules, Split, Stage};
use crate::units::{Bytes, DType, round_up};

/// Bytes of the buffers on one rank of a stage: for each slice of each matrix, `A` (adapters × rank × inputs) and `B` (adapters × outputs ×
/// rank).
#[must_use]
pub fn bytes(
    model: &Model,
    layout: Layout,
    rules: &ShardingRules,
    stage: &Stage,
    options: &LoraOptions,
    dtype: DType,
) -> Bytes {
    let dtype = options.dtype.unwrap_or(dtype);
    let buffers = Buffers { ways: u64::from(layout.tp.max(1)), rules, options };
    let mut elements = 0u64;
    for module in model.modules.iter().filter(|m| is_wrapped(m.role)) {
        let instances = match &module.instances {
            Instances::Layers(layers) => layers.count_within(&stage.layers),
            Instances::Experts { layers, experts, .. } => {
                layers.count_within(&stage.layers).saturating_mul(u64::from(*experts))
            }
            _ => 0,
        };
        elements = elements.saturating_add(buffers.elements(module).saturating_mul(instances));
    }
    dtype.size(elements.saturating_mul(options.adapters))
}

/// Matrices of the decoder's layers. Heads and embeddings are wrapped only by the classes that say so, and towers not at all by default.
fn is_wrapped(role: Role) -> bool {
    matches!(
        role,
        Role::QueryKeyValue
            | Role::AttentionOutput
            | Role::GateUp
            | Role::Up
            | Role::Down
            | Role::SharedExpertGateUp
            | Role::SharedExpertUp
            | Role::SharedExpertDown
            | Role::ExpertGateUp
            | Role::ExpertUp
            | Role::ExpertDown
    )
}

struct Buffers<'a> {
    ways: u64,
    rules: &'a ShardingRules,
    options: &'a LoraOptions,
}

impl Buffers<'_> {
    /// Elements of one adapter's pair for one module.
    fn elements(&self, module: &Module) -> u64 {
        let Kind::Linear { input, output, .. } = &module.kind else { return 0 };
        let rank = self.options.rank;
        let sharded = |n: u64| if self.options.fully_sharded { n / self.ways } else { n };
        match self.rules.split(module.role) {
            Split::Column => {
                let slices = output.len() as u64;
                let rows: u64 = output.iter().map(|s| self.rows(s)).fold(0, u64::saturating_add);
                let a = sharded(rank).saturating_mul(*input).saturating_mul(slices);
                a.saturating_add(rows.saturating_mul(rank))
            }
            Split::Row => {
                let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                rank.saturating_mul(input / self.ways).saturating_add(sharded(rows).saturating_mul(rank))
            }
            Split::Replicated | Split::Vocabulary => {
                let rows = output.iter().map(|s| s.rows).fold(0, u64::saturating_add);
                rank.saturating_mul(input.saturating_add(rows))
            }
        }
    }

    /// Output features of a segment on one rank: key/value heads are repeated once ranks outnumber them.
    fn rows(&self, segment: &Segment) -> u64 {
        match segment.kind {
            SegmentKind::KeyValueHeads(heads) if heads > 0 => {
                (heads / self.ways).max(1).saturating_mul(segment.rows / heads)
            }
            _ => segment.rows / self.ways,
        }
    }
}

/// Classes that wrap embedding and head too (`embedding_modules`); the others wrap the matrices of their layers alone.
const WRAPS_VOCABULARY: [&str; 7] = [
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "GraniteForCausalLM",
    "GraniteMoeForCausalLM",
    "NemotronForCausalLM",
    "Phi3ForCausalLM",
];

/// Rows of the head's buffers are a multiple of this (`lora_vocab_padding_size`).
const HEAD_PADDING: u64 = 256;

/// Buffers of embedding and head, full on every rank: `A` and `B` of either, and the embeddings of words that adapters bring
/// (`lora/layers/vocal_parallel_embedding.py`, `logits_processor.py`).
#[must_use]
pub fn vocabulary(model: &Model, stage: &Stage, options: &LoraOptions, dtype: DType) -> Bytes {
    if !WRAPS_VOCABULARY.contains(&model.architecture.as_str()) {
        return Bytes::ZERO;
    }
    let dtype = options.dtype.unwrap_or(dtype);
    let (words, hidden) = (model.vocab_size.saturating_add(options.extra_vocabulary), model.hidden_size);
    let own = options.extra_vocabulary.saturating_mul(hidden);
    let pair = |rows: u64| rows.saturating_add(hidden).saturating_mul(options.rank).saturating_add(own);
    let embedding = if stage.embedding { pair(words) } else { 0 };
    let head = if stage.head { pair(round_up(words, HEAD_PADDING)) } else { 0 };
    dtype.size(embedding.saturating_add(head).saturating_mul(options.adapters))
}

/// Rows that the vocabulary grows by where adapters may bring tokens of their own.
#[must_use]
pub fn extra_vocabulary(model: &Model, layout: Layout, options: &LoraOptions, dtype: DType) -> Bytes {
    let padded = round_up(model.vocab_size, 64);
    let grown = round_up(padded.saturating_add(options.extra_vocabulary), 64);
    let tables = if model.tied_embeddings { 1 } else { 2 };
    let rows = grown.saturating_sub(padded) / u64::from(layout.tp.max(1));
    dtype.size(rows.saturating_mul(model.hidden_size).saturating_mul(tables))
}
