//! Layers that fold the past into a state by a selective state space: Mamba 1 and 2.

use super::super::config::{ConfigError, Fields};
use super::super::{IndexSet, LayerCache, Role, Segment, SegmentKind, StateCache, StateKind};
use super::blocks::features;
use super::decoder::Decoder;
use crate::units::DType;

/// Sizes of a Mamba 1 layer.
#[derive(Debug, Clone, Copy)]
pub struct Mamba1 {
    /// Channels.
    pub channels: u64,
    /// Elements of a channel's state.
    pub state: u64,
    /// Inputs that the convolution sees.
    pub kernel: u64,
    /// Rank of the step.
    pub step_rank: u64,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Whether the convolution has a bias.
    pub convolution_bias: bool,
    /// Whether step, B and C are normed (Jamba).
    pub norms: bool,
}

impl Mamba1 {
    /// Adds the modules of such layers below `name`.
    pub fn add(&self, decoder: &mut Decoder<'_>, layers: &IndexSet, name: &str) -> Result<(), ConfigError> {
        let hidden = decoder.hidden;
        let path = |part: &str| format!("{name}.{part}");
        let channels = features(self.channels);
        decoder.matrix_in(layers, &path("in_proj"), Role::StateIn, hidden, [channels, channels], self.bias);
        convolution(decoder, layers, &path("conv1d"), vec![channels], self.kernel, self.convolution_bias);
        let selected = self.step_rank.saturating_add(self.state.saturating_mul(2));
        let input = self.channels;
        decoder.matrix_in(layers, &path("x_proj"), Role::StateSelection, input, [features(selected)], false);
        decoder.matrix_in(layers, &path("dt_proj"), Role::StateStep, self.step_rank, [channels], true);
        let state: &[u64] = &[self.state];
        decoder.rows_in(layers, name, Role::StateDecay, vec![channels], &[("A_log", state)]);
        decoder.rows_in(layers, name, Role::StateHeads, vec![channels], &[("D", &[])]);
        decoder.matrix_in(layers, &path("out_proj"), Role::StateOut, input, [features(hidden)], self.bias);
        if self.norms {
            let widths = [("dt_layernorm", self.step_rank), ("b_layernorm", self.state), ("c_layernorm", self.state)];
            for (norm, width) in widths {
                decoder.vector_in(layers, &path(norm), Role::StateSharedNorm, width);
            }
        }
        let cache = StateCache {
            kind: StateKind::Mamba1,
            taps: self.kernel.saturating_sub(1),
            channels: self.channels,
            grouped_channels: 0,
            groups: 0,
            heads: self.channels,
            head_elements: self.state,
            dtype: state_dtype(&decoder.text)?,
        };
        decoder.cache(layers.clone(), LayerCache::State(cache));
        Ok(())
    }
}

/// Sizes of a Mamba 2 layer.
#[derive(Debug, Clone, Copy)]
pub struct Mamba2 {
    /// Heads.
    pub heads: u64,
    /// Channels of a head.
    pub head_width: u64,
    /// Groups of heads that share B and C.
    pub groups: u64,
    /// Elements of a channel's state.
    pub state: u64,
    /// Inputs that the convolution sees.
    pub kernel: u64,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Whether the convolution has a bias.
    pub convolution_bias: bool,
    /// Whether the gated output is normed.
    pub norm: bool,
}

impl Mamba2 {
    /// Reads the sizes that all families name alike, given the names of heads, their width and the state.
    pub fn read(text: &Fields<'_>, heads: &[&str], head_width: &[&str], state: &[&str]) -> Result<Self, ConfigError> {
        let groups = text.u64(&["n_groups", "mamba_n_groups"])?;
        Self::sized(text, [text.u64(heads)?, text.u64(head_width)?, text.u64(state)?, groups])
    }

    /// Reads what else there is, given heads, their width, the state and the groups.
    pub fn sized(text: &Fields<'_>, [heads, head_width, state, groups]: [u64; 4]) -> Result<Self, ConfigError> {
        let sizes = Self {
            heads,
            head_width,
            groups,
            state,
            kernel: text.u64_or(&["conv_kernel", "mamba_d_conv"], 4)?,
            bias: false,
            convolution_bias: true,
            norm: true,
        };
        if sizes.groups == 0 || !sizes.heads.is_multiple_of(sizes.groups) {
            return Err(ConfigError::Contradiction(format!(
                "{} state-space heads are no multiple of {} groups",
                sizes.heads, sizes.groups
            )));
        }
        Ok(sizes)
    }

    /// Adds the modules of such layers below `name`.
    pub fn add(&self, decoder: &mut Decoder<'_>, layers: &IndexSet, name: &str) -> Result<(), ConfigError> {
        let hidden = decoder.hidden;
        let path = |part: &str| format!("{name}.{part}");
        let channels = self.heads.saturating_mul(self.head_width);
        let grouped = self.groups.saturating_mul(self.state);
        let group = Segment { rows: grouped, kind: SegmentKind::StateGroups(self.groups) };
        let by_head = |rows: u64| Segment { rows, kind: SegmentKind::ValueHeads(self.heads) };
        // Gate, channels, B, C, step.
        let input = [by_head(channels), by_head(channels), group, group, by_head(self.heads)];
        decoder.matrix_in(layers, &path("in_proj"), Role::StateIn, hidden, input, self.bias);
        let convolved = vec![by_head(channels), group, group];
        convolution(decoder, layers, &path("conv1d"), convolved, self.kernel, self.convolution_bias);
        decoder.rows_in(layers, name, Role::StateDecay, vec![by_head(self.heads)], &[("A_log", &[])]);
        let per_head = vec![by_head(self.heads)];
        decoder.rows_in(layers, name, Role::StateHeads, per_head, &[("D", &[]), ("dt_bias", &[])]);
        if self.norm {
            let output = vec![by_head(channels)];
            decoder.rows_in(layers, &path("norm"), Role::StateNorm, output, &[("weight", &[])]);
        }
        decoder.matrix_in(layers, &path("out_proj"), Role::StateOut, channels, [features(hidden)], self.bias);
        let cache = StateCache {
            kind: StateKind::Mamba2,
            taps: self.kernel.saturating_sub(1),
            channels,
            grouped_channels: grouped.saturating_mul(2),
            groups: self.groups,
            heads: self.heads,
            head_elements: self.head_width.saturating_mul(self.state),
            dtype: state_dtype(&decoder.text)?,
        };
        decoder.cache(layers.clone(), LayerCache::State(cache));
        Ok(())
    }
}

/// A kernel for each channel, with or without a bias.
fn convolution(
    decoder: &mut Decoder<'_>,
    layers: &IndexSet,
    name: &str,
    channels: Vec<Segment>,
    kernel: u64,
    bias: bool,
) {
    let kernel: &[u64] = &[1, kernel];
    let mut parameters: Vec<(&'static str, &[u64])> = vec![("weight", kernel)];
    if bias {
        parameters.push(("bias", &[]));
    }
    decoder.rows_in(layers, name, Role::StateConvolution, channels, &parameters);
}

/// Element type that a config asks of recurrent states.
pub fn state_dtype(text: &Fields<'_>) -> Result<Option<DType>, ConfigError> {
    for name in ["mamba_ssm_cache_dtype", "mamba_ssm_dtype"] {
        if let Some(text) = text.optional_str(name)?.filter(|text| *text != "auto") {
            let wrong =
                |_| ConfigError::Wrong { field: name.to_owned(), found: text.to_owned(), expected: "an element type" };
            return text.parse().map(Some).map_err(wrong);
        }
    }
    Ok(None)
}
