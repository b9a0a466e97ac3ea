//! Commands that run a Python script in which the model is loaded: `python serve.py`, `torchrun --nproc-per-node 4 serve.py`.

use super::front;
use super::walk::{commands, shell_text};
use super::words::{self, Word};

/// A script that a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCommand {
    /// The script, under the folder that the command changes to before.
    pub path: String,
    /// `CUDA_VISIBLE_DEVICES`, where the command sets it.
    pub visible_devices: Option<String>,
    /// The program that starts several processes of it, and how many where it says so.
    pub launcher: Option<(String, Option<u32>)>,
}

/// Launchers with the words of their names.
const LAUNCHERS: &[&[&str]] = &[
    &["torchrun"],
    &["accelerate", "launch"],
    &["deepspeed"],
    &["-m", "torch.distributed.run"],
    &["-m", "torch.distributed.launch"],
    &["-m", "accelerate.commands.launch"],
    &["-m", "deepspeed.launcher.runner"],
];

/// Their flags that say how many processes start.
const PROCESSES: &[&str] =
    &["--nproc_per_node", "--nproc-per-node", "--num_processes", "--num-processes", "--num_gpus", "--num-gpus"];

/// Options of Python that take the next word.
const WITH_VALUE: &[&str] = &["-W", "-X", "--check-hash-based-pycs"];

/// Shells within shells that are followed.
const MOST_SHELLS: usize = 3;

/// The first script that a command given as words runs; `None` when there is none.
///
/// ```
/// use shardfit::engines::command_line::read_script;
///
/// let words = ["bash", "-c", "cd app && CUDA_VISIBLE_DEVICES=0,1 python -u serve.py --port 80"].map(String::from);
/// let script = read_script(&words).unwrap();
/// assert_eq!((script.path.as_str(), script.visible_devices.as_deref()), ("app/serve.py", Some("0,1")));
/// ```
#[must_use]
pub fn read_script(command: &[String]) -> Option<ScriptCommand> {
    match command {
        [text] if text.trim().contains(char::is_whitespace) => find(&words::split(text).ok()?, None, 0),
        all => find(&all.iter().map(|word| Word::new(word)).collect::<Vec<_>>(), None, 0),
    }
}

fn find(all: &[Word], mask: Option<&str>, shells: usize) -> Option<ScriptCommand> {
    let mut mask = mask.map(str::to_owned);
    let mut folder: Option<String> = None;
    for indices in commands(all) {
        let values: Vec<&str> = indices.iter().map(|&at| all[at].value.as_str()).collect();
        let front = match values.as_slice() {
            ["cd", to] => {
                folder = Some(under(folder.as_deref(), to));
                continue;
            }
            ["export", rest @ ..] => front::read(rest),
            all => front::read(all),
        };
        mask = front.environment.get("CUDA_VISIBLE_DEVICES").cloned().or(mask);
        let rest = &values[front.length.min(values.len())..];
        let found = match shell_text(rest) {
            Some(text) if shells < MOST_SHELLS => find(&words::split(rest[text]).ok()?, mask.as_deref(), shells + 1),
            _ => script(rest).map(|(path, launcher)| ScriptCommand {
                path: path.to_owned(),
                visible_devices: mask.clone(),
                launcher,
            }),
        };
        if let Some(found) = found {
            return Some(ScriptCommand { path: under(folder.as_deref(), &found.path), ..found });
        }
    }
    None
}

type Launcher = Option<(String, Option<u32>)>;

/// The script and its launcher, of a command without what stands in front.
fn script<'a>(values: &[&'a str]) -> Option<(&'a str, Launcher)> {
    let (first, rest) = values.split_first()?;
    let program = front::basename(first);
    if is_script(program) {
        return Some((first, None));
    }
    let is_python = program.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| "0123456789.".contains(c)));
    let words = if is_python { after_options(rest) } else { values };
    for name in LAUNCHERS {
        let starts = words.len() >= name.len()
            && name.iter().zip(words).all(|(part, word)| *part == *word || *part == front::basename(word));
        if starts {
            let arguments = &words[name.len()..];
            let script = arguments.iter().find(|word| is_script(word))?;
            return Some((script, Some((name.join(" "), processes(arguments)))));
        }
    }
    let script = words.first().filter(|word| is_python && is_script(word))?;
    Some((script, None))
}

/// The arguments of Python behind its own options; `-m` and `-c` end them.
fn after_options<'a, 'b>(words: &'b [&'a str]) -> &'b [&'a str] {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if !word.starts_with('-') || matches!(*word, "-m" | "-c") {
            break;
        }
        at += if WITH_VALUE.contains(word) { 2 } else { 1 };
    }
    words.get(at..).unwrap_or_default()
}

fn processes(words: &[&str]) -> Option<u32> {
    words.iter().enumerate().find_map(|(at, word)| {
        let (name, value) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        PROCESSES.contains(&name).then(|| value.or_else(|| words.get(at + 1).copied())?.parse().ok()).flatten()
    })
}

fn is_script(word: &str) -> bool {
    word.ends_with(".py") && !word.starts_with('-')
}

fn under(folder: Option<&str>, path: &str) -> String {
    match folder {
        Some(folder) if !path.starts_with('/') => format!("{}/{path}", folder.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<ScriptCommand> {
        let words: Vec<String> = words::split(text).unwrap().into_iter().map(|word| word.value).collect();
        read_script(&words)
    }

    #[test]
    fn scripts_are_found_behind_what_starts_them() {
        for (text, path, mask, launcher) in [
            ("python serve.py", "serve.py", None, None),
            ("python3.12 -u -X dev /a/serve.py --x y.py", "/a/serve.py", None, None),
            ("/opt/venv/bin/python serve.py", "serve.py", None, None),
            ("./serve.py", "./serve.py", None, None),
            ("env CUDA_VISIBLE_DEVICES=2 numactl -N 0 nohup python serve.py", "serve.py", Some("2"), None),
            ("uv run serve.py", "serve.py", None, None),
            ("torchrun --nproc_per_node=4 serve.py", "serve.py", None, Some(("torchrun", Some(4)))),
            ("torchrun --standalone --nproc-per-node gpu serve.py", "serve.py", None, Some(("torchrun", None))),
            (
                "accelerate launch --num_processes 2 serve.py --a",
                "serve.py",
                None,
                Some(("accelerate launch", Some(2))),
            ),
            (
                "python -m torch.distributed.run --nproc_per_node 8 x.py",
                "x.py",
                None,
                Some(("-m torch.distributed.run", Some(8))),
            ),
            ("deepspeed --num_gpus 2 serve.py", "serve.py", None, Some(("deepspeed", Some(2)))),
            ("sh -c 'cd /app; python serve.py > log 2>&1'", "/app/serve.py", None, None),
            ("sh -c 'cd /app && cd srv; exec python serve.py'", "/app/srv/serve.py", None, None),
            ("bash -lc 'export CUDA_VISIBLE_DEVICES=1; sh -c \"python serve.py\"'", "serve.py", Some("1"), None),
        ] {
            let found = read(text).unwrap_or_else(|| panic!("{text}"));
            let launcher = launcher.map(|(name, count): (&str, Option<u32>)| (name.to_owned(), count));
            assert_eq!((found.path.as_str(), found.visible_devices.as_deref()), (path, mask), "{text}");
            assert_eq!(found.launcher, launcher, "{text}");
        }
    }

    #[test]
    fn what_runs_no_script_is_none() {
        for text in ["python -c 'x.py'", "python -m http.server", "cat serve.py", "python", "", "sh -c 'ls *.py'"] {
            assert_eq!(read(text), None, "{text}");
        }
        // Shells without end are not followed.
        let mut deep = "python serve.py".to_owned();
        for _ in 0..6 {
            deep = format!("sh -c {}", words::quote(&deep));
        }
        assert_eq!(read(&deep), None);
    }
}
