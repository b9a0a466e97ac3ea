//! Models of the Hub, from the cache and from a server on the loopback address that behaves as the Hub does, or as it should not.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write files, and stop at the first surprise"
)]

mod loopback;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loopback::{COMMIT, Reply, Request, Server};
use shardfit::model::FileLocation;
use shardfit::sources::{HubSettings, ModelSource, Origin, SourceError, Token, open};
use shardfit::units::Bytes;

const SECRET: &str = "hf_never_to_be_seen";
const CONFIG: &[u8] = br#"{"model_type": "qwen2", "quantization_config": {}}"#;

fn settings(endpoint: &str) -> HubSettings {
    HubSettings {
        endpoint: endpoint.to_owned(),
        cache: None,
        token: Token::new(SECRET),
        offline: false,
        timeout: Duration::from_secs(20),
        backoff: Duration::from_millis(1),
    }
}

fn fault(server: &Server) -> String {
    words(&open("org/name", &settings(&server.address)).unwrap_err(), server)
}

fn words(error: &SourceError, server: &Server) -> String {
    let text = format!("{error}\n{}", error.repair()).replace(&server.address, "HUB");
    assert!(!text.contains(SECRET) && !format!("{error:?}").contains(SECRET), "{text}");
    text
}

/// A weights file with one tensor of `bytes` bytes; `padding` spaces lengthen the header, as the format allows.
fn weights(tensor: &str, bytes: usize, padding: usize) -> Vec<u8> {
    let json = format!(
        r#"{{"{tensor}":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}{}"#,
        " ".repeat(padding)
    );
    let mut file = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    file.resize(file.len() + bytes, 7);
    file
}

/// Answers for the files of `org/name` and with 404 for all else.
fn hub(files: Vec<(&'static str, Vec<u8>)>) -> impl Fn(&Request) -> Reply {
    move |request| {
        let name = ["main", COMMIT]
            .iter()
            .find_map(|revision| request.path.strip_prefix(&format!("/org/name/resolve/{revision}/")));
        match files.iter().find(|(file, _)| Some(*file) == name) {
            Some((_, bytes)) => Reply::file(request, bytes),
            None => Reply::error(404, "EntryNotFound"),
        }
    }
}

fn two_shards() -> Vec<(&'static str, Vec<u8>)> {
    let index = br#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
    vec![
        ("config.json", CONFIG.to_vec()),
        ("model.safetensors.index.json", index.to_vec()),
        ("1.safetensors", weights("a", 1_000_000, 0)),
        ("2.safetensors", weights("b", 3, 200_000)),
    ]
}

fn check_two_shards(source: &ModelSource, server: &Server) {
    let checkpoint = source.checkpoint.as_ref().unwrap();
    assert_eq!(checkpoint.total_bytes(), Bytes(1_000_003));
    assert_eq!(checkpoint.files()[0].size, Bytes(two_shards()[2].1.len() as u64));
    let address = format!("{}/org/name/resolve/{COMMIT}/1.safetensors", server.address);
    assert_eq!(checkpoint.files()[0].location, FileLocation::Remote(address));
    assert!(!checkpoint.is_local());
    assert_eq!(source.id.as_deref(), Some("org/name"));
}

#[test]
fn reads_config_index_and_headers_and_nothing_else() {
    let server = Server::start(hub(two_shards()));
    let source = open("org/name", &settings(&server.address)).unwrap();
    check_two_shards(&source, &server);
    assert_eq!(source.origin, Origin::Hub { endpoint: server.address.clone(), revision: COMMIT.to_owned() });

    let requests = server.requests();
    // Config, index, one range of the short header, two of the long one.
    assert_eq!(requests.len(), 5, "{requests:?}");
    assert!(requests[0].path.ends_with("/main/config.json"));
    // A branch may move, so everything after the first answer is asked for by commit.
    assert!(requests[1..].iter().all(|r| r.path.contains(COMMIT)), "{requests:?}");
    let asked: usize = requests.iter().filter_map(Request::range).map(|(first, last)| last + 1 - first).sum();
    assert!(asked < 500_000, "{asked} bytes were asked for of files with 1,200,000");
    assert!(requests.iter().all(|r| r.header("authorization") == Some(&format!("Bearer {SECRET}"))));
}

#[test]
fn a_server_without_ranges_will_do() {
    let files = hub(two_shards());
    let server = Server::start(move |request| files(&request.without_range()));
    check_two_shards(&open("org/name", &settings(&server.address)).unwrap(), &server);
}

#[test]
fn a_single_file_needs_no_index() {
    let server = Server::start(hub(vec![
        ("config.json", br#"{"model_type": "qwen2"}"#.to_vec()),
        ("hf_quant_config.json", br#"{"quantization": {"quant_algo": "FP8"}}"#.to_vec()),
        ("model.safetensors", weights("a", 5, 0)),
    ]));
    let source = open("org/name", &settings(&server.address)).unwrap();
    assert_eq!(source.checkpoint.unwrap().total_bytes(), Bytes(5));
    assert_eq!(source.quant_config.unwrap()["quantization"]["quant_algo"], "FP8");
}

#[test]
fn a_repository_without_safetensors_says_so() {
    let server = Server::start(hub(vec![("config.json", CONFIG.to_vec())]));
    let source = open("org/name", &settings(&server.address)).unwrap();
    assert_eq!(source.checkpoint, None);
    assert!(source.checkpoint_reason.unwrap().contains("holds neither"));
}

#[test]
fn a_revision_is_asked_for_by_its_encoded_name() {
    let server = Server::start(|_| Reply::error(404, "RevisionNotFound"));
    let error = open("org/name@refs/pr/3", &settings(&server.address)).unwrap_err();
    assert!(words(&error, &server).starts_with("`org/name` has no revision `refs/pr/3`\n"));
    assert_eq!(server.requests()[0].path, "/org/name/resolve/refs%2Fpr%2F3/config.json");
}

#[test]
fn each_refusal_has_its_own_sentence() {
    type Case = (fn() -> Reply, &'static str, &'static str);
    let cases: [Case; 8] = [
        (|| Reply::error(401, "GatedRepo"), "`org/name` is gated", "accept the licence at HUB/org/name"),
        (|| Reply::error(403, "GatedRepo"), "`org/name` is gated", "accept the licence at HUB/org/name"),
        (|| Reply::error(401, "RepoNotFound"), "HUB has no model `org/name`", "check the spelling"),
        (|| Reply::status(401), "HUB asks for a login to read `org/name`", "make a new one"),
        (|| Reply::status(403), "HUB refuses to let this token read `org/name`", "use a token with read access"),
        (|| Reply::status(404), "HUB has no file `config.json` of `org/name`", "check the spelling"),
        (
            || Reply::status(418),
            "`HUB/org/name/resolve/main/config.json`: the server answers with status 418",
            "try again",
        ),
        (
            || Reply::Send(200, vec![], b"<html>".to_vec()),
            "`HUB/org/name/resolve/main/config.json` is not valid JSON",
            "again",
        ),
    ];
    for (reply, message, repair) in cases {
        let server = Server::start(move |_| reply());
        let text = fault(&server);
        let (said, hint) = text.split_once('\n').unwrap();
        assert!(said.starts_with(message) && hint.contains(repair), "{text}");
        assert_eq!(server.requests().len(), 1, "a refusal is final: {text}");
    }
}

#[test]
fn without_a_token_the_repair_is_to_log_in() {
    for (code, message) in
        [("GatedRepo", "is gated"), ("RepoNotFound", "may be seen without a token"), ("", "asks for a login")]
    {
        let server = Server::start(move |_| Reply::error(401, code));
        let settings = HubSettings { token: None, ..settings(&server.address) };
        let text = words(&open("org/name", &settings).unwrap_err(), &server);
        assert!(text.contains(message) && text.contains("`HF_TOKEN`"), "{text}");
        assert_eq!(server.requests()[0].header("authorization"), None);
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let (files, count) = (hub(two_shards()), AtomicUsize::new(0));
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Send(429, vec![("Retry-After", "0".to_owned())], vec![]),
        1 => Reply::status(503),
        _ => files(request),
    });
    check_two_shards(&open("org/name", &settings(&server.address)).unwrap(), &server);
}

#[test]
fn a_server_that_stays_busy_is_named_after_three_attempts() {
    for (status, message) in [(429, "slow down, also after 3 attempts"), (500, "answers with status 500")] {
        let server = Server::start(move |_| Reply::status(status));
        let error = open("org/name", &settings(&server.address)).unwrap_err();
        assert!(words(&error, &server).contains(message));
        assert!(error.is_out_of_reach());
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let (files, count) = (hub(two_shards()), AtomicUsize::new(0));
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Half(CONFIG.to_vec()),
        _ => files(request),
    });
    check_two_shards(&open("org/name", &settings(&server.address)).unwrap(), &server);
}

#[test]
fn a_silent_server_ends_in_a_timeout() {
    let server = Server::start(|_| Reply::Silence);
    let settings = HubSettings { timeout: Duration::from_millis(50), ..settings(&server.address) };
    let text = words(&open("org/name", &settings).unwrap_err(), &server);
    assert!(text.contains("cannot be reached: no answer within 0.05 s"), "{text}");
}

#[test]
fn nobody_listening_is_said_and_the_repair_needs_no_network() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = open("org/name", &settings(&format!("http://127.0.0.1:{port}"))).unwrap_err();
    assert!(error.to_string().contains("cannot be reached: "), "{error}");
    assert!(error.repair().contains("works without network"));
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_host() {
    let cdn = Server::start(|request| match request.path.as_str() {
        "/config?Signature=signed" => Reply::file(request, CONFIG),
        _ => Reply::file(request, &weights("a", 5, 0)),
    });
    let elsewhere = cdn.address.clone();
    let server = Server::start(move |request| match request.path.rsplit('/').next().unwrap() {
        "config.json" => Reply::redirect(&format!("{elsewhere}/config?Signature=signed")),
        "model.safetensors" => Reply::redirect("/moved/weights"),
        "weights" => Reply::redirect(&format!("{elsewhere}/weights?Signature=signed")),
        _ => Reply::status(404),
    });
    let source = open("org/name", &settings(&server.address)).unwrap();
    assert_eq!(source.checkpoint.unwrap().total_bytes(), Bytes(5));
    assert!(server.requests().iter().all(|r| r.header("authorization").is_some()));
    assert_eq!(cdn.requests().len(), 2);
    assert!(cdn.requests().iter().all(|r| r.header("authorization").is_none()), "{:?}", cdn.requests());
    // The commit is named by the first server, not by the one that keeps the bytes.
    assert!(server.requests()[1].path.contains(COMMIT));
}

#[test]
fn redirects_in_a_circle_and_to_nowhere_end() {
    let server = Server::start(|request| Reply::redirect(&request.path));
    assert!(fault(&server).contains("more than 5 redirects"));
    let server = Server::start(|_| Reply::redirect("ftp://elsewhere/file"));
    assert!(fault(&server).contains("a redirect leads to what is not a web address"));
}

#[test]
fn what_a_server_signed_into_an_address_is_not_shown() {
    let server = Server::start(|request| {
        if request.path.contains("Signature") { Reply::status(500) } else { Reply::redirect("/x?Signature=signed") }
    });
    let text = fault(&server);
    assert!(text.contains("`HUB/x`") && !text.contains("signed"), "{text}");
}

#[test]
fn a_wrong_range_or_a_bad_header_is_named() {
    let wrong_range = |request: &Request| match request.range() {
        Some(_) => Reply::Send(206, vec![("Content-Range", "bytes 5-9/100".to_owned())], vec![0; 5]),
        None if request.path.ends_with("config.json") => Reply::file(request, CONFIG),
        None => Reply::error(404, "EntryNotFound"),
    };
    assert!(fault(&Server::start(wrong_range)).contains("another part was sent than was asked for"));

    let with_file = |bytes: &[u8]| {
        fault(&Server::start(hub(vec![("config.json", CONFIG.to_vec()), ("model.safetensors", bytes.to_vec())])))
    };
    assert!(with_file(b"").contains("0 B is less than the 8-byte length"));
    assert!(with_file(b"abc").contains("3 B is less than the 8-byte length"));
    assert!(with_file(&u64::MAX.to_le_bytes()).contains("the format allows 100000000"));
    assert!(with_file(&weights("a", 5, 0)[..40]).contains("says that its header is"));
    let mut longer = weights("a", 5, 0);
    longer.push(0);
    assert!(with_file(&longer).contains("leaves bytes 5..6 of its data to no tensor"));
}

#[test]
fn an_index_may_not_lead_the_request_elsewhere() {
    let index = br#"{"weight_map": {"a": "../../../other/repo/resolve/main/model.safetensors"}}"#.to_vec();
    let server = Server::start(hub(vec![("config.json", CONFIG.to_vec()), ("model.safetensors.index.json", index)]));
    assert!(fault(&server).contains("which is outside its folder"));
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_first_of_several_bad_files_is_named() {
    let mut files = two_shards();
    files.truncate(2);
    let server = Server::start(hub(files));
    assert!(fault(&server).contains("names the file `1.safetensors`, which does not exist"));
}

/// Writes a snapshot of `org/name` into a cache.
fn fill_cache(cache: &Path, files: &[(&str, Vec<u8>)]) {
    let model = cache.join("models--org--name");
    let folder = model.join("snapshots").join(COMMIT);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), COMMIT).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn a_complete_cache_needs_no_server() {
    let cache = tempfile::tempdir().unwrap();
    fill_cache(cache.path(), &two_shards());
    let server = Server::start(|_| Reply::status(500));
    let settings = HubSettings { cache: Some(cache.path().to_owned()), ..settings(&server.address) };
    for model in ["org/name".to_owned(), format!("org/name@{COMMIT}")] {
        let source = open(&model, &settings).unwrap();
        assert!(source.checkpoint.unwrap().is_local());
        assert_eq!(source.id.as_deref(), Some("org/name"));
        assert!(matches!(source.origin, Origin::HubCache { commit, .. } if commit == COMMIT));
    }
    let folder = cache.path().join("models--org--name");
    let source = open(folder.to_str().unwrap(), &settings).unwrap();
    assert_eq!(source.id.as_deref(), Some("org/name"));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn an_incomplete_cache_is_completed_by_the_server_or_named_offline() {
    let server = Server::start(hub(two_shards()));
    let cache = tempfile::tempdir().unwrap();
    fill_cache(cache.path(), &two_shards()[..3]);
    let online = HubSettings { cache: Some(cache.path().to_owned()), ..settings(&server.address) };
    check_two_shards(&open("org/name", &online).unwrap(), &server);

    let asked = server.requests().len();
    let offline = HubSettings { offline: true, ..online };
    let text = words(&open("org/name", &offline).unwrap_err(), &server);
    assert!(text.contains("the download is incomplete: fetch `2.safetensors`"), "{text}");
    let text = words(&open("org/other", &offline).unwrap_err(), &server);
    assert!(text.contains("`org/other` is not in the Hub's cache") && text.contains("hf download org/other"), "{text}");
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_config_in_the_cache_serves_where_the_server_cannot_be_reached() {
    let cache = tempfile::tempdir().unwrap();
    fill_cache(cache.path(), &two_shards()[..1]);
    let settings = HubSettings { cache: Some(cache.path().to_owned()), ..settings("http://127.0.0.1:1") };
    let source = open("org/name", &settings).unwrap();
    assert_eq!(source.checkpoint, None);
    assert!(source.checkpoint_reason.is_some());
    assert!(source.notes[0].starts_with("the Hub could not be asked for the weights"), "{:?}", source.notes);
}

#[test]
fn a_reference_may_not_lead_out_of_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    fill_cache(cache.path(), &two_shards());
    fs::write(cache.path().join("models--org--name/refs/main"), "../../elsewhere").unwrap();
    let settings =
        HubSettings { cache: Some(cache.path().to_owned()), offline: true, ..settings("http://127.0.0.1:1") };
    assert!(open("org/name", &settings).unwrap_err().to_string().contains("is not in the Hub's cache"));
}

#[test]
fn an_address_that_is_none_is_named() {
    let error = open("org/name", &settings("hub.example")).unwrap_err();
    assert_eq!(error.to_string(), "the Hub's address `hub.example` is not a web address");
}

#[test]
fn a_path_that_exists_goes_before_a_name_on_the_hub() {
    let error = open("no/such/folder", &settings("http://127.0.0.1:1")).unwrap_err();
    assert_eq!(error.to_string(), "`no/such/folder` does not exist");
    // Relative to the package's folder, where tests run; `tests/data` could also be a name on the Hub.
    let error = open("tests/data", &settings("http://127.0.0.1:1")).unwrap_err();
    assert!(matches!(error, SourceError::NoModel(_)), "{error}");
}
