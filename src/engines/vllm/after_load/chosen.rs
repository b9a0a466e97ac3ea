//! `--quantization`: what vLLM is told to do to plain weights, or what it is told that a checkpoint is.

use std::borrow::Cow;

use crate::engines::{EngineError, Settings};
use crate::model::{ConfigError, Model};

/// Names of one method: kernels and formats that vLLM accepts for each other's checkpoints (`config/model.py`, `_verify_quantization`).
const SAME: &[&[&str]] = &[
    &["awq", "awq_marlin", "auto_awq", "marlin"],
    &["gptq", "gptq_marlin", "auto_gptq", "gptq_bitblas", "marlin"],
    &["auto-round", "inc", "gptq", "awq", "gptq_marlin", "awq_marlin"],
    &["fp8"],
    &["fbgemm_fp8"],
    &["compressed-tensors"],
    &["modelopt", "modelopt_fp4", "modelopt_mixed", "nvfp4"],
    &["bitsandbytes"],
    &["mxfp4"],
    &["torchao"],
    &["hqq"],
];

/// The model as the engine will have it: with the quantisation that it does while loading, where one is set.
///
/// # Errors
/// When the checkpoint is quantised by another method, or the method cannot be applied while loading.
pub fn as_chosen<'a>(model: &'a Model, settings: &Settings) -> Result<Cow<'a, Model>, EngineError> {
    let Some(chosen) = settings.quantization.as_deref().map(str::to_ascii_lowercase) else {
        return Ok(Cow::Borrowed(model));
    };
    if matches!(chosen.as_str(), "none" | "auto" | "null") {
        return Ok(Cow::Borrowed(model));
    }
    if let Some(quantization) = &model.quantization {
        let own = quantization.method.as_str();
        if own == chosen || SAME.iter().any(|names| names.contains(&own) && names.contains(&chosen.as_str())) {
            return Ok(Cow::Borrowed(model));
        }
        return Err(EngineError::Refused {
            message: format!(
                "Quantization method specified in the model config ({own}) does not match the quantization method \
                 specified in the `quantization` argument ({chosen})."
            ),
            hint: Some("leave `--quantization` out: the checkpoint says how it is stored".to_owned()),
        });
    }
    match model.quantized_while_loading(&chosen) {
        Ok(quantised) => Ok(Cow::Owned(quantised)),
        Err(ConfigError::UnknownQuantization(_)) => Err(EngineError::Refused {
            message: format!("Cannot find the config file for {chosen}: the checkpoint is not quantised."),
            hint: Some(
                "`--quantization fp8` and `--quantization bitsandbytes` quantise plain weights while loading"
                    .to_owned(),
            ),
        }),
        Err(error) => Err(EngineError::Unknown(error.to_string())),
    }
}
