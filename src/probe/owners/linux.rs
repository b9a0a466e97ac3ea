//! The process table of Linux. Each file is read with one call into a buffer that is used again: a monitor reads hundreds of them.
#![expect(clippy::disallowed_methods, reason = "reads the process table by design")]

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use super::{Status, System, SystemProcesses};
use crate::engines::command_line::without_secrets;

/// Longest command line read. Longer ones are cut; the system gives pages of 4 KiB.
const LONGEST_COMMAND: usize = 64 << 10;

impl System for SystemProcesses {
    fn status(&self, pid: u32) -> Option<Status> {
        let mut buffer = [0; 1024];
        let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
        let length = file.read(&mut buffer).ok()?;
        parse(&buffer[..length])
    }

    fn description(&self, pid: u32) -> (Option<String>, Option<String>) {
        let Ok(file) = File::open(format!("/proc/{pid}/cmdline")) else { return (None, None) };
        let user = owner(pid, &file).map(|number| self.user(number));
        (command(file), user)
    }
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)): the name in parentheses may hold spaces and parentheses itself.
pub(super) fn parse(stat: &[u8]) -> Option<Status> {
    let text = String::from_utf8_lossy(stat);
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    // The start time is field 22, the parent field 4.
    let start = fields.nth(17)?.parse().ok()?;
    Some(Status { name: name.to_owned(), parent, ended, start })
}

/// Arguments joined by spaces, what follows flags of secrets left out.
fn command(mut file: File) -> Option<String> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]).ok()? {
            0 => break,
            more => length += more,
        }
        if length < bytes.len() {
            // A short read is the end here: a second one would say no more.
            break;
        }
        if length >= LONGEST_COMMAND {
            break;
        }
        bytes.resize(length + 4096, 0);
    }
    let text = String::from_utf8_lossy(&bytes[..length]);
    let arguments = text.trim_end_matches('\0').split('\0');
    Some(without_secrets(arguments).join(" ")).filter(|command| !command.trim().is_empty())
}

/// The effective user. Files of a process belong to it, or to root when others may not look into the process.
fn owner(pid: u32, file: &File) -> Option<u32> {
    match file.metadata().ok()?.uid() {
        0 => {
            let mut buffer = [0; 2048];
            let length = File::open(format!("/proc/{pid}/status")).ok()?.read(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]);
            let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        }
        user => Some(user),
    }
}

impl SystemProcesses {
    fn user(&self, number: u32) -> String {
        let mut users = self.users.borrow_mut();
        let name = users.entry(number).or_insert_with(|| {
            let user = uzers::get_user_by_uid(number);
            user.map_or_else(|| number.to_string(), |user| user.name().to_string_lossy().into_owned())
        });
        name.clone()
    }
}
