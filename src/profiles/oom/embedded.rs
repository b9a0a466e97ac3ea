//! The pattern files built in: one line a file of `profiles/oom/`.

macro_rules! embedded {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/oom/", $file)))),*]
    };
}

/// (file, text) of each.
pub(super) const FILES: &[(&str, &str)] = embedded![
    "pytorch.toml",
    "vllm.toml",
    "sglang.toml",
    "lmdeploy.toml",
    "tensorrt-llm.toml",
    "llamacpp.toml",
    "transformers.toml",
    "others.toml",
    "nccl.toml",
    "host.toml",
    "frames.toml",
];
