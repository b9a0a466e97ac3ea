//! What stands in front of an engine's command: assignments and programs that run another program.

use std::collections::BTreeMap;

use super::words::assignment;

/// A program that runs the rest of its arguments as a command.
struct Wrapper {
    name: &'static str,
    /// Its subcommand, where it has one (`uv run`).
    subcommand: Option<&'static str>,
    /// Its options that take the next word.
    with_value: &'static [&'static str],
    /// Words of its own before the command (`timeout 10h`).
    operands: usize,
}

const fn wrapper(name: &'static str, with_value: &'static [&'static str]) -> Wrapper {
    Wrapper { name, subcommand: None, with_value, operands: 0 }
}

const fn runner(name: &'static str, with_value: &'static [&'static str]) -> Wrapper {
    Wrapper { name, subcommand: Some("run"), with_value, operands: 0 }
}

const WRAPPERS: &[Wrapper] = &[
    wrapper(
        "sudo",
        &["-u", "--user", "-g", "--group", "-h", "--host", "-p", "--prompt", "-C", "-D", "--chdir", "-R", "-T", "-U"],
    ),
    wrapper("doas", &["-u", "-C"]),
    wrapper("env", &["-u", "--unset", "-C", "--chdir", "-S", "--split-string"]),
    wrapper("nohup", &[]),
    wrapper("time", &["-f", "--format", "-o", "--output"]),
    wrapper("exec", &["-a"]),
    wrapper("command", &[]),
    wrapper("setsid", &[]),
    wrapper("nice", &["-n", "--adjustment"]),
    wrapper("ionice", &["-c", "--class", "-n", "--classdata"]),
    wrapper("stdbuf", &["-i", "-o", "-e", "--input", "--output", "--error"]),
    wrapper("unbuffer", &[]),
    wrapper(
        "numactl",
        &[
            "-i",
            "--interleave",
            "-w",
            "--weighted-interleave",
            "-p",
            "--preferred",
            "-P",
            "--preferred-many",
            "-C",
            "--physcpubind",
            "-N",
            "--cpunodebind",
            "-m",
            "--membind",
        ],
    ),
    Wrapper { name: "taskset", subcommand: None, with_value: &["-c", "--cpu-list", "-p", "--pid"], operands: 0 },
    Wrapper { name: "timeout", subcommand: None, with_value: &["-k", "--kill-after", "-s", "--signal"], operands: 1 },
    runner(
        "uv",
        &[
            "--with",
            "--python",
            "-p",
            "--extra",
            "--group",
            "--project",
            "--directory",
            "--env-file",
            "--with-requirements",
            "--index-url",
            "--extra-index-url",
            "--index",
            "--torch-backend",
            "--index-strategy",
            "--with-editable",
            "-m",
            "--module",
        ],
    ),
    wrapper(
        "uvx",
        &["--from", "--with", "--python", "-p", "--index-url", "--extra-index-url", "--index", "--torch-backend"],
    ),
    runner("poetry", &["-C", "--directory", "-P", "--project"]),
    runner("pdm", &["-p", "--project"]),
    runner("hatch", &["-e", "--env"]),
    runner("rye", &[]),
    runner("pixi", &["-e", "--environment", "--manifest-path"]),
    runner("pipenv", &[]),
    runner("conda", &["-n", "--name", "-p", "--prefix", "--cwd"]),
    runner("mamba", &["-n", "--name", "-p", "--prefix", "--cwd"]),
    runner("micromamba", &["-n", "--name", "-p", "--prefix", "--cwd"]),
];

/// What the front of a command says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Front {
    /// Variables set.
    pub environment: BTreeMap<String, String>,
    /// `vllm==0.11.2` among the options of `uv run --with`.
    pub requirement: Option<String>,
    /// Words used.
    pub length: usize,
}

/// Last part of a path.
pub(super) fn basename(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The version in a requirement on `package`: `vllm==0.11.2`, `vllm[audio]==0.11.2`.
pub(super) fn required_version(word: &str, package: &str) -> Option<String> {
    let rest = word.strip_prefix(package)?;
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1,
        None => rest,
    };
    let version = rest.strip_prefix("==").or_else(|| rest.strip_prefix('@'))?;
    let version = version.split([',', ';', '+']).next()?.trim();
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// Reads assignments and wrappers from the start of `words`, until a word that is neither.
pub(super) fn read(words: &[&str]) -> Front {
    let mut front = Front::default();
    loop {
        let rest = &words[front.length..];
        let Some(&word) = rest.first() else { break };
        if let Some((name, value)) = assignment(word) {
            front.environment.insert(name.to_owned(), value.to_owned());
            front.length += 1;
            continue;
        }
        // A copied prompt.
        if word == "$" || word == "#" || word == ">" {
            front.length += 1;
            continue;
        }
        let program = basename(word);
        let Some(wrapper) = WRAPPERS.iter().find(|w| w.name == program) else { break };
        let Some(used) = options(wrapper, &rest[1..], &mut front) else { break };
        front.length += 1 + used;
    }
    front
}

/// Words that belong to the wrapper after its name; `None` when it is used in another way.
fn options(wrapper: &Wrapper, words: &[&str], front: &mut Front) -> Option<usize> {
    let mut at = 0;
    if let Some(subcommand) = wrapper.subcommand {
        // Options of the runner itself may stand before its subcommand.
        while words.get(at).is_some_and(|w| w.starts_with('-')) {
            at += 1;
        }
        if words.get(at) != Some(&subcommand) {
            return None;
        }
        at += 1;
    }
    while let Some(&word) = words.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        // `uv run -m vllm…` runs a module, as `python -m` does.
        if matches!(word, "-m" | "--module") && wrapper.name == "uv" {
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        at += 1;
        let value = match word.split_once('=') {
            Some((_, value)) => Some(value),
            None if wrapper.with_value.contains(&word) => {
                at += 1;
                words.get(at - 1).copied()
            }
            None => None,
        };
        if let Some(version) = value.and_then(|v| required_version(v, "vllm")) {
            front.requirement = Some(version);
        }
    }
    // `taskset 0xff command` and `taskset -c 0-7 command` differ in who takes the mask.
    let mask = wrapper.name == "taskset" && words.get(at).is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    Some((at + wrapper.operands + usize::from(mask)).min(words.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_end_where_the_command_begins() {
        for text in [
            "vllm serve",
            "A=1 B=2 vllm serve",
            "sudo -E -u user vllm serve",
            "sudo --user=user env -u X A=1 vllm serve",
            "nohup time -p vllm serve",
            "exec vllm serve",
            "numactl --cpunodebind=0 --membind=0 vllm serve",
            "numactl -N 0 -m 0 -- vllm serve",
            "taskset -c 0-7 vllm serve",
            "taskset 0xff vllm serve",
            "timeout -k 5 10h vllm serve",
            "nice -n 5 stdbuf -oL vllm serve",
            "uv run --with vllm --python 3.12 vllm serve",
            "poetry run vllm serve",
            "conda run -n x --no-capture-output vllm serve",
            "uvx --from vllm==0.11.2 vllm serve",
            "$ vllm serve",
            "/usr/bin/env A=b vllm serve",
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(words[read(&words).length..], ["vllm", "serve"], "{text}");
        }
        assert_eq!(read(&["uvx", "--from", "vllm==0.11.2", "vllm"]).requirement.as_deref(), Some("0.11.2"));
        assert_eq!(read(&["uv", "sync"]).length, 0);
        assert_eq!(read(&["timeout"]).length, 1);
    }

    #[test]
    fn requirements_name_versions() {
        for (word, version) in [
            ("vllm==0.11.2", Some("0.11.2")),
            ("vllm[audio]==0.9.1", Some("0.9.1")),
            ("vllm@0.8.5", Some("0.8.5")),
            ("vllm==0.9.0+cu128", Some("0.9.0")),
            ("vllm>=0.9", None),
            ("vllm", None),
            ("vllm-omni==1.0", None),
        ] {
            assert_eq!(required_version(word, "vllm").as_deref(), version, "{word}");
        }
    }
}
