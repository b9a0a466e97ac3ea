//! Which processes belong to a command: its group, its descendants, and those of them that have since lost their parents.

use std::collections::HashSet;

/// The processes of one command.
#[derive(Debug, Clone)]
pub struct Family {
    group: u32,
    known: HashSet<u32>,
}

/// What is asked about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kin {
    parent: u32,
    group: u32,
}

/// Most generations followed.
const GENERATIONS: usize = 64;

impl Family {
    /// The family of the process that leads a group.
    #[must_use]
    pub fn new(leader: u32) -> Self {
        Self { group: leader, known: HashSet::from([leader]) }
    }

    /// Whether a process belongs to it. One that once did does so for good, also when its parent has ended or it has left the group.
    pub fn contains(&mut self, pid: u32) -> bool {
        self.contains_by(pid, look_up)
    }

    fn contains_by(&mut self, pid: u32, look_up: impl Fn(u32) -> Option<Kin>) -> bool {
        let mut line = Vec::new();
        let mut next = pid;
        for _ in 0..GENERATIONS {
            let kin = if self.known.contains(&next) { None } else { look_up(next) };
            if self.known.contains(&next) || kin.is_some_and(|kin| kin.group == self.group) {
                self.known.insert(next);
                self.known.extend(line);
                return true;
            }
            let Some(kin) = kin.filter(|kin| kin.parent > 1) else { return false };
            line.push(next);
            next = kin.parent;
        }
        false
    }
}

#[cfg(target_os = "linux")]
fn look_up(pid: u32) -> Option<Kin> {
    let stat = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some(Kin { parent: u32::try_from(stat.ppid).ok()?, group: u32::try_from(stat.pgrp).ok()? })
}

#[cfg(not(target_os = "linux"))]
fn look_up(_pid: u32) -> Option<Kin> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_belong_wherever_they_went() {
        // 100 leads the group; 101 is its child; 102, a grandchild, left the group; 200 is a stranger.
        let kin = |pid: u32| match pid {
            101 => Some(Kin { parent: 100, group: 100 }),
            102 => Some(Kin { parent: 101, group: 102 }),
            200 => Some(Kin { parent: 1, group: 200 }),
            _ => None,
        };
        let mut family = Family::new(100);
        assert!(family.contains_by(102, kin) && !family.contains_by(200, kin));
        // Its parent has ended since, and it was handed to process 1.
        let orphaned = |pid: u32| (pid == 102).then_some(Kin { parent: 1, group: 102 });
        assert!(family.contains_by(102, orphaned));
        assert!(!Family::new(100).contains_by(102, orphaned));
    }

    #[test]
    fn circles_end() {
        let circle = |pid: u32| Some(Kin { parent: if pid == 7 { 8 } else { 7 }, group: 7 });
        assert!(!Family::new(100).contains_by(7, circle));
    }
}
