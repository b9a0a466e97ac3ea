//! Asking a server: ranges, redirects that do not leak the token, repetition where it helps.

use std::io::Read;
use std::thread;
use std::time::Duration;

use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::settings::HubSettings;
use super::{HubError, url};

const ATTEMPTS: u32 = 3;
const MAX_REDIRECTS: u32 = 5;
/// Longest wait that a server may ask for before a repetition.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// A client for one endpoint.
pub struct Client<'a> {
    agent: Agent,
    settings: &'a HubSettings,
    origin: String,
}

/// What is wanted of a file.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// All of it, if it is no longer than this.
    Whole(u64),
    /// That many bytes from there on, or as many as the file has.
    Range { start: u64, length: u64 },
}

/// An answer to a request that reached the server.
#[derive(Debug)]
pub enum Answer {
    /// The bytes that were wanted.
    Content(Content),
    /// A refusal.
    Refused {
        /// Status.
        status: u16,
        /// The Hub's own name for the reason (`X-Error-Code`).
        code: Option<String>,
    },
}

/// Bytes of a file.
#[derive(Debug)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Size of the whole file, where a range was wanted.
    pub file_size: u64,
    /// Commit that the file belongs to (`X-Repo-Commit`).
    pub commit: Option<String>,
}

/// Why an attempt failed, and whether another may not.
struct Failed {
    error: HubError,
    again: bool,
    wait: Option<Duration>,
}

impl Failed {
    fn for_good(error: HubError) -> Self {
        Self { error, again: false, wait: None }
    }
}

impl<'a> Client<'a> {
    /// A client with the timeouts of `settings`.
    pub fn new(settings: &'a HubSettings) -> Result<Self, HubError> {
        let endpoint = &settings.endpoint;
        let origin = url::origin(endpoint).ok_or_else(|| HubError::BadEndpoint(endpoint.clone()))?;
        let timeout = settings.timeout;
        let mut config = Agent::config_builder()
            .user_agent(concat!("shardfit/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // Redirects are followed here, where it is known who may see the token.
            .max_redirects(0)
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_per_call(Some(timeout.saturating_mul(30)));
        if url::is_loopback(endpoint) {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().new_agent(), settings, origin })
    }

    /// Asks for a file; repeats where the server is busy or the connection fails.
    pub fn get(&self, address: &str, wanted: Wanted) -> Result<Answer, HubError> {
        let mut wait = self.settings.backoff;
        let mut attempt = 1;
        loop {
            match self.attempt(address, wanted) {
                Ok(answer) => return Ok(answer),
                Err(failed) if !failed.again || attempt == ATTEMPTS => return Err(failed.error),
                Err(failed) => thread::sleep(failed.wait.unwrap_or_default().max(wait).min(MAX_WAIT)),
            }
            wait = wait.saturating_mul(2);
            attempt += 1;
        }
    }

    fn attempt(&self, address: &str, wanted: Wanted) -> Result<Answer, Failed> {
        let mut current = address.to_owned();
        let mut commit = None;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&current, wanted)?;
            commit = commit.or_else(|| header(response.headers(), "x-repo-commit"));
            match response.status().as_u16() {
                200 | 206 => return receive(response, &current, wanted, commit).map(Answer::Content),
                301 | 302 | 303 | 307 | 308 => current = next_address(&current, response.headers())?,
                416 => return empty_file(&response, &current, commit).map(Answer::Content),
                status @ (429 | 500 | 502 | 503 | 504) => return Err(busy(status, &current, response.headers())),
                status => return Ok(Answer::Refused { status, code: header(response.headers(), "x-error-code") }),
            }
        }
        Err(Failed::for_good(bad_answer(address, format!("more than {MAX_REDIRECTS} redirects"))))
    }

    fn send(&self, address: &str, wanted: Wanted) -> Result<Response<Body>, Failed> {
        let mut request = self.agent.get(address);
        if let Wanted::Range { start, length } = wanted {
            let last = start.saturating_add(length).saturating_sub(1);
            // A range of a compressed answer would be a range of something else.
            request = request.header("Range", format!("bytes={start}-{last}")).header("Accept-Encoding", "identity");
        }
        let is_endpoint = url::origin(address).is_some_and(|origin| origin == self.origin);
        if let Some(token) = self.settings.token.as_ref().filter(|_| is_endpoint) {
            request = request.header("Authorization", token.authorization());
        }
        request.call().map_err(|error| self.unreachable(address, &error))
    }

    /// Says in our words what went wrong: the library's may hold the whole address, signature and all.
    fn unreachable(&self, address: &str, error: &ureq::Error) -> Failed {
        use ureq::Error as E;
        let (reason, again) = match error {
            E::Timeout(_) => (format!("no answer within {} s", self.settings.timeout.as_secs_f32()), true),
            E::Io(error) => (error.to_string(), true),
            E::HostNotFound => ("the host's name cannot be resolved".to_owned(), false),
            E::ConnectionFailed => ("no connection".to_owned(), true),
            E::Protocol(_) => ("the answer is not HTTP".to_owned(), true),
            E::Tls(_) | E::Rustls(_) | E::Pem(_) => ("the encrypted connection is not trusted".to_owned(), false),
            E::InvalidProxyUrl | E::ConnectProxyFailed(_) => ("the proxy does not work".to_owned(), false),
            _ => ("the request failed".to_owned(), false),
        };
        let error = HubError::Unreachable { url: url::shown(address).to_owned(), reason };
        Failed { error, again, wait: None }
    }
}

/// Reads what was wanted out of a successful answer, whether or not the server understands ranges.
fn receive(
    mut response: Response<Body>,
    address: &str,
    wanted: Wanted,
    commit: Option<String>,
) -> Result<Content, Failed> {
    let wrong = |what: &str| Failed::for_good(bad_answer(address, what.to_owned()));
    let length = header(response.headers(), "content-length").and_then(|n| n.parse::<u64>().ok());
    let partial = response.status().as_u16() == 206;
    let range = header(response.headers(), "content-range");
    let reader = response.body_mut().as_reader();
    match wanted {
        Wanted::Whole(_) if partial => Err(wrong("a part of the file was sent where all of it was asked for")),
        Wanted::Whole(limit) => {
            let bytes = read(reader, limit.saturating_add(1), address)?;
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if size > limit {
                return Err(wrong(&format!("the file is longer than the {limit} bytes that are read")));
            }
            Ok(Content { bytes, file_size: size, commit })
        }
        Wanted::Range { start, length: wanted } => {
            let (skip, file_size) = if partial {
                let range = range.ok_or_else(|| wrong("a part was sent without saying which"))?;
                let (first, size) =
                    parse_range(&range).ok_or_else(|| wrong("the part that was sent is not described"))?;
                if first != start {
                    return Err(wrong("another part was sent than was asked for"));
                }
                (0, size)
            } else {
                (start, length.ok_or_else(|| wrong("the file was sent without its size"))?)
            };
            let mut bytes = read(reader, skip.saturating_add(wanted), address)?;
            bytes.drain(..usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len()));
            let expected = wanted.min(file_size.saturating_sub(start));
            if u64::try_from(bytes.len()) != Ok(expected) {
                let error = HubError::Unreachable {
                    url: url::shown(address).to_owned(),
                    reason: format!("the answer ends after {} of {expected} bytes", bytes.len()),
                };
                return Err(Failed { error, again: true, wait: None });
            }
            Ok(Content { bytes, file_size, commit })
        }
    }
}

fn read(reader: impl Read, limit: u64, address: &str) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    match reader.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => {
            let reason = format!("the answer breaks off after {} bytes ({})", bytes.len(), error.kind());
            let error = HubError::Unreachable { url: url::shown(address).to_owned(), reason };
            Err(Failed { error, again: true, wait: None })
        }
    }
}

/// Status 416 says that the file ends before the range starts; ours start at 0, so it has no bytes.
fn empty_file(response: &Response<Body>, address: &str, commit: Option<String>) -> Result<Content, Failed> {
    let range = header(response.headers(), "content-range");
    let size = range.as_deref().and_then(|r| r.strip_prefix("bytes */")).and_then(|n| n.trim().parse().ok());
    match size {
        Some(file_size) => Ok(Content { bytes: Vec::new(), file_size, commit }),
        None => Err(Failed::for_good(HubError::Status { url: url::shown(address).to_owned(), status: 416 })),
    }
}

/// First byte and file size of `bytes 0-99/1000`.
fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()?))
}

fn next_address(current: &str, headers: &HeaderMap) -> Result<String, Failed> {
    let wrong = |what: &str| Failed::for_good(bad_answer(current, what.to_owned()));
    let location = header(headers, "location").ok_or_else(|| wrong("a redirect leads nowhere"))?;
    let next = url::join(current, &location).ok_or_else(|| wrong("a redirect leads to what is not a web address"))?;
    let is_https = |address: &str| url::origin(address).is_some_and(|origin| origin.starts_with("https:"));
    if is_https(current) && !is_https(&next) {
        return Err(wrong("a redirect leads from an encrypted connection to an open one"));
    }
    Ok(next)
}

fn busy(status: u16, address: &str, headers: &HeaderMap) -> Failed {
    let url = url::shown(address).to_owned();
    let error = match status {
        429 => HubError::TooManyRequests { url, attempts: ATTEMPTS },
        _ => HubError::Status { url, status },
    };
    let wait = header(headers, "retry-after").and_then(|s| s.trim().parse().ok()).map(Duration::from_secs);
    Failed { error, again: true, wait }
}

fn bad_answer(address: &str, what: String) -> HubError {
    HubError::BadAnswer { url: url::shown(address).to_owned(), what }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
