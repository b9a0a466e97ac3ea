//! Any words at all: no panic, and what is written reads back the same.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::engines::Settings;

/// Pieces of commands, likely to meet in telling ways.
const PIECES: &[&str] = &[
    "vllm",
    "serve",
    "bench",
    "throughput",
    "python3",
    "-m",
    "vllm.entrypoints.openai.api_server",
    "docker",
    "run",
    "exec",
    "bash",
    "-c",
    "--entrypoint",
    "--gpus",
    "all",
    "-e",
    "A=b",
    "CUDA_VISIBLE_DEVICES=0,1",
    "sudo",
    "-u",
    "env",
    "nohup",
    "uv",
    "numactl",
    "taskset",
    "vllm/vllm-openai:v0.11.2",
    "Qwen/Qwen3-8B",
    "--model",
    "m",
    "-tp",
    "4",
    "--tensor-parallel-size=2",
    "--max-model-len",
    "auto",
    "-1",
    "8k",
    "-O3",
    "-O",
    "-O.level",
    "-cc.mode=3",
    "-cc.a+",
    "1,2",
    "--hf-overrides",
    "{\"a\": 1}",
    "--cuda-graph-sizes",
    "1",
    "--config",
    "x.yaml",
    "--no-enable-prefix-caching",
    "--enforce-eager",
    "true",
    "--unknown",
    "--",
    "-",
    "--=",
    "--.",
    "-.",
    "--no-",
    "-q",
    "-qawq",
    "'",
    "\"",
    "$X",
    "${X:-3}",
    "$(x)",
    "it's",
    "",
    " ",
    "\\",
    "\n",
    "#",
    ";",
    "&&",
    "|",
    ">",
    "2>&1",
    "<",
    "(",
    ")",
    "é",
    "١",
    "`",
    "--é",
    "-é",
    "vllm serve m -tp 2",
    "device=0,1",
    "-itd",
    "-eA=b",
    "--a.b.c.d",
    "--limit-mm-per-prompt",
    "image=4",
    "None",
    "0.5",
    "--gpu-memory-utilization",
    "99999999999999999999999",
    "-dp",
    "--swap-space",
];

fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "-{0,3}[a-zO_.+=-]{0,16}",
    ];
    prop::collection::vec(piece, 0..16)
}

/// A command that is read for certain, with some flags.
fn commands() -> impl Strategy<Value = Vec<String>> {
    let flag = prop_oneof![
        (1_u32..64).prop_map(|n| vec!["-tp".to_owned(), n.to_string()]),
        (1_u32..64).prop_map(|n| vec![format!("--pipeline_parallel_size={n}")]),
        (1_u64..1 << 40).prop_map(|n| vec!["--max-model-len".to_owned(), n.to_string()]),
        Just(vec!["--enforce-eager".to_owned()]),
        Just(vec!["--no-enable-prefix-caching".to_owned()]),
        "[^-]\\PC{0,12}".prop_map(|text| vec!["--chat-template".to_owned(), text]),
        "\\PC{1,12}".prop_map(|text| vec![format!("--revision={text}")]),
        "[a-z]{1,6}".prop_map(|key| vec![format!("-cc.{key}"), "3".to_owned()]),
        prop::collection::vec(1_u32..512, 1..4).prop_map(|sizes| std::iter::once("--cuda-graph-sizes".to_owned())
            .chain(sizes.iter().map(u32::to_string))
            .collect()),
    ];
    let front = prop_oneof![
        Just(vec!["vllm", "serve", "m"]),
        Just(vec!["A=b c", "sudo", "-E", "vllm", "serve", "m"]),
        Just(vec![
            "docker",
            "run",
            "-e",
            "A=b c",
            "--gpus",
            "\"device=0,1\"",
            "vllm/vllm-openai:v0.11.2",
            "--model",
            "m"
        ]),
        Just(vec!["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "m"]),
    ];
    (front, prop::collection::vec(flag, 0..6))
        .prop_map(|(front, flags)| front.into_iter().map(str::to_owned).chain(flags.into_iter().flatten()).collect())
}

fn same(a: &Invocation, b: &Invocation) -> bool {
    facts(a) == facts(b) && a.environment == b.environment && a.mounts == b.mounts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(words in pieces()) {
        let _ = read_words(&words);
        let _ = read_text(&words.join(" "));
        let _ = read_text(&words.concat());
        let command: Vec<String> = ["vllm", "serve"].map(String::from).into_iter().chain(words).collect();
        if let Ok(invocation) = read_words(&command) {
            let _ = invocation.template.with_changes(&[("tensor-parallel-size", "4"), ("compilation-config", "{}"), ("é", "")]);
            let _ = invocation.model_on_host();
        }
    }

    #[test]
    fn text_reads_back(words in pieces()) {
        for read in [read_words(&words), read_text(&words.join(" "))].into_iter().flatten() {
            let text = read.template.render();
            let again = read_text(&text);
            prop_assert!(again.as_ref().is_ok_and(|again| same(again, &read)), "{text}\n{again:?}\n{read:?}");
        }
    }

    #[test]
    fn commands_read_back_and_change(words in commands(), tp in 1_u32..64) {
        let read = read_words(&words);
        prop_assert!(read.is_ok(), "{words:?} {read:?}");
        let Ok(read) = read else { return Ok(()) };
        let again = read_text(&read.template.render());
        prop_assert!(again.as_ref().is_ok_and(|again| same(again, &read)), "{again:?}");

        let changed = read_text(&read.template.with_changes(&[("tensor-parallel-size", &tp.to_string()), ("enforce-eager", "false")]));
        let mut expected = read.settings.clone();
        expected.overlay(Settings { tensor_parallel: Some(tp), enforce_eager: Some(false), ..Settings::default() });
        prop_assert_eq!(changed.map(|c| c.settings), Ok(expected));
    }
}

#[test]
fn long_input_takes_no_long_time() {
    for piece in ["\n", "$(", "(", "'a' ", "--x ", "A=b;", "-cc.a=1 ", "${X:-", "vllm ", "docker run ", "bash -c "] {
        let text = format!("vllm serve m {}", piece.repeat(4_000));
        let _ = read_text(&text);
        let _ = read_text(&piece.repeat(4_000));
    }
}
