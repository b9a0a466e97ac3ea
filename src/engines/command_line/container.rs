//! `docker run`, `podman run`, `nvidia-docker run`: the options before the image, and the image.

use std::collections::BTreeMap;

use super::CommandError;
use super::Mount;
use super::error::Warning;
use super::front::basename;
use super::words::assignment;

/// What the options of a container say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// The image; `None` for `docker exec`.
    pub image: Option<String>,
    /// Variables inside the container.
    pub environment: BTreeMap<String, String>,
    /// Cards the container may see, by index or identity; `None` when it sees all.
    pub devices: Option<Vec<String>>,
    /// Folders of the host inside the container.
    pub mounts: Vec<Mount>,
    /// `--entrypoint`.
    pub entrypoint: Option<String>,
    /// Words up to and including the image.
    pub length: usize,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

/// Options without a value; any other long option takes the next word.
const SWITCHES: &[&str] = &[
    "--detach",
    "--disable-content-trust",
    "--env-host",
    "--help",
    "--http-proxy",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--no-hosts",
    "--nv",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--replace",
    "--rm",
    "--rmi",
    "--rocm",
    "--sig-proxy",
    "--tls-verify",
    "--tty",
    "--use-api-socket",
];

/// Short options without a value; they may be written together (`-itd`).
const SHORT_SWITCHES: &str = "ditPqT";

/// Whether `words` start a container with a command in it.
pub(super) fn starts_container(words: &[&str]) -> bool {
    subcommand(words).is_some()
}

/// Position after the subcommand, and whether it is `exec`.
fn subcommand(words: &[&str]) -> Option<(usize, bool)> {
    if !matches!(basename(words.first()?), "docker" | "podman" | "nvidia-docker" | "nerdctl") {
        return None;
    }
    let mut at = 1;
    while let Some(&word) = words.get(at) {
        match word {
            "run" | "create" => return Some((at + 1, false)),
            "exec" => return Some((at + 1, true)),
            "container" => at += 1,
            "-c" | "--context" | "-H" | "--host" | "--config" | "-l" | "--log-level" | "--url" | "--connection" => {
                at += 2
            }
            word if word.starts_with('-') => at += 1,
            _ => return None,
        }
    }
    None
}

/// Reads the options and the image. `outside` are the variables set for the client, which `-e NAME` passes on.
///
/// # Errors
/// When there is no image.
pub(super) fn read(words: &[&str], outside: &BTreeMap<String, String>) -> Result<Container, CommandError> {
    let mut container = Container::default();
    let Some((mut at, exec)) = subcommand(words) else { return Ok(container) };
    let mut runtime_devices = None;
    while let Some(&word) = words.get(at).filter(|w| w.starts_with('-') && w.len() > 1) {
        at += 1;
        let (name, attached) = match word.strip_prefix("--") {
            Some("") => break,
            Some(long) => match long.split_once('=') {
                Some((name, value)) => (format!("--{name}"), Some(value)),
                None => (word.to_owned(), None),
            },
            None => {
                let letters = word.trim_start_matches('-');
                let start = letters.find(|c| !SHORT_SWITCHES.contains(c));
                let Some((start, letter)) = start.and_then(|i| Some((i, letters[i..].chars().next()?))) else {
                    continue;
                };
                let value = &letters[start + letter.len_utf8()..];
                let value = value.strip_prefix('=').unwrap_or(value);
                (format!("-{letter}"), (!value.is_empty()).then_some(value))
            }
        };
        if SWITCHES.contains(&name.as_str()) {
            continue;
        }
        let value = attached.or_else(|| {
            let value = words.get(at).copied()?;
            at += 1;
            Some(value)
        });
        if let Some(value) = value {
            container.option(&name, value, outside, &mut runtime_devices);
        }
    }
    let program = words[..at.min(words.len())].iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let Some(&image) = words.get(at) else { return Err(CommandError::NoImage { program }) };
    container.length = at + 1;
    container.image = (!exec).then(|| image.to_owned());
    let exposed =
        runtime_devices.or_else(|| container.environment.get("NVIDIA_VISIBLE_DEVICES").and_then(|v| listed(v)));
    container.devices = container.devices.take().or(exposed);
    Ok(container)
}

impl Container {
    fn option(
        &mut self,
        name: &str,
        value: &str,
        outside: &BTreeMap<String, String>,
        runtime_devices: &mut Option<Vec<String>>,
    ) {
        match name {
            "-e" | "--env" => match assignment(value) {
                Some((name, value)) => {
                    self.environment.insert(name.to_owned(), value.to_owned());
                }
                None => {
                    if let Some(passed) = outside.get(value) {
                        self.environment.insert(value.to_owned(), passed.clone());
                    }
                }
            },
            "--env-file" => self.warnings.push(Warning::EnvironmentFile { path: value.to_owned() }),
            "--gpus" => self.devices = gpus(value),
            "--device" => {
                if let Some(card) = value.strip_prefix("nvidia.com/gpu=").filter(|card| *card != "all") {
                    runtime_devices.get_or_insert_default().push(card.to_owned());
                }
            }
            "-v" | "--volume" => self.mounts.extend(volume(value)),
            "--mount" => self.mounts.extend(mount(value)),
            "--entrypoint" => self.entrypoint = Some(value.to_owned()),
            _ => {}
        }
    }
}

/// `--gpus all`, `--gpus 2`, `--gpus device=0`, `--gpus '"device=0,1"'`, `--gpus '"device=0,1",capabilities=compute'`.
fn gpus(value: &str) -> Option<Vec<String>> {
    let value = value.trim().trim_matches('\'');
    let list = match value.split_once("device=") {
        Some((_, list)) => list.split(['"', '\'']).next().unwrap_or_default(),
        None => {
            let number = value.strip_prefix("count=").unwrap_or(value).split(',').next().unwrap_or_default();
            // Docker hands out the first cards.
            return number
                .parse::<u32>()
                .ok()
                .filter(|&n| n > 0 && n <= 64)
                .map(|n| (0..n).map(|i| i.to_string()).collect());
        }
    };
    let cards: Vec<String> = list
        .split(',')
        .map(str::trim)
        .take_while(|card| !card.contains('='))
        .filter(|c| !c.is_empty())
        .map(str::to_owned)
        .collect();
    (!cards.is_empty()).then_some(cards)
}

/// `NVIDIA_VISIBLE_DEVICES`: a list, or `all`, `none`, `void`.
fn listed(value: &str) -> Option<Vec<String>> {
    match value {
        "" | "all" | "void" => None,
        "none" => Some(Vec::new()),
        list => Some(list.split(',').map(|card| card.trim().to_owned()).collect()),
    }
}

/// `-v /host:/inside:ro`; a named volume is no folder of the host.
fn volume(value: &str) -> Option<Mount> {
    let mut parts = value.split(':');
    let (host, inside) = (parts.next()?, parts.next()?);
    (host.starts_with(['/', '.', '~', '$']) && inside.starts_with('/'))
        .then(|| Mount { host: host.to_owned(), inside: inside.to_owned() })
}

/// `--mount type=bind,source=/host,target=/inside`.
fn mount(value: &str) -> Option<Mount> {
    let field = |names: &[&str]| {
        value
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| names.contains(name))
            .map(|(_, v)| v.to_owned())
    };
    let bind = field(&["type"]).is_some_and(|kind| kind == "bind");
    let (host, inside) = (field(&["source", "src"])?, field(&["target", "destination", "dst"])?);
    bind.then_some(Mount { host, inside })
}

/// An image reference taken apart: repository without its registry, and tag.
pub(super) fn image_parts(image: &str) -> (&str, Option<&str>) {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let last = image.rfind('/').map_or(0, |i| i + 1);
    let (name, tag) = match image[last..].find(':') {
        Some(i) => (&image[..last + i], Some(&image[last + i + 1..])),
        None => (image, None),
    };
    (name, tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Container {
        let words = shell_words::split(text).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        read(&words, &BTreeMap::from([("HF_TOKEN".to_owned(), "x".to_owned())])).unwrap()
    }

    #[test]
    fn the_image_ends_the_options() {
        for text in [
            "docker run IMAGE a",
            "docker run --gpus all -it --rm IMAGE a",
            "docker run -itd --shm-size 16g --ipc=host -p 8000:8000 --name x IMAGE a",
            "docker run -p8000:8000 -eA=b -v/x:/y IMAGE a",
            "docker container run --network host --ulimit memlock=-1 IMAGE a",
            "docker --context remote run --cap-add SYS_PTRACE --security-opt label=disable IMAGE a",
            "podman run --device nvidia.com/gpu=all --security-opt=label=disable --replace IMAGE a",
            "nvidia-docker run --runtime nvidia --restart unless-stopped IMAGE a",
            "docker run --privileged --init --read-only -w /x -u 1000:1000 --tmpfs /tmp IMAGE a",
            "docker exec -it IMAGE a",
        ] {
            let words = shell_words::split(text).unwrap();
            let container = run(text);
            assert_eq!(words[container.length - 1], "IMAGE", "{text}");
        }
        assert!(matches!(read(&["docker", "run", "-it"], &BTreeMap::new()), Err(CommandError::NoImage { .. })));
        assert!(!starts_container(&["docker", "compose", "up"]));
    }

    #[test]
    fn cards_are_read_from_every_form() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("docker run --gpus all I", None),
            ("docker run I", None),
            ("docker run --gpus=2 I", Some(&["0", "1"])),
            ("docker run --gpus device=3 I", Some(&["3"])),
            (r#"docker run --gpus '"device=0,1"' I"#, Some(&["0", "1"])),
            (r#"docker run --gpus "\"device=2,3\"" I"#, Some(&["2", "3"])),
            (r#"docker run --gpus '"device=0,1",capabilities=utility' I"#, Some(&["0", "1"])),
            ("docker run --gpus 'device=0,capabilities=utility' I", Some(&["0"])),
            ("docker run --gpus device=GPU-8a1 I", Some(&["GPU-8a1"])),
            ("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=1,2 I", Some(&["1", "2"])),
            ("docker run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=all I", None),
            ("podman run --device nvidia.com/gpu=0 --device nvidia.com/gpu=1 I", Some(&["0", "1"])),
            ("podman run --device nvidia.com/gpu=all I", None),
        ];
        for (text, cards) in cases {
            let devices = run(text).devices;
            assert_eq!(
                devices.as_deref(),
                cards.map(|c| c.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn variables_and_folders_cross_over() {
        let container = run(
            "docker run -e HF_TOKEN -e A=b --env=C=d --env UNSET -v ~/.cache:/root/.cache -v vol:/v --mount type=bind,src=/m,dst=/n I",
        );
        let names: Vec<_> = container.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(names, ["A=b", "C=d", "HF_TOKEN=x"]);
        let mounts: Vec<_> = container.mounts.iter().map(|m| format!("{}→{}", m.host, m.inside)).collect();
        assert_eq!(mounts, ["~/.cache→/root/.cache", "/m→/n"]);
    }

    #[test]
    fn images_have_tags() {
        for (image, name, tag) in [
            ("vllm/vllm-openai:v0.11.2", "vllm/vllm-openai", Some("v0.11.2")),
            ("vllm/vllm-openai", "vllm/vllm-openai", None),
            ("localhost:5000/vllm/vllm-openai", "localhost:5000/vllm/vllm-openai", None),
            ("localhost:5000/vllm/vllm-openai:v0.9.1", "localhost:5000/vllm/vllm-openai", Some("v0.9.1")),
            ("vllm/vllm-openai:v0.9.1@sha256:abc", "vllm/vllm-openai", Some("v0.9.1")),
            ("vllm/vllm-openai@sha256:abc", "vllm/vllm-openai", None),
            ("", "", None),
        ] {
            assert_eq!(image_parts(image), (name, tag), "{image}");
        }
    }
}
