//! Lines as they were meant: without the colours, time stamps and names that terminals, containers and launchers put around them.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Who wrote a line, as far as its prefix tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Origin {
    pub rank: Option<u32>,
    /// The rank that a launcher put before that of the program.
    pub launched: Option<u32>,
    pub pid: Option<u32>,
}

impl Origin {
    /// Whether lines of these two may be parts of one message.
    pub(super) fn may_continue(self, first: Self) -> bool {
        let agree = |a: Option<u32>, b: Option<u32>| a.zip(b).is_none_or(|(a, b)| a == b);
        // The program names itself in the first line only, a launcher in all.
        let outer = |origin: Self| origin.launched.or(origin.rank);
        let inner = self.launched.is_none() || first.launched.is_none() || agree(self.rank, first.rank);
        agree(outer(self), outer(first)) && inner && agree(self.pid, first.pid)
    }
}

/// What stands before the words, piece by piece.
const PREFIX: &str = concat!(
    r"^(?:\s*(?:",
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    r"|\[[^\]]{0,60}\d\d:\d\d[^\]]{0,30}\]",
    r"|\([^()]{0,80}(?:pid|rank)[^()]{0,40}\)",
    r"|\[(?:rank|default)\d+\]:?",
    r"|\[pod/[^\]\s]{1,120}\]",
    r"|\[TRT-LLM\]|\[RANK \d+\]|\[[EWI]\]",
    r"|(?:stdout|stderr) [FP]",
    r"|(?:ERROR|INFO|WARNING|CRITICAL|DEBUG|WARN)\b:?",
    r"|\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?",
    r"|\[?[\w./]+\.py:\d+\]",
    r"|[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d\b",
    r"|(?:[\w.-]+ +)?[\w./@-]+\[\d+\]:",
    r"|(?:\d+\|)?[\w.-]+ +\| ",
    r"|- +[\w.]+ +- +(?:ERROR|INFO|WARNING|CRITICAL|DEBUG) +-",
    r"|\| +(?:ERROR|INFO|WARNING|CRITICAL|DEBUG) +\| +[\w.<>]+:[\w.<>]+:\d+ +-",
    r"|[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w./-]+:\d+\]",
    r"|DEBG '[^']{1,60}' std(?:out|err) output:",
    r"|>",
    // A number of a task, as `srun --label` writes it.
    r"|\d{1,5}: ",
    r"|\d+\.\d\d\.\d{3}\.\d{3} [EWIN]\b",
    r"))+\s?",
);

/// A regular expression that a test compiles.
pub(super) fn fixed(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

static PREFIXES: LazyLock<Option<Regex>> = LazyLock::new(|| fixed(PREFIX));
static RANK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    fixed(r"rank=(\d+)|\[rank(\d+)\]|\bTP(\d+)\b|Worker_TP(\d+)|Worker_DP\d+_TP(\d+)|\[RANK (\d+)\]|local_rank: (\d+)")
});
static PID: LazyLock<Option<Regex>> = LazyLock::new(|| fixed(r"pid=(\d+)"));
static TIME: LazyLock<Option<Regex>> =
    LazyLock::new(|| fixed(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?|\b\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?"));

/// A line as text: no colours, no line end, the inner text where a container or a logger wraps it as JSON.
pub(super) fn line(raw: &[u8]) -> String {
    let text = plain(raw);
    let words = without_prefix(&text).trim();
    let inner = words.starts_with('{').then(|| inner(words)).flatten();
    inner.unwrap_or(text)
}

/// A line as it stands, but for colours and line end.
pub(super) fn plain(raw: &[u8]) -> String {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    without_escapes(String::from_utf8_lossy(raw)).into_owned()
}

/// Where loggers keep the words of an entry.
const WORDS: &[&str] = &["log", "message", "msg", "MESSAGE", "text", "textPayload", "event", "body", "line"];
/// Where they keep the traceback that belongs to it.
const TRACEBACKS: &[&str] = &["exc_info", "exception", "traceback", "stack_trace", "stack", "error"];

/// The words of an entry in JSON, its traceback after them.
fn inner(entry: &str) -> Option<String> {
    let entry: serde_json::Value = serde_json::from_str(entry).ok()?;
    let text = |names: &[&str]| names.iter().find_map(|name| entry.get(name)?.as_str()).map(str::to_owned);
    let mut words = text(WORDS)?;
    if let Some(traceback) = text(TRACEBACKS) {
        words = format!("{words}\n{traceback}");
    }
    Some(without_escapes(Cow::Borrowed(words.trim_end())).into_owned())
}

/// The line without what stands before the words.
pub(super) fn without_prefix(line: &str) -> &str {
    let end = PREFIXES.as_ref().and_then(|r| r.find(line)).map_or(0, |m| m.end());
    line.get(end..).unwrap_or(line)
}

/// Who wrote the line.
pub(super) fn origin(line: &str) -> Origin {
    // Only what stands in front: the words themselves may speak of other ranks.
    let words = without_prefix(line);
    let front = line.get(..line.len() - words.len()).unwrap_or("");
    let front = if front.is_empty() { line.get(..line.len().min(48)).unwrap_or("") } else { front };
    // What stands nearest to the words is what the program itself says; launchers put theirs before it.
    let numbers = |regex: &LazyLock<Option<Regex>>| -> Vec<u32> {
        let Some(regex) = regex.as_ref() else { return Vec::new() };
        let found = regex.captures_iter(front).filter_map(|c| c.iter().skip(1).flatten().next().map(|m| m.as_str()));
        found.filter_map(|number| number.parse().ok()).collect()
    };
    let (ranks, pids) = (numbers(&RANK), numbers(&PID));
    Origin {
        rank: ranks.last().copied(),
        launched: ranks.first().copied().filter(|_| ranks.len() > 1),
        // The outermost stands before each line, also where the program names no other.
        pid: pids.first().copied(),
    }
}

/// What lines of an engine hold beside its words: package paths, names of processes and loggers.
const SPEAKERS: &[(&str, &[&str])] = &[
    ("sglang", &["sglang"]),
    ("openllm", &["openllm", "bentoml"]),
    ("vllm", &["vllm", "Vllm", "EngineCore", "VLLM"]),
    ("lmdeploy", &["lmdeploy", "[TM]", "turbomind"]),
    ("tensorrt-llm", &["tensorrt_llm", "[TensorRT-LLM]", "[TRT-LLM]"]),
    ("tgi", &["text_generation", "lorax"]),
    ("ollama", &["ollama"]),
    ("llama.cpp", &["llama_", "ggml_"]),
    ("transformers", &["/transformers/", "/accelerate/"]),
];

/// The engine that wrote a line, by its prefix and paths.
pub(super) fn speaker(line: &str) -> Option<&'static str> {
    SPEAKERS.iter().find(|(_, words)| words.iter().any(|w| line.contains(w))).map(|(engine, _)| *engine)
}

/// The time stamp, as printed.
pub(super) fn time(line: &str) -> Option<String> {
    Some(TIME.as_ref()?.find(line)?.as_str().to_owned())
}

/// Without the escape sequences of terminals, and with the last state of lines that were drawn over.
fn without_escapes(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\r', '\u{9b}']) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    skip_sequence(&mut chars);
                }
                Some(']') => {
                    // A title or link: up to the bell or the string terminator.
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {
                    chars.next();
                }
            },
            '\u{9b}' => skip_sequence(&mut chars),
            '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Up to the final byte of a control sequence.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    for c in chars.by_ref() {
        if ('\u{40}'..='\u{7e}').contains(&c) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expressions_compile() {
        assert!(PREFIXES.is_some() && RANK.is_some() && PID.is_some() && TIME.is_some());
    }

    #[test]
    fn wrappings_come_off() {
        for (raw, text) in [
            (
                "\u{1b}[1;36m(EngineCore_0 pid=7)\u{1b}[0;0m ERROR 09-03 11:03:37 [core.py:712] ValueError: x\r\n",
                "ValueError: x",
            ),
            ("[rank0]: torch.OutOfMemoryError: y\n", "torch.OutOfMemoryError: y"),
            ("2024-06-28T06:11:52.685300953Z stderr F (LLMRayActor pid=20770) INFO 06-28 06:11:45 a.py:45] z", "z"),
            ("Jan 17 16:39:29 quorra ollama[4173706]: w", "w"),
            ("vllm-1  | v", "v"),
            ("[2025-07-07 19:00:30 DP4 TP4] u", "u"),
            ("vllm | 2024-06-28 06:11:52.685 | ERROR    | a.b:load:417 - r", "r"),
            ("2024-06-28 06:11:52,685 - server - ERROR - q", "q"),
            ("[pod/llm-7d9f/main] E0628 06:11:52.685300 41371 engine.py:417] p", "p"),
            ("2024-11-21T18:00:01.123456+0000 node-3 python3[41371]: > 0: o", "o"),
            ("[default3]:n", "n"),
            ("2024-06-28T06:11:52Z stderr F {\"level\":\"ERROR\",\"message\":\"m\"}", "m"),
            ("{\"msg\":\"l\",\"exc_info\":\"k\"}", "l\nk"),
            ("{\"other\": 1}", "{\"other\": 1}"),
            ("{\"log\":\"t\\n\",\"stream\":\"stderr\",\"time\":\"2024-06-28T06:11:52Z\"}\n", "t"),
            ("1.06.520.077 E s", "s"),
            ("plain words", "plain words"),
        ] {
            assert_eq!(without_prefix(&line(raw.as_bytes())), text);
        }
        assert_eq!(line(b"a\xffb\n"), "a\u{fffd}b");
    }

    #[test]
    fn ranks_are_those_of_the_prefix() {
        assert_eq!(
            origin("(VllmWorker rank=1 pid=2978) ERROR 03-19 07:27:53 [a.py:3] of rank=7"),
            Origin { rank: Some(1), pid: Some(2978), ..Origin::default() }
        );
        assert_eq!(origin("[2025-07-07 19:00:30 DP4 TP4] hit").rank, Some(4));
        assert_eq!(origin("(Worker_TP3 pid=12) x").rank, Some(3));
        assert_eq!(origin("nothing here"), Origin::default());
        let first = origin("[rank0]: [TRT-LLM] [RANK 1] [E] x");
        assert_eq!(first.rank, Some(1));
        assert!(origin("[rank0]: y").may_continue(first) && !origin("[rank1]: y").may_continue(first));
    }
}
