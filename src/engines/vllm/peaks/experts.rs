//! Buffers of routed experts while they compute.

use super::Run;
use crate::profiles::{ExpertConstants, ExpertWorkspace};
use crate::units::Bytes;

impl Run<'_> {
    /// Buffers of the experts' kernels for T tokens that each visit k experts. MXFP4 kernels have none of these.
    pub(super) fn expert_buffers(&self, constants: &ExpertConstants) -> Bytes {
        let Some(experts) = &self.model.experts else { return Bytes::ZERO };
        let here = experts.layers.count_within(&self.stage.layers) > 0;
        if !here || self.model.quantization.as_ref().is_some_and(|q| q.method == "mxfp4") {
            return Bytes::ZERO;
        }
        let ways = self.ways().saturating_mul(u64::from(self.layout.dp.max(1)));
        let width = if self.layout.ep { experts.intermediate_size } else { experts.intermediate_size / ways };
        let hidden = self.model.hidden_size;
        // Ranks that share their experts see each other's tokens.
        let tokens =
            self.scheduler.batched_tokens.saturating_mul(if self.layout.ep { u64::from(self.layout.dp) } else { 1 });
        let sized =
            |tokens: u64, width: u64| self.dtype.size(tokens.saturating_mul(experts.per_token).saturating_mul(width));
        let (chunk, gate_up) = (tokens.min(constants.chunk), width.saturating_mul(2));
        match constants.workspace {
            ExpertWorkspace::Separate => sized(chunk, gate_up) + sized(chunk, width) + sized(chunk, hidden),
            ExpertWorkspace::Chunked => sized(chunk, gate_up.max(hidden)) + sized(chunk, width),
            ExpertWorkspace::Kept => sized(tokens, width.max(hidden)) + sized(tokens, gate_up.max(hidden)),
        }
    }
}
