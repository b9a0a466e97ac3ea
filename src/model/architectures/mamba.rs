//! Models of state-space layers alone: Mamba, Falcon-Mamba, Codestral-Mamba.

use super::super::config::{ConfigError, Fields};
use super::super::{Instances, Model};
use super::Family;
use super::blocks::AttentionSizes;
use super::decoder::{Decoder, Facts, WEIGHT};
use super::state_space::{Mamba1, Mamba2};

/// Mamba 1.
pub const MAMBA: Family = Family {
    architectures: &["MambaForCausalLM", "FalconMambaForCausalLM"],
    model_types: &["mamba", "falcon_mamba"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "backbone.layers.{}")?;
        let text = decoder.text;
        let hidden = decoder.hidden;
        let channels = match text.optional_u64(&["intermediate_size"])? {
            Some(channels) => channels,
            None => hidden.saturating_mul(text.u64_or(&["expand"], 2)?),
        };
        // `auto` is a sixteenth of the hidden state.
        let automatic = text.get("time_step_rank").and_then(|v| v.as_str()) == Some("auto");
        let step_rank =
            if automatic { hidden.div_ceil(16) } else { text.u64_or(&["time_step_rank"], hidden.div_ceil(16))? };
        let layer = Mamba1 {
            channels,
            state: text.u64(&["state_size"])?,
            kernel: text.u64_or(&["conv_kernel"], 4)?,
            step_rank,
            bias: text.bool_or("use_bias", false)?,
            convolution_bias: text.bool_or("use_conv_bias", true)?,
            norms: false,
        };
        let all = decoder.all.clone();
        layer.add(&mut decoder, &all, "mixer");
        finish(decoder, channels, true)
    },
};

/// Mamba 2 and Codestral-Mamba.
pub const MAMBA2: Family = Family {
    architectures: &["Mamba2ForCausalLM"],
    model_types: &["mamba2"],
    build: |fields| {
        let mut decoder = Decoder::new(fields, "backbone.layers.{}")?;
        let text: Fields<'_> = decoder.text;
        let layer = Mamba2 {
            bias: text.bool_or("use_bias", false)?,
            convolution_bias: text.bool_or("use_conv_bias", true)?,
            norm: text.bool_or("rms_norm", true)?,
            ..Mamba2::read(&text, &["num_heads"], &["head_dim"], &["state_size"])?
        };
        let all = decoder.all.clone();
        layer.add(&mut decoder, &all, "mixer");
        finish(decoder, layer.heads.saturating_mul(layer.head_width), false)
    },
};

fn finish(mut decoder: Decoder<'_>, channels: u64, default_tied: bool) -> Result<Model, ConfigError> {
    let text = decoder.text;
    let hidden = decoder.hidden;
    let vocab = text.u64(&["vocab_size"])?;
    let tied = text.bool_or("tie_word_embeddings", default_tied)?;
    let max_position = text.optional_u64(&["max_position_embeddings"])?;
    decoder.embedding("backbone.embeddings", vocab, hidden);
    decoder.norm("norm", WEIGHT);
    decoder.single_norm("backbone.norm_f", Instances::Last, WEIGHT);
    decoder.head("lm_head", hidden, vocab, false, tied.then_some("backbone.embeddings"));
    // No attention at all.
    let attention = AttentionSizes { heads: 0, kv_heads: 0, head_width: 0 };
    decoder.finish(Facts { attention, intermediate: channels, vocab, tied, max_position })
}
