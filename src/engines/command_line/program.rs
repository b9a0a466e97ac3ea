//! Which engine a command starts, and in which of its ways.

use super::CommandError;
use super::container::image_parts;
use super::front::basename;
use crate::engines::vllm::flags::Program;

/// How a program of vLLM takes its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelFrom {
    /// First word that is no flag, or `--model`.
    Positional,
    /// `--model` alone.
    Flag,
}

/// A recognised start of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// A program of vLLM that loads a model.
    Vllm {
        /// Which one.
        program: Program,
        /// Where the model stands.
        model: ModelFrom,
        /// Said when the program has default batch sizes of its own.
        own_defaults: Option<&'static str>,
        /// Words of the program's name.
        length: usize,
    },
    /// Another engine.
    Other {
        /// Its name for people.
        engine: &'static str,
        /// Words of the program's name.
        length: usize,
    },
    /// A program of an engine that loads nothing.
    Nothing(String),
    /// A program of vLLM that is not read.
    Unread(String),
}

const fn vllm(program: Program, model: ModelFrom, own_defaults: Option<&'static str>, length: usize) -> Start {
    Start::Vllm { program, model, own_defaults, length }
}

/// Other engines by their programs.
const PROGRAMS: &[(&str, &str)] = &[
    ("sglang", "SGLang"),
    ("sglang-launch-server", "SGLang"),
    ("lmdeploy", "LMDeploy"),
    ("trtllm-serve", "TensorRT-LLM"),
    ("trtllm-build", "TensorRT-LLM"),
    ("trtllm-bench", "TensorRT-LLM"),
    ("llama-server", "llama.cpp"),
    ("llama-cli", "llama.cpp"),
    ("llama-run", "llama.cpp"),
    ("llama-bench", "llama.cpp"),
    ("openllm", "OpenLLM"),
    ("text-generation-launcher", "text-generation-inference"),
    ("text-generation-server", "text-generation-inference"),
    ("ollama", "Ollama"),
    ("tritonserver", "Triton"),
    ("aphrodite", "Aphrodite"),
    ("mlc_llm", "MLC LLM"),
    ("xinference", "Xinference"),
    ("xinference-local", "Xinference"),
    ("koboldcpp", "KoboldCpp"),
    ("tgi", "text-generation-inference"),
];

/// Other engines by the package of a Python module.
const MODULES: &[(&str, &str)] = &[
    ("sglang", "SGLang"),
    ("lmdeploy", "LMDeploy"),
    ("tensorrt_llm", "TensorRT-LLM"),
    ("llama_cpp", "llama.cpp"),
    ("openllm", "OpenLLM"),
    ("text_generation_server", "text-generation-inference"),
    ("aphrodite", "Aphrodite"),
    ("mlc_llm", "MLC LLM"),
    ("fastchat", "FastChat"),
];

/// Other engines by a part of their image's name.
const IMAGES: &[(&str, &str)] = &[
    ("sglang", "SGLang"),
    ("lmdeploy", "LMDeploy"),
    ("tensorrt-llm", "TensorRT-LLM"),
    ("trtllm", "TensorRT-LLM"),
    ("text-generation-inference", "text-generation-inference"),
    ("llama.cpp", "llama.cpp"),
    ("ollama", "Ollama"),
    ("openllm", "OpenLLM"),
    ("tritonserver", "Triton"),
    ("xinference", "Xinference"),
];

/// The engine that the first of `words` starts; `None` for any other program.
pub(super) fn recognise(words: &[&str]) -> Option<Start> {
    let program = basename(words.first()?);
    if program == "vllm" {
        return Some(vllm_program(&words[1..], 1));
    }
    if is_python(program) || program == "uv" {
        return python(words);
    }
    // `-m` alone is left of `uv run -m vllm…`.
    if program == "-m" || program == "--module" {
        return module(words.get(1)?, &words[2..], 2);
    }
    if let Some(start) = script(program, 1) {
        return Some(start);
    }
    let program = program.strip_suffix(".exe").unwrap_or(program);
    PROGRAMS.iter().find(|(name, _)| *name == program).map(|(_, engine)| Start::Other { engine, length: 1 })
}

/// `vllm SUBCOMMAND …`; `before` words precede the subcommand.
fn vllm_program(words: &[&str], before: usize) -> Start {
    let named =
        |n: usize| format!("vllm {}", words.iter().take(n).copied().collect::<Vec<_>>().join(" ")).trim().to_owned();
    match words {
        ["serve", ..] => vllm(Program::Server, ModelFrom::Positional, None, before + 1),
        ["run-batch", ..] => vllm(Program::Batch, ModelFrom::Flag, Some("vllm run-batch"), before + 1),
        ["bench", "latency" | "throughput" | "startup" | "mm-processor", ..] => {
            vllm(Program::Bench, ModelFrom::Flag, None, before + 2)
        }
        ["bench", "serve", ..] => Start::Nothing(named(2)),
        ["chat" | "complete" | "collect-env" | "launch" | "download-kernels" | "preload", ..] => {
            Start::Nothing(named(1))
        }
        ["bench", ..] => Start::Unread(named(2)),
        _ => Start::Unread(named(1)),
    }
}

fn is_python(program: &str) -> bool {
    program
        .strip_prefix("python")
        .or_else(|| program.strip_prefix("pypy"))
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

/// `python3.12 -u -m MODULE …` and `python SCRIPT …`.
fn python(words: &[&str]) -> Option<Start> {
    let mut at = 1;
    while let Some(&word) = words.get(at) {
        match word {
            "-m" => return module(words.get(at + 1)?, &words[(at + 2).min(words.len())..], at + 2),
            "-W" | "-X" => at += 2,
            "-c" => return None,
            word if word.starts_with("-m") => return module(&word[2..], &words[at + 1..], at + 1),
            word if word.starts_with('-') => at += 1,
            word => return script(basename(word), at + 1),
        }
    }
    None
}

fn module(module: &str, rest: &[&str], length: usize) -> Option<Start> {
    Some(match module {
        "vllm.entrypoints.openai.api_server" => vllm(Program::Server, ModelFrom::Flag, None, length),
        // It starts with the usage context of no known front end.
        "vllm.entrypoints.api_server" => {
            vllm(Program::Server, ModelFrom::Flag, Some("vllm.entrypoints.api_server"), length)
        }
        "vllm.entrypoints.openai.run_batch" => {
            vllm(Program::Batch, ModelFrom::Flag, Some("vllm.entrypoints.openai.run_batch"), length)
        }
        "vllm.entrypoints.cli.main" | "vllm.scripts" | "vllm" => vllm_program(rest, length),
        _ => {
            let package = module.split('.').next().unwrap_or_default();
            let (_, engine) = MODULES.iter().find(|(name, _)| *name == package)?;
            Start::Other { engine, length }
        }
    })
}

/// The benchmark scripts of vLLM's repository, and its server module run as a file.
fn script(name: &str, length: usize) -> Option<Start> {
    match name {
        "benchmark_throughput.py" | "benchmark_latency.py" => Some(vllm(Program::Bench, ModelFrom::Flag, None, length)),
        "api_server.py" => Some(vllm(Program::Server, ModelFrom::Flag, None, length)),
        _ => None,
    }
}

/// The engine that an image starts by itself, from its name.
pub(super) fn of_image(image: &str) -> Option<Start> {
    let (name, _) = image_parts(image);
    if let Some((_, engine)) = IMAGES.iter().find(|(part, _)| name.contains(part)) {
        return Some(Start::Other { engine, length: 0 });
    }
    basename(name).contains("vllm").then(|| vllm(Program::Server, ModelFrom::Positional, None, 0))
}

/// The engine's version from the tag of its official image (`v0.11.2`, `v0.11.2-cu129`). Tags of other images count something else.
pub(super) fn version_of_image(image: &str) -> Option<String> {
    let (name, tag) = image_parts(image);
    let official = basename(name).starts_with("vllm-openai") || name.ends_with("vllm/vllm-tpu");
    let number = tag?.strip_prefix('v').unwrap_or(tag?);
    let number = number.split(['-', '+', '_']).next()?;
    let parts = number.split('.').take_while(|p| p.starts_with(|c: char| c.is_ascii_digit())).count();
    (official && parts >= 2).then(|| number.to_owned())
}

/// The error for a program that is no engine, or none that is modelled.
pub(super) fn refusal(start: Option<Start>, program: &str) -> CommandError {
    match start {
        Some(Start::Other { engine, .. }) => CommandError::NotModelled { engine },
        Some(Start::Nothing(command)) => CommandError::StartsNoEngine { command },
        Some(Start::Unread(program)) => CommandError::UnknownProgram { program },
        Some(Start::Vllm { .. }) | None => CommandError::UnknownProgram { program: program.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> Option<Start> {
        recognise(&text.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn programs_of_vllm() {
        use ModelFrom::{Flag, Positional};
        for (text, program, model, length) in [
            ("vllm serve X", Program::Server, Positional, 2),
            ("/opt/venv/bin/vllm serve X", Program::Server, Positional, 2),
            ("vllm bench throughput --model X", Program::Bench, Flag, 3),
            ("vllm run-batch -i x", Program::Batch, Flag, 2),
            ("python -m vllm.entrypoints.openai.api_server --model X", Program::Server, Flag, 3),
            ("python3.12 -u -X dev -m vllm.entrypoints.openai.api_server", Program::Server, Flag, 6),
            ("python3 -mvllm.entrypoints.openai.api_server", Program::Server, Flag, 2),
            ("python3 -m vllm.entrypoints.cli.main serve X", Program::Server, Positional, 4),
            ("python benchmarks/benchmark_throughput.py --model X", Program::Bench, Flag, 2),
        ] {
            let Some(Start::Vllm { program: p, model: m, length: l, .. }) = start(text) else { panic!("{text}") };
            assert_eq!((p, m, l), (program, model, length), "{text}");
        }
    }

    #[test]
    fn other_programs() {
        for (text, engine) in [
            ("python -m sglang.launch_server --model-path X", "SGLang"),
            ("lmdeploy serve api_server X", "LMDeploy"),
            ("trtllm-serve X", "TensorRT-LLM"),
            ("./build/bin/llama-server -m X", "llama.cpp"),
            ("openllm serve X", "OpenLLM"),
            ("text-generation-launcher --model-id X", "text-generation-inference"),
            ("ollama run X", "Ollama"),
        ] {
            assert!(matches!(start(text), Some(Start::Other { engine: e, .. }) if e == engine), "{text}");
        }
        for text in ["vllm bench serve", "vllm chat", "vllm collect-env"] {
            assert_eq!(start(text), Some(Start::Nothing(text.to_owned())));
        }
        for text in ["vllm bench sweep", "vllm bench", "vllm", "vllm sevre"] {
            assert_eq!(start(text), Some(Start::Unread(text.to_owned())));
        }
        for text in [
            "python train.py",
            "python -c x",
            "python",
            "ls",
            "pythonista -m vllm",
            "python -m",
            "python -m http.server",
        ] {
            assert_eq!(start(text), None, "{text}");
        }
    }

    #[test]
    fn images_name_engines_and_versions() {
        for (image, version) in [
            ("vllm/vllm-openai:v0.11.2", Some("0.11.2")),
            ("vllm/vllm-openai:v0.11.2-cu129", Some("0.11.2")),
            ("vllm/vllm-openai:v0.6.3.post1", Some("0.6.3.post1")),
            ("docker.io/vllm/vllm-openai:v0.11.1rc3", Some("0.11.1rc3")),
            ("vllm/vllm-openai:latest", None),
            ("vllm/vllm-openai", None),
            ("vllm/vllm-openai:nightly", None),
            ("nvcr.io/nvidia/vllm:25.09-py3", None),
        ] {
            assert_eq!(version_of_image(image).as_deref(), version, "{image}");
            assert!(matches!(of_image(image), Some(Start::Vllm { .. })), "{image}");
        }
        assert_eq!(of_image("lmsysorg/sglang:latest"), Some(Start::Other { engine: "SGLang", length: 0 }));
        assert_eq!(of_image("ubuntu:22.04"), None);
    }
}
