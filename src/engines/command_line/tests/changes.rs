//! Commands written again with other flags.

use super::*;

/// A command, changes by flag, and the command that comes out.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn flags_change_in_their_place() {
    let cases: &[Case] = &[
        ("vllm serve m", &[("tensor-parallel-size", "4")], "vllm serve m --tensor-parallel-size 4"),
        ("vllm serve m -tp 2 --port 1", &[("tensor-parallel-size", "4")], "vllm serve m -tp 4 --port 1"),
        (
            "vllm serve m --tensor_parallel_size=2 --port 1",
            &[("tensor_parallel_size", "4")],
            "vllm serve m --tensor_parallel_size=4 --port 1",
        ),
        ("vllm serve m --max-num-seq 64", &[("max-num-seqs", "8")], "vllm serve m --max-num-seq 8"),
        ("vllm serve m -tp 1 -tp 2", &[("tensor-parallel-size", "4")], "vllm serve m -tp 1 -tp 4"),
        (
            "vllm serve 'my model' > log 2>&1 &",
            &[("max-model-len", "4096")],
            "vllm serve 'my model' --max-model-len 4096 > log 2>&1 &",
        ),
        ("TP=2; vllm serve $M -tp ${TP}", &[("max-num-seqs", "8")], "TP=2 ; vllm serve $M -tp ${TP} --max-num-seqs 8"),
        (
            "vllm serve m",
            &[("enforce-eager", "true"), ("enable-prefix-caching", "false")],
            "vllm serve m --enforce-eager --no-enable-prefix-caching",
        ),
        (
            "vllm serve m -ep --port 1",
            &[("enable-expert-parallel", "false")],
            "vllm serve m --no-enable-expert-parallel --port 1",
        ),
        (
            "vllm serve m --no-enable-chunked-prefill",
            &[("enable-chunked-prefill", "true")],
            "vllm serve m --enable-chunked-prefill",
        ),
        (
            "vllm serve m --enforce-eager --port 1",
            &[("enforce-eager", "true")],
            "vllm serve m --enforce-eager --port 1",
        ),
        (
            "vllm serve m --cuda-graph-sizes 1 2 4 --port 1",
            &[("cuda-graph-sizes", "1 2")],
            "vllm serve m --cuda-graph-sizes 1 2 --port 1",
        ),
        (
            "vllm serve m -cc.mode 3 --port 1",
            &[("compilation-config", r#"{"mode": 0}"#)],
            r#"vllm serve m --port 1 --compilation-config '{"mode": 0}'"#,
        ),
        ("vllm serve m -- extra", &[("max-num-seqs", "8")], "vllm serve m --max-num-seqs 8 -- extra"),
        (
            "docker run --gpus all -e X='a b' vllm/vllm-openai:v0.11.2 --model m",
            &[("tensor-parallel-size", "4")],
            "docker run --gpus all -e X='a b' vllm/vllm-openai:v0.11.2 --model m --tensor-parallel-size 4",
        ),
        ("docker run vllm/vllm-openai", &[("max-num-seqs", "8")], "docker run vllm/vllm-openai --max-num-seqs 8"),
        (
            "bash -c \"cd /x && vllm serve 'a b' -tp 2\"",
            &[("tensor-parallel-size", "4")],
            r"bash -c 'cd /x && vllm serve '\''a b'\'' -tp 4'",
        ),
        (
            "cd /x && vllm serve m -tp 2; echo done",
            &[("tensor-parallel-size", "4")],
            "cd /x && vllm serve m -tp 4 ; echo done",
        ),
    ];
    for (text, changes, expected) in cases {
        let template = read_text(text).unwrap().template;
        assert_eq!(template.with_changes(changes), *expected, "{text}");
    }
}

#[test]
fn words_are_quoted_where_a_shell_needs_it() {
    let words = ["A=b c", "vllm", "serve", "m", "--hf-overrides", r#"{"a": 1}"#].map(String::from);
    let invocation = read_words(&words).unwrap();
    assert_eq!(invocation.template.render(), r#"A='b c' vllm serve m --hf-overrides '{"a": 1}'"#);
    assert_eq!(invocation.environment["A"], "b c");
}
