//! 8-bit floats with scales of their own methods: DeepSeek's blocks, one scale a tensor, FBGEMM's rows.

use super::{Draft, Names, Rule, block, blocked, ungrouped};
use crate::model::config::{ConfigError, Fields};
use crate::model::storage::quantization::Scheme;
use crate::model::storage::resolve::Units;
use crate::model::storage::shape::Format;
use crate::profiles::Condition;

/// `fp8`: blocks where `weight_block_size` says so, else one scale a tensor (vLLM 0.11.2 `fp8.py`, `Fp8Config`).
pub(super) fn fp8(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let scheme = match block(quant, "weight_block_size")? {
        Some(block) => blocked("fp8-block", block)?,
        None => {
            let fixed = quant.optional_str("activation_scheme")? == Some("static");
            ungrouped("fp8-tensor", 8, if fixed { vec![Condition::StaticInput] } else { Vec::new() })?
        }
    };
    let mut kept = quant.strings("ignored_layers")?;
    if kept.is_empty() {
        kept = quant.strings("modules_to_not_convert")?;
    }
    let mut rules = Vec::new();
    let towers = !kept.is_empty();
    if towers {
        rules.push(Rule::plain(Names::components(kept)));
    }
    Ok(Draft { schemes: vec![scheme], rules, linear: Some(0), towers, ..Draft::default() })
}

/// `fp8` of DeepSeek V4: blocks, and experts in four bits or in blocks as well (vLLM 0.25.1 `models/deepseek_v4/quant_config.py`).
pub(super) fn with_experts(quant: &Fields<'_>, experts: &str) -> Result<Draft, ConfigError> {
    // The indexer's weights of heads are built without quantisation, whatever the list says.
    let plain = || Rule::plain(Names::components(["weights_proj"]));
    if experts == "fp8" {
        let mut draft = fp8(quant)?;
        draft.rules.insert(0, plain());
        return Ok(draft);
    }
    if experts != "fp4" {
        return Err(ConfigError::UnknownQuantization(format!("fp8 with experts in {experts}")));
    }
    let size = block(quant, "weight_block_size")?.unwrap_or([128, 128]);
    let matrices = blocked("fp8-block-power", size)?;
    let four_bits = if quant.optional_str("moe_quant_algo")?.is_some_and(|a| a.eq_ignore_ascii_case("NVFP4")) {
        let units = Units { bits: 4, group: Some(16), ..Units::default() };
        let format = units.format("modelopt-nvfp4")?;
        Scheme { bits: 4, group_size: Some(16), act_order: false, symmetric: true, format }
    } else {
        ungrouped("mxfp4-matrix", 4, Vec::new())?
    };
    Ok(Draft {
        schemes: vec![matrices, four_bits],
        rules: vec![plain(), Rule::scheme(Names::components(["mlp.experts"]), 1)],
        linear: Some(0),
        ..Draft::default()
    })
}

/// `fbgemm_fp8`: one scale a row, and a bound on activations from the config.
pub(super) fn fbgemm(quant: &Fields<'_>) -> Result<Draft, ConfigError> {
    let kept = quant.strings("modules_to_not_convert")?;
    let rules = vec![Rule::plain(Names::components(kept))];
    let scheme = ungrouped("fbgemm-fp8", 8, Vec::new())?;
    Ok(Draft { schemes: vec![scheme], rules, linear: Some(0), towers: true, ..Draft::default() })
}

/// `--quantization fp8` on plain weights: one scale a tensor, all matrices but the head.
pub(super) fn while_loading() -> Result<Draft, ConfigError> {
    // Matrices are built plain, and quantised once they are filled.
    let format = Format::plain();
    let scheme = Scheme { bits: 8, group_size: None, act_order: false, symmetric: true, format };
    Ok(Draft {
        method: "fp8".to_owned(),
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
    fn blocks_or_one_scale() {
        let names = |config: serde_json::Value| {
            let q = fp8(&Fields::new(&config).unwrap()).unwrap();
            q.schemes[0].format.in_files().map(|t| (t.name.clone(), t.shape(7168, 576))).collect::<Vec<_>>()
        };
        assert_eq!(
            names(json!({"activation_scheme": "dynamic", "weight_block_size": [128, 128]})),
            [("weight".to_owned(), vec![576, 7168]), ("weight_scale_inv".to_owned(), vec![5, 56])]
        );
        assert_eq!(
            names(json!({"activation_scheme": "static"})),
            [
                ("weight".to_owned(), vec![576, 7168]),
                ("weight_scale".to_owned(), vec![1]),
                ("input_scale".to_owned(), vec![1])
            ]
        );
        assert_eq!(names(json!({"activation_scheme": "dynamic"})).len(), 2);
    }
}
