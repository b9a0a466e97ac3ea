//! Quantisation methods that a release does not run, or not at every width.

use super::Release;
use crate::model::Model;
use crate::sharding::ShardError;

/// Refuses what no kernel of the release takes.
///
/// # Errors
/// When the method is not in the release's list (`layers/quantization/__init__.py`, `QUANTIZATION_METHODS`), or its kernels do not take
/// weights this wide (`awq.py`, `AWQConfig.__init__`; eight bits go to Marlin, `awq_marlin.py`, `TYPE_MAP`).
pub fn check(model: &Model, release: Release) -> Result<(), ShardError> {
    let Some(quantization) = &model.quantization else { return Ok(()) };
    let method = quantization.method.as_str();
    if release.methods_gone.contains(&method) {
        return Err(ShardError::UnknownMethod { method: method.to_owned() });
    }
    if method == "awq" && !matches!(quantization.bits, 4 | 8) {
        return Err(ShardError::Bits { method: "AWQ".to_owned(), bits: quantization.bits });
    }
    Ok(())
}
