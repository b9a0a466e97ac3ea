//! A small HTTP server on the loopback address, for tests of what talks to a Hub.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The same request as a server sees it that knows no ranges.
    pub fn without_range(&self) -> Self {
        let headers = self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("range")).cloned().collect();
        Self { path: self.path.clone(), headers }
    }

    /// First and last byte of `Range: bytes=a-b`.
    pub fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    }
}

/// What the server does with a request.
pub enum Reply {
    /// Status, headers, body.
    Send(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// As `Send` with status 200, but the connection ends after half of the body.
    Half(Vec<u8>),
    /// Nothing until the client gives up.
    Silence,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Send(status, vec![], vec![])
    }

    pub fn error(status: u16, code: &str) -> Self {
        Self::Send(status, vec![("X-Error-Code", code.to_owned())], vec![])
    }

    pub fn redirect(location: &str) -> Self {
        Self::Send(302, vec![("Location", location.to_owned()), ("X-Repo-Commit", COMMIT.to_owned())], vec![])
    }

    /// A file, of which a range is sent if one was asked for.
    pub fn file(request: &Request, bytes: &[u8]) -> Self {
        let commit = ("X-Repo-Commit", COMMIT.to_owned());
        match request.range() {
            Some((first, _)) if first >= bytes.len() => {
                Self::Send(416, vec![("Content-Range", format!("bytes */{}", bytes.len()))], vec![])
            }
            Some((first, last)) => {
                let last = last.min(bytes.len() - 1);
                let range = ("Content-Range", format!("bytes {first}-{last}/{}", bytes.len()));
                Self::Send(206, vec![range, commit], bytes[first..=last].to_vec())
            }
            None => Self::Send(200, vec![commit], bytes.to_vec()),
        }
    }
}

/// The commit that files are said to belong to.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A running server.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request by `handler`, each on a connection and a thread of its own.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&requests), Arc::new(handler));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, handler) = (Arc::clone(&log), Arc::clone(&handler));
                thread::spawn(move || {
                    if let Some(request) = read_request(&stream) {
                        log.lock().unwrap().push(request.clone());
                        let _ = answer(stream, handler(&request));
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some(Request { path, headers })
}

fn answer(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Silence => {
            // Ends when the client closes the connection.
            std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
        }
        Reply::Send(status, headers, body) => {
            write_head(&mut stream, status, &headers, body.len())?;
            stream.write_all(&body)
        }
        Reply::Half(body) => {
            write_head(&mut stream, 200, &[], body.len())?;
            stream.write_all(&body[..body.len() / 2])
        }
    }
}

fn write_head(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    length: usize,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all((head + "\r\n").as_bytes())
}
