//! The file of constants: each era states what it changes of the one before.

use std::sync::LazyLock;

use serde::Deserialize;

use super::*;

/// The file as written: eras with only what changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    engine: String,
    newest: String,
    #[serde(rename = "image", default)]
    images: Vec<ImageItem>,
    #[serde(rename = "era")]
    eras: Vec<Changes>,
}

/// What an era changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    first: String,
    exact: Vec<String>,
    v0_below: Option<u32>,
    #[serde(default)]
    lora_extra_vocabulary: u64,
    budget: Option<BudgetConstants>,
    scheduler: Option<SchedulerConstants>,
    activation: Option<ActivationConstants>,
    experts: Option<ExpertConstants>,
    non_torch: Option<NonTorchConstants>,
    communication: Option<CommunicationConstants>,
    buffers: Option<BufferConstants>,
    graphs: Option<GraphConstants>,
    words: Option<Words>,
}

impl Changes {
    /// The whole era; `None` when a group is neither here nor in the era before.
    fn over(self, before: Option<&VllmEra>) -> Option<VllmEra> {
        Some(VllmEra {
            first: self.first,
            exact: self.exact,
            v0_below: self.v0_below,
            lora_extra_vocabulary: self.lora_extra_vocabulary,
            budget: self.budget.or_else(|| before.map(|b| b.budget.clone()))?,
            scheduler: self.scheduler.or_else(|| before.map(|b| b.scheduler.clone()))?,
            activation: self.activation.or_else(|| before.map(|b| b.activation.clone()))?,
            experts: self.experts.or_else(|| before.map(|b| b.experts.clone()))?,
            non_torch: self.non_torch.or_else(|| before.map(|b| b.non_torch.clone()))?,
            communication: self.communication.or_else(|| before.map(|b| b.communication.clone()))?,
            buffers: self.buffers.or_else(|| before.map(|b| b.buffers.clone())).unwrap_or_default(),
            graphs: self.graphs.or_else(|| before.map(|b| b.graphs.clone()))?,
            words: self.words.or_else(|| before.map(|b| b.words.clone()))?,
        })
    }
}

fn read(text: &str) -> Result<VllmProfile, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    if (file.schema, file.engine.as_str()) != (1, "vllm") {
        return Err(format!("schema {} of `{}` is not schema 1 of `vllm`", file.schema, file.engine));
    }
    let mut eras: Vec<VllmEra> = Vec::new();
    for changes in file.eras {
        let first = changes.first.clone();
        let era =
            changes.over(eras.last()).ok_or_else(|| format!("era {first} lacks a group and has no era before"))?;
        eras.push(era);
    }
    Ok(VllmProfile { newest: file.newest, images: file.images, eras })
}

static VLLM: LazyLock<Result<VllmProfile, String>> =
    LazyLock::new(|| read(include_str!("../../../profiles/engines/vllm.toml")));

/// vLLM's constants, parsed once.
///
/// # Errors
/// When the embedded file is malformed, which a test rules out.
pub fn vllm_profile() -> Result<&'static VllmProfile, &'static str> {
    VLLM.as_ref().map_err(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::{Charge, read, vllm_profile};

    #[test]
    fn the_embedded_constants_parse() {
        let profile = vllm_profile().unwrap();
        assert!(profile.eras.len() >= 9);
        // A group that is left out is that of the era before.
        let era = |first: &str| profile.eras.iter().find(|e| e.first == first).unwrap();
        assert_eq!(era("0.17.0").budget, era("0.11.0").budget);
        assert_ne!(era("0.17.0").activation, era("0.11.0").activation);
        assert_eq!(era("0.21.0").budget.graphs, Charge::Budget);
    }

    #[test]
    fn a_first_era_must_be_whole() {
        let error = read("schema = 1\nengine = \"vllm\"\nnewest = \"1.0.0\"\n[[era]]\nfirst = \"1.0.0\"\nexact = []\n");
        assert!(error.unwrap_err().contains("era 1.0.0 lacks a group"));
    }
}
