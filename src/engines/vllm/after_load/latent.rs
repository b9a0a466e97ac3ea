//! Latent attention: what is absorbed into queries and outputs.

use super::{Built, Kernels, Tally, signed};
use crate::units::DType;

/// The matrix that unfolds the latent vector is brought back to the model's element type and kept beside the quantised one, of which a plain
/// one would be a view (`v1/attention/backends/mla/common.py`, `MLACommonImpl.process_weights_after_loading`).
pub(super) fn absorb(kernels: &Kernels<'_>, module: &Built<'_>, tally: &mut Tally) {
    let Some(weight) = module.tensor("weight").or_else(|| module.tensor("qweight")) else { return };
    if !weight.name.contains(".kv_b_proj.") || weight.dtype.bits() > 8 && weight.dtype != DType::I32 {
        return;
    }
    let bits = if weight.dtype == DType::F8_E4M3 { 8 } else { kernels.quantization.bits.max(1) };
    let elements = signed(weight.bytes_each()) * 8 / i128::from(bits);
    // 16 bits wherever these kernels run.
    tally.add("absorbed keys and values of latent attention", weight, elements * 2);
}
