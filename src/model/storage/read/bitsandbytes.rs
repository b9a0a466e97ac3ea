//! bitsandbytes: rows of 8-bit integers, or 4-bit floats in blocks of 64.

use super::{Draft, Names, Rule, ungrouped};
use crate::model::config::{ConfigError, Fields};
use crate::model::storage::quantization::Scheme;
use crate::model::storage::shape::{Axis, Dim, StoredTensor};
use crate::profiles::{Condition, Held, JointExperts};

/// Modules are left out by a component of their name (vLLM 0.11.2 `bitsandbytes.py`, `is_layer_skipped_bnb`); the head always is, as
/// Transformers does not convert it.
pub(super) fn bitsandbytes(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let eight_bit = quant.bool_or("load_in_8bit", quant.bool_or("_load_in_8bit", false)?)?;
    let scheme = if eight_bit {
        ungrouped("bitsandbytes-int8", 8, Vec::new())?
    } else {
        let nested = quant.bool_or("bnb_4bit_use_double_quant", false)?;
        ungrouped("bitsandbytes-nf4", 4, if nested { vec![Condition::NestedScales] } else { Vec::new() })?
    };
    let kept = quant.strings("llm_int8_skip_modules")?;
    let rules = vec![Rule::plain(Names::components(kept))];
    Ok(Draft { schemes: vec![scheme], rules, linear: Some(0), towers: true, ..Draft::default() })
}

/// `--quantization bitsandbytes` on plain weights: 4 bits, scales not quantised again. Files hold plain matrices.
pub(super) fn while_loading() -> Result<Draft, ConfigError> {
    let mut scheme: Scheme = ungrouped("bitsandbytes-nf4", 4, Vec::new())?;
    scheme.format.tensors.retain(|t| t.held == Held::Everywhere);
    for tensor in &mut scheme.format.tensors {
        tensor.held = Held::Engine;
    }
    scheme.format.tensors.push(StoredTensor {
        name: "weight".to_owned(),
        dtype: None,
        dims: vec![Dim::each(Axis::Output), Dim::each(Axis::Input)],
        held: Held::State,
        experts: JointExperts::Alike,
    });
    Ok(Draft {
        method: "bitsandbytes".to_owned(),
        schemes: vec![scheme],
        linear: Some(0),
        towers: true,
        at_load: true,
        stacked: true,
        ..Draft::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn four_bits_with_nested_scales() {
        let config = json!({"load_in_4bit": true, "bnb_4bit_use_double_quant": true, "llm_int8_skip_modules": null});
        let draft = bitsandbytes(&Fields::new(&config).unwrap()).unwrap();
        let bytes: u64 = draft.schemes[0]
            .format
            .tensors
            .iter()
            .map(|t| t.dtype.unwrap().bits() / 8 * t.shape(4096, 4096).iter().product::<u64>())
            .sum();
        // Half a byte a weight, a byte for 64, four bytes for 16384, and the two tables.
        let weights = 4096 * 4096;
        assert_eq!(bytes, weights / 2 + weights / 64 + weights / 16384 * 4 + 16 * 4 + 256 * 4);
    }

    #[test]
    fn plain_files_are_quantised_by_the_engine() {
        let draft = while_loading().unwrap();
        let tensors = &draft.schemes[0].format.tensors;
        let files: Vec<_> = draft.schemes[0].format.in_files().map(|t| t.shape(8, 4)).collect();
        assert_eq!(files, [vec![4, 8]]);
        assert_eq!(tensors[0].shape(8, 4), [16, 1]);
    }
}
