//! Several processes on one machine, and which cards each sees.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Session, assert_tidy};
use cudarc::driver::{result, sys};
use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use simgpu::{Card, Machine, MigInstance};

const MIB: u64 = 1 << 20;

/// A process that holds 600 MiB of card 0 until its standard input ends.
#[test]
fn a_holder() {
    if !common::is_child("a_holder") {
        return;
    }
    let session = Session::open(0);
    session.alloc(500 << 20);
    println!("holding");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
fn processes_see_each_other() {
    let name = "processes_see_each_other";
    if common::is_child(name) {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        let processes = card.running_compute_processes().unwrap();
        assert_eq!(processes.len(), 1);
        assert_eq!(processes[0].pid.to_string(), std::env::var("HOLDER").unwrap());
        assert_eq!(processes[0].used_gpu_memory, UsedGpuMemory::Used(600 * MIB));
        let session = Session::open(0);
        assert_eq!(result::mem_get_info().unwrap().0, 324 << 20);
        assert!(unsafe { result::malloc_sync(326 << 20) }.is_err());
        session.alloc(324 << 20);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new().cards(1, Card::sized(1024, 100)).install(dir.path()).unwrap();
    let mut holder = common::child("a_holder", &machine);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(holder.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("holding") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the holder ended early");
    }
    let used = common::run(name, &machine, |command| {
        command.env("HOLDER", holder.id().to_string());
    });
    assert_eq!(used.units[0].high_water, 1024 * MIB);
    assert!(used.processes[0].alive);
    assert_eq!(used.processes[1].device_bytes(), 0);
    assert_eq!(used.leaked(), 0);

    // Killed, it gives nothing back itself; the machine counts that, and is free again all the same.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let used = machine.used().unwrap();
    assert_eq!(used.leaked(), 600 * MIB);
    assert!(!used.processes[0].alive);
    let used = common::run("a_reader_of_free_memory", &machine, |_| {});
    assert_eq!(used.processes.len(), 3);
}

/// A process that finds the whole card free.
#[test]
fn a_reader_of_free_memory() {
    if common::is_child("a_reader_of_free_memory") {
        let _session = Session::open(0);
        assert_eq!(result::mem_get_info().unwrap().0, 924 << 20);
    }
}

#[test]
fn a_machine_changes_under_a_running_program() {
    let name = "a_machine_changes_under_a_running_program";
    if common::is_child(name) {
        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        assert_eq!(card.memory_info().unwrap().used, 0);
        println!("holding");
        std::io::stdout().flush().unwrap();
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        assert_eq!(card.memory_info().unwrap().used, 700 * MIB);
        assert_eq!(card.utilization_rates().unwrap().gpu, 93);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut machine = Machine::new().cards(1, Card::a10()).install(dir.path()).unwrap();
    let mut child = common::child(name, &machine).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("holding") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child ended early");
    }
    let busy = |card: &mut Card| card.utilization = Some(simgpu::machine::Utilization { gpu: 93, memory: 40 });
    machine.change(|machine| machine.with_card(0, |card| card.process(77, 700 * MIB).with(busy))).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_tidy(&machine.used().unwrap());
}

/// Names of the devices that CUDA shows under a `CUDA_VISIBLE_DEVICES`.
#[test]
fn masks_choose_and_order_cards() {
    let name = "masks_choose_and_order_cards";
    if common::is_child(name) {
        let expected = std::env::var("EXPECTED").unwrap();
        let shown = match result::init() {
            Ok(()) => {
                let count = result::device::get_count().unwrap();
                let address = |ordinal| {
                    let device = result::device::get(ordinal).unwrap();
                    let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID;
                    let bus = unsafe { result::device::get_attribute(device, attribute) }.unwrap();
                    format!("{bus:x}")
                };
                (0..count).map(address).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{:?}", error.0),
        };
        assert_eq!(shown, expected);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new().cards(2, Card::a10()).card(Card::h100_80gb()).card(Card::a10());
    let uuid = machine.cards[2].uuid.clone();
    let machine = machine.install(dir.path()).unwrap();
    let none = "CUDA_ERROR_NO_DEVICE";
    let by_bus = |mask: Option<&str>, expected: &str| {
        common::run(name, &machine, |command| {
            command.env("EXPECTED", expected).env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
            command.envs(mask.map(|mask| ("CUDA_VISIBLE_DEVICES", mask)));
        });
    };
    by_bus(None, "10 11 12 13");
    by_bus(Some("3,0"), "13 10");
    by_bus(Some("1,9,0"), "11");
    by_bus(Some(""), none);
    by_bus(Some("-1"), none);
    by_bus(Some("1,1"), none);
    by_bus(Some(&uuid), "12");
    by_bus(Some(&uuid[..12]), "12");
    by_bus(Some("GPU-"), none);
    // CUDA's own order puts the fastest card first.
    common::run(name, &machine, |command| {
        command.env("EXPECTED", "12 10 11 13");
    });
}

#[test]
fn an_instance_is_a_card_of_its_own() {
    let machine =
        Machine::new().card(Card::a100_80gb().partitioned(2, MigInstance::a100_3g_40gb())).card(Card::a100_80gb());
    let second = match &machine.cards[0].mig {
        simgpu::machine::Mig::Enabled(instances) => instances[1].uuid.clone(),
        _ => unreachable!("partitioned above"),
    };
    let mask = second.clone();
    let prepare = |command: &mut std::process::Command| {
        command.env("CUDA_VISIBLE_DEVICES", mask);
    };
    let Some(used) = common::on_with("an_instance_is_a_card_of_its_own", machine, prepare, || {
        let session = Session::open(0);
        assert_eq!(result::device::get_count().unwrap(), 1);
        let device = result::device::get(0).unwrap();
        assert_eq!(result::device::get_name(device).unwrap(), "NVIDIA A100-SXM4-80GB MIG 3g.40gb");
        assert_eq!(unsafe { result::device::total_mem(device) }.unwrap(), 40_155 << 20);
        session.alloc(1 << 30);

        let nvml = Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        assert_eq!(card.mig_mode().unwrap().current, 1);
        assert_eq!(card.mig_device_count().unwrap(), 7);
        let slice = card.mig_device_by_index(1).unwrap();
        assert!(slice.mig_is_mig_device_handle().unwrap());
        assert_eq!(slice.uuid().unwrap(), std::env::var("CUDA_VISIBLE_DEVICES").unwrap());
        assert_eq!(slice.memory_info().unwrap().used, (1024 + 200) * MIB);
        assert_eq!(card.mig_device_by_index(0).unwrap().memory_info().unwrap().used, 0);
        assert!(card.mig_device_by_index(2).is_err());
        assert_eq!(slice.mig_parent_device().unwrap().uuid().unwrap(), card.uuid().unwrap());
        assert_eq!(card.memory_info().unwrap().used, (1024 + 200) * MIB, "a card counts its instances");
        let processes = card.running_compute_processes().unwrap();
        assert_eq!((processes[0].pid, processes[0].gpu_instance_id), (std::process::id(), Some(2)));
        let whole = nvml.device_by_index(1).unwrap();
        assert_eq!(whole.mig_mode().unwrap().current, 0);
        assert_eq!(whole.memory_info().unwrap().used, 0);
    }) else {
        return;
    };
    assert_tidy(&used);
    assert!(second.starts_with("MIG-"));
    assert_eq!(used.units.len(), 4);
    assert_eq!(used.units[3].high_water, (1024 + 200) * MIB);
}

#[test]
fn threads_work_on_a_card_each() {
    let machine = Machine::new().cards(4, Card::h100_80gb());
    let Some(used) = common::on("threads_work_on_a_card_each", machine, || {
        std::thread::scope(|scope| {
            for ordinal in 0..4u8 {
                scope.spawn(move || {
                    let session = Session::open(i32::from(ordinal));
                    let arena = session.alloc(70 << 30);
                    let (stream, staging) = (session.stream(), session.pin(1 << 20));
                    for step in 0..16u8 {
                        staging.fill(ordinal * 16 + step);
                        // Far apart in an arena of which nothing else takes memory.
                        session.put_later(arena + (u64::from(step) << 32), staging, stream).unwrap();
                        session.wait(stream).unwrap();
                    }
                    for step in 0..16u8 {
                        let last = arena + (u64::from(step) << 32) + (1 << 20) - 1;
                        assert_eq!(session.get(last, 1), [ordinal * 16 + step]);
                    }
                    session.unpin(staging);
                    session.destroy(stream);
                    session.free(arena);
                });
            }
        });
    }) else {
        return;
    };
    assert_tidy(&used);
    assert_eq!(used.copies(), (4 * 32, 4 * 16 * ((1 << 20) + 1)));
    assert!(used.units.iter().all(|unit| unit.high_water == (70 << 30) + 505 * MIB));
}
