//! Every folder under `tests/data/bad` has one fault; its `expected.txt` holds the one error and the repair that it must give.
//! `BLESS=1 cargo test --test sources_bad` writes them anew; read the difference before committing it.
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use std::fs;
use std::path::{Path, PathBuf};

use shardfit::sources::{SourceError, open_path};

fn words(error: &SourceError, folder: &Path) -> String {
    format!("error: {error}\nhint: {}\n", error.repair()).replace(&*folder.to_string_lossy(), "FOLDER")
}

#[test]
fn each_bad_folder_gives_its_one_error_and_repair() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bad");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 36, "the corpus has shrunk to {}", folders.len());

    let mut wrong = Vec::new();
    for folder in &folders {
        let expected = fs::read_to_string(folder.join("expected.txt")).unwrap_or_default();
        let got = match open_path(folder) {
            Ok(source) => format!("opened: {:?}\n", source.checkpoint),
            Err(error) => words(&error, folder),
        };
        if got != expected && std::env::var_os("BLESS").is_some() {
            fs::write(folder.join("expected.txt"), &got).unwrap();
        } else if got != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- got\n{got}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn faults_of_the_file_system_name_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let fault = |path: &Path| words(&open_path(path).unwrap_err(), dir);

    assert!(fault(dir).starts_with("error: the folder `FOLDER` is empty\n"), "{}", fault(dir));
    assert!(fault(&dir.join("gone")).starts_with("error: `FOLDER/gone` does not exist\n"));

    fs::write(dir.join("model.gguf"), b"GGUF").unwrap();
    assert!(fault(&dir.join("model.gguf")).contains("neither a `config.json` nor a `.safetensors` file"));
    assert!(fault(&dir.join("model.gguf/x")).contains("cannot be read: Not a directory"));

    fs::write(dir.join("weights.safetensors"), b"").unwrap();
    assert!(fault(&dir.join("weights.safetensors")).contains("no `config.json`"));
    fs::write(dir.join("config.json"), vec![b' '; 16_000_001]).unwrap();
    assert!(fault(&dir.join("config.json")).contains("at most 15.26 MiB are read"));

    fs::remove_file(dir.join("config.json")).unwrap();
    fs::create_dir(dir.join("config.json")).unwrap();
    assert!(fault(dir).contains("`FOLDER/config.json` is not a regular file"));
}

#[cfg(unix)]
#[test]
fn a_folder_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let opened = open_path(&closed);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let error = words(&opened.unwrap_err(), folder.path());
    // The superuser may read everything, and then finds the folder empty.
    let expected = if rustix::process::geteuid().is_root() { "is empty" } else { "cannot be read: Permission denied" };
    assert!(error.contains("`FOLDER/closed`") && error.contains(expected), "{error}");
}
