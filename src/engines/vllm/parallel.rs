//! Parallelism beyond ranks and stages: experts that are kept twice, and tokens of one sequence that lie on several ranks.

use serde_json::Value;

use super::options::{count, raw, switch};
use crate::engines::{EngineError, Settings};
use crate::model::{LayerCache, Model};
use crate::sharding::Layout;

/// Most copies that are taken.
const MOST: u64 = 1 << 16;

fn refused(message: String, hint: &str) -> EngineError {
    EngineError::Refused { message, hint: Some(hint.to_owned()) }
}

/// Experts that all ranks together keep beside one of each (`--eplb-config`, before it `--num-redundant-experts`).
///
/// # Errors
/// When there are copies without load balancing, or experts that do not spread evenly (`layers/fused_moe/layer.py`, `FusedMoE.__init__`).
pub fn redundant_experts(settings: &Settings, model: &Model, layout: Layout) -> Result<u32, EngineError> {
    let Some(experts) = model.experts.as_ref().filter(|_| layout.ep) else { return Ok(0) };
    let stated = match raw(settings, "eplb-config") {
        None => count(settings, "num-redundant-experts", 0, MOST)?,
        Some(text) => {
            let wrong = || EngineError::Setting {
                flag: "eplb-config",
                value: text.to_owned(),
                expected: format!("must be a JSON object whose `num_redundant_experts` is a whole number up to {MOST}"),
            };
            let config = serde_json::from_str::<Value>(text).ok().filter(Value::is_object).ok_or_else(wrong)?;
            match config.get("num_redundant_experts") {
                None | Some(Value::Null) => 0,
                Some(value) => value.as_u64().filter(|n| *n <= MOST).ok_or_else(wrong)?,
            }
        }
    };
    if !switch(settings, "enable-eplb") {
        return match stated {
            0 => Ok(0),
            _ => Err(refused("Redundant experts are only supported with EPLB.".to_owned(), "add `--enable-eplb`")),
        };
    }
    let ranks = u64::from(layout.tp).saturating_mul(u64::from(layout.dp)).max(1);
    let all = experts.count.saturating_add(stated);
    if !all.is_multiple_of(ranks) {
        let more = all.next_multiple_of(ranks) - experts.count;
        return Err(refused(
            "EPLB currently only supports even distribution of experts across ranks.".to_owned(),
            &format!("{more} redundant experts spread evenly over {ranks} ranks"),
        ));
    }
    Ok(u32::try_from(stated).unwrap_or(0))
}

/// Ranks that share the tokens of a sequence while it is decoded (`--decode-context-parallel-size`).
///
/// # Errors
/// When heads or ranks do not allow it (`config/model.py`, `verify_with_parallel_config`).
pub fn context_ranks(settings: &Settings, model: &Model, layout: Layout) -> Result<u64, EngineError> {
    let ranks = count(settings, "decode-context-parallel-size", 1, 4096)?.max(1);
    if ranks == 1 {
        return Ok(1);
    }
    let (tp, heads) = (u64::from(layout.tp), model.kv_heads.max(1));
    if !tp.is_multiple_of(ranks) {
        return Err(refused(
            format!("tp_size={tp} must be divisible by dcp_size={ranks}."),
            "a divisor of `--tensor-parallel-size` divides it",
        ));
    }
    if model.caches.iter().any(|group| matches!(group.cache, LayerCache::Latent { .. })) {
        return Ok(ranks);
    }
    if tp <= heads {
        return Err(refused(
            format!(
                "tensor parallel size {tp} must be greater than total num kv heads {heads} when enable decode context \
                 parallel for GQA/MQA"
            ),
            "leave `--decode-context-parallel-size` out: no rank repeats another's key/value heads",
        ));
    }
    let most = tp / heads;
    if ranks > most {
        return Err(refused(
            format!(
                "decode context parallel size must less than or equal to (tensor parallel size {tp} // total num kv heads \
                 {heads}) = {most}, but got {ranks}"
            ),
            &format!("`--decode-context-parallel-size {most}` is the most here"),
        ));
    }
    let queries = model.attention_heads / heads;
    if !queries.is_multiple_of(ranks) {
        return Err(refused(
            format!(
                "Total number of q per kv attn heads ({queries}) must be divisible by dcp world size when enable decode \
                 context parallel for GQA ({ranks})."
            ),
            "a divisor of the query heads of one key/value head divides it",
        ));
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::models::built_in_model;

    fn model(id: &str) -> Model {
        let profile = built_in_model(id).unwrap();
        Model::from_config(&serde_json::from_str(profile.config).unwrap(), None).unwrap()
    }

    fn settings(flags: &[(&str, &str)]) -> Settings {
        let engine_flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings { engine_flags, ..Settings::default() }
    }

    #[test]
    fn copies_of_experts_need_balancing_and_an_even_spread() {
        let deepseek = model("deepseek-ai/DeepSeek-V3");
        let layout = Layout { tp: 8, pp: 1, dp: 4, ep: true };
        let of = |flags: &[(&str, &str)], layout| redundant_experts(&settings(flags), &deepseek, layout);
        let copies = ("eplb-config", r#"{"num_redundant_experts": 32}"#);
        assert_eq!(of(&[copies, ("enable-eplb", "true")], layout), Ok(32));
        assert_eq!(of(&[("num-redundant-experts", "32"), ("enable-eplb", "true")], layout), Ok(32));
        assert!(of(&[copies], layout).unwrap_err().to_string().contains("only supported with EPLB"));
        let uneven = of(&[("num-redundant-experts", "3"), ("enable-eplb", "true")], layout);
        assert!(matches!(uneven, Err(EngineError::Refused { hint: Some(hint), .. }) if hint.starts_with("32 ")));
        // Sliced experts have no copies.
        assert_eq!(of(&[copies], Layout { ep: false, ..layout }), Ok(0));
        assert!(of(&[("eplb-config", "32")], layout).is_err());
    }

    #[test]
    fn ranks_share_tokens_only_where_heads_repeat() {
        let of = |id: &str, tp, ranks: &str| {
            let layout = Layout { tp, pp: 1, dp: 1, ep: false };
            let result = context_ranks(&settings(&[("decode-context-parallel-size", ranks)]), &model(id), layout);
            result.map_err(|error| error.to_string())
        };
        assert_eq!(of("deepseek-ai/DeepSeek-V3", 8, "8"), Ok(8));
        assert_eq!(of("Qwen/Qwen3-235B-A22B", 8, "2"), Ok(2));
        assert!(of("Qwen/Qwen3-235B-A22B", 4, "2").unwrap_err().contains("must be greater than total num kv heads 4"));
        assert!(of("Qwen/Qwen3-235B-A22B", 8, "4").unwrap_err().contains("= 2, but got 4"));
        assert!(of("deepseek-ai/DeepSeek-V3", 8, "3").unwrap_err().contains("must be divisible by dcp_size=3"));
    }
}
