//! Layers that fold the past into a state by the gated delta rule, as Qwen 3-Next and Qwen 3.5 have them.

use super::super::config::ConfigError;
use super::super::{IndexSet, LayerCache, Role, Segment, SegmentKind, StateCache, StateKind};
use super::blocks::features;
use super::decoder::Decoder;

/// Sizes of a gated-delta layer.
#[derive(Debug, Clone, Copy)]
pub struct GatedDelta {
    key_heads: u64,
    key_width: u64,
    value_heads: u64,
    value_width: u64,
    kernel: u64,
}

impl GatedDelta {
    /// Reads `linear_*`, with the defaults of the config classes.
    pub fn read(decoder: &Decoder<'_>) -> Result<Self, ConfigError> {
        let text = &decoder.text;
        let sizes = Self {
            key_heads: text.u64_or(&["linear_num_key_heads"], 16)?,
            key_width: text.u64_or(&["linear_key_head_dim"], 128)?,
            value_heads: text.u64_or(&["linear_num_value_heads"], 32)?,
            value_width: text.u64_or(&["linear_value_head_dim"], 128)?,
            kernel: text.u64_or(&["linear_conv_kernel_dim"], 4)?,
        };
        if sizes.key_heads == 0 || !sizes.value_heads.is_multiple_of(sizes.key_heads) {
            return Err(ConfigError::Contradiction(format!(
                "`linear_num_value_heads` {} is no multiple of `linear_num_key_heads` {}",
                sizes.value_heads, sizes.key_heads
            )));
        }
        Ok(sizes)
    }

    /// Features of all keys (or queries), and of all values.
    const fn widths(&self) -> (u64, u64) {
        (self.key_heads.saturating_mul(self.key_width), self.value_heads.saturating_mul(self.value_width))
    }

    /// Adds the modules of such layers. `joint` is the form of Qwen 3-Next: all projections in two matrices, head by head.
    pub fn add(&self, decoder: &mut Decoder<'_>, layers: &IndexSet, joint: bool) {
        let hidden = decoder.hidden;
        let (keys, values) = self.widths();
        let name = |name: &str| format!("linear_attn.{name}");
        let heads = |rows: u64| Segment { rows, kind: SegmentKind::ValueHeads(self.value_heads) };
        let of_keys = Segment { rows: keys, kind: SegmentKind::ValueHeads(self.key_heads) };
        if joint {
            let rows = keys.saturating_mul(2).saturating_add(values.saturating_mul(2));
            let all = Segment { rows, kind: SegmentKind::ValueHeads(self.key_heads) };
            decoder.matrix_in(layers, &name("in_proj_qkvz"), Role::StateIn, hidden, [all], false);
            let gates = [heads(self.value_heads.saturating_mul(2))];
            decoder.matrix_in(layers, &name("in_proj_ba"), Role::StateGates, hidden, gates, false);
        } else {
            let qkv = [of_keys, of_keys, heads(values)];
            decoder.matrix_in(layers, &name("in_proj_qkv"), Role::StateIn, hidden, qkv, false);
            decoder.matrix_in(layers, &name("in_proj_z"), Role::StateIn, hidden, [heads(values)], false);
            for gate in ["in_proj_b", "in_proj_a"] {
                let output = [heads(self.value_heads)];
                decoder.matrix_in(layers, &name(gate), Role::StateGates, hidden, output, false);
            }
        }
        let channels = vec![of_keys, of_keys, heads(values)];
        let kernel: &[u64] = &[1, self.kernel];
        decoder.rows_in(layers, &name("conv1d"), Role::StateConvolution, channels, &[("weight", kernel)]);
        let per_head = || vec![heads(self.value_heads)];
        decoder.rows_in(layers, "linear_attn", Role::StateDecay, per_head(), &[("A_log", &[])]);
        decoder.rows_in(layers, "linear_attn", Role::StateHeads, per_head(), &[("dt_bias", &[])]);
        decoder.vector_in(layers, &name("norm"), Role::StateSharedNorm, self.value_width);
        decoder.matrix_in(layers, &name("out_proj"), Role::StateOut, values, [features(hidden)], false);
        let cache = StateCache {
            kind: StateKind::GatedDelta,
            taps: self.kernel.saturating_sub(1),
            channels: keys.saturating_mul(2).saturating_add(values),
            grouped_channels: 0,
            groups: 0,
            heads: self.value_heads,
            head_elements: self.key_width.saturating_mul(self.value_width),
        };
        decoder.cache(layers.clone(), LayerCache::State(cache));
    }
}
