//! The live path against the simulated driver: nvml-wrapper, the calls it does not wrap, and every refusal.

use assert_cmd::Command;
use serde_json::{Value, json};
use simgpu::machine::{MIB, Machine, NvLink, NvmlFailure};
use simgpu::{Card, Fault, Installed, MigInstance};

use super::{contract, json};

/// A machine in a folder of its own, which goes with the test.
struct Bench {
    machine: Installed,
    _folder: tempfile::TempDir,
}

fn bench(machine: Machine) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine.install(folder.path()).unwrap();
    Bench { machine, _folder: folder }
}

impl Bench {
    fn probe(&self) -> Command {
        let mut command = Command::from_std(self.machine.command(env!("CARGO_BIN_EXE_shardfit")));
        command.env_remove("CUDA_VISIBLE_DEVICES").env_remove("CUDA_DEVICE_ORDER").arg("probe");
        command
    }

    /// The report, after checking the exit code.
    #[track_caller]
    fn report(&self, exit: i32) -> Value {
        let output = self.probe().args(["--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

const GONE: u32 = u32::MAX - 7;

#[test]
fn four_cards_with_their_holders() {
    let own = std::process::id();
    let machine = Machine::new()
        .cards(4, Card::a10())
        .with_card(1, |card| card.process(own, 900 * MIB).graphics_process(own, 900 * MIB).process(GONE, 2000 * MIB))
        .with_card(2, |card| card.hidden(5000 * MIB));
    let report = bench(machine).report(0);
    assert_eq!(report["schema"], "shardfit/probe/1");
    assert_eq!(report["source"], "live");
    assert_eq!(report["driver_version"], "570.124.06");
    assert_eq!(report["cuda_version"], "12.8");
    let cards = report["cards"].as_array().unwrap();
    assert_eq!(cards.len(), 4);
    for card in cards {
        let memory = &card["memory"];
        assert_eq!(card["name"], "NVIDIA A10");
        assert_eq!(card["compute_capability"], "8.6");
        assert_eq!(memory["total_bytes"], 23_028 * MIB);
        assert_eq!(memory["reserved_bytes"], 520 * MIB);
        assert_eq!(memory["cuda_total_bytes"], 22_508 * MIB);
        let parts = ["reserved_bytes", "used_bytes", "free_bytes"].map(|part| memory[part].as_u64().unwrap());
        assert_eq!(parts.iter().sum::<u64>(), 23_028 * MIB);
        assert_eq!(card["mig_reason"], "not supported");
        assert_eq!(card["lost"], false);
    }
    // Compute and graphics entries of one process are one; a process that is not visible here keeps its bytes.
    let holders = cards[1]["processes"].as_array().unwrap();
    assert_eq!(holders.len(), 2, "{holders:?}");
    assert_eq!((&holders[0]["pid"], &holders[0]["used_bytes"]), (&json!(GONE), &json!(2000 * MIB)));
    assert_eq!(holders[0]["name_reason"], "not visible from here");
    assert_eq!((&holders[1]["pid"], &holders[1]["used_bytes"]), (&json!(own), &json!(900 * MIB)));
    assert!(holders[1]["command"].as_str().unwrap().contains("probe"), "{holders:?}");
    assert!(holders[1]["user"].is_string());
    assert_eq!(holders[1]["orphan"], false);

    assert_eq!(cards[2]["unlisted_is"], "unseen_processes");
    assert!(cards[2]["unlisted_bytes"].as_u64().unwrap() >= 5000 * MIB);
    assert_eq!(cards[3]["unlisted_is"], "own_use");

    assert_eq!(report["peers"].as_array().unwrap().len(), 6);
    for peer in report["peers"].as_array().unwrap() {
        assert_eq!(peer["nvlinks_reason"], "not supported");
        assert_eq!(peer["common_ancestor"], "node");
        assert!(peer["peer_access"].is_boolean());
    }
}

#[test]
fn asking_leaves_nothing_on_the_cards() {
    let bench = bench(Machine::new().cards(2, Card::a10()));
    bench.report(0);
    assert_eq!(bench.machine.used().unwrap().loose_ends(), [] as [String; 0]);
}

#[test]
fn the_mask_is_that_of_the_environment() {
    let bench = bench(Machine::new().cards(2, Card::a10()).card(Card::h100_80gb()));
    let seen = |variables: &[(&str, &str)]| {
        let report = json(bench.probe().envs(variables.iter().copied()));
        let devices = report["cuda"]["devices"].as_array().unwrap().clone();
        devices.iter().map(|device| device["card"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&[]), [2, 0, 1]);
    assert_eq!(seen(&[("CUDA_DEVICE_ORDER", "PCI_BUS_ID")]), [0, 1, 2]);
    assert_eq!(seen(&[("CUDA_VISIBLE_DEVICES", "0")]), [2]);
    assert_eq!(seen(&[("CUDA_VISIBLE_DEVICES", "0"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")]), [0]);
    assert_eq!(seen(&[("CUDA_VISIBLE_DEVICES", "GPU-00000001")]), [1]);
}

#[test]
fn nvlink_is_counted_per_pair() {
    let through_switch = bench(Machine::new().cards(3, Card::h100_80gb())).report(0);
    for peer in through_switch["peers"].as_array().unwrap() {
        assert_eq!((&peer["nvlinks"], &peer["peer_access"]), (&json!(18), &json!(true)), "{peer}");
    }
    // Cards 0 and 1 on a bridge of four, card 2 beside them.
    let bridged = |far: usize| {
        let card = Card::h100_80gb();
        card.with(|card| card.nvlinks = [vec![NvLink::Card(far); 4], vec![NvLink::Inactive; 14]].concat())
    };
    let alone = Card::h100_80gb().with(|card| card.nvlinks = vec![NvLink::Inactive; 18]);
    let report = bench(Machine::new().card(bridged(1)).card(bridged(0)).card(alone)).report(0);
    let nvlinks: Vec<_> = report["peers"].as_array().unwrap().iter().map(|peer| peer["nvlinks"].clone()).collect();
    assert_eq!(nvlinks, [json!(4), json!(0), json!(0)]);
}

#[test]
fn a_partitioned_card_shows_its_instances() {
    let instance = MigInstance::a100_1g_10gb();
    let mut busy = Card::a100_80gb().partitioned(3, instance);
    if let simgpu::machine::Mig::Enabled(instances) = &mut busy.mig {
        let process = simgpu::machine::OtherProcess { pid: GONE, bytes: Some(300 * MIB), graphics: false };
        instances[1].processes.push(process);
    }
    let machine = Machine::new().card(busy).card(Card::a100_80gb());
    let report = bench(machine).report(0);
    let mig = &report["cards"][0]["mig"];
    assert_eq!(mig["enabled"], true);
    let instances = mig["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 3);
    for (index, instance) in instances.iter().enumerate() {
        assert_eq!(instance["index"], index);
        assert_eq!(instance["gpu_instance"], 7 + index);
        assert_eq!(instance["memory"]["cuda_total_bytes"], (9728 - 13) * MIB);
        assert!(instance["uuid"].as_str().unwrap().starts_with("MIG-"));
    }
    // The same process, told by the card and by its instance, stands once.
    let holders = report["cards"][0]["processes"].as_array().unwrap();
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!(holders[0]["gpu_instance"], 8);
    assert_eq!(report["cards"][1]["mig"]["enabled"], false);
    // Driver branch 570: whole cards first, then one of each GPU instance.
    assert_eq!(report["cuda"]["devices"].as_array().unwrap().len(), 4);
    assert_eq!(report["cuda"]["devices"][0]["card"], 1);
}

#[test]
fn memory_v1_stands_in_for_v2() {
    let machine = Machine::new().cards(1, Card::a10()).fault(Fault::no_memory_v2());
    let report = bench(machine).report(0);
    let card = &report["cards"][0];
    assert_eq!(card["memory"]["total_bytes"], 23_028 * MIB);
    assert_eq!(card["memory"]["reserved_bytes_reason"], "not supported");
    assert_eq!(card["memory"]["cuda_total_bytes"], Value::Null);
    // v1 counts the driver's part as used.
    assert!(card["memory"]["used_bytes"].as_u64().unwrap() >= 520 * MIB, "{card}");
    assert_eq!(card["unlisted_is"], "reserved_or_unseen");
    assert!(report["warnings"][0].as_str().unwrap().contains("reserved memory"), "{report}");
}

#[test]
fn one_refused_reading_does_not_cost_the_rest() {
    let calls = [
        ("nvmlDeviceGetUUID", "uuid"),
        ("nvmlDeviceGetName", "name"),
        ("nvmlDeviceGetPciInfo_v3", "pci_bus_id"),
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability"),
        ("nvmlDeviceGetTemperature", "temperature_celsius"),
        ("nvmlDeviceGetPowerUsage", "power_milliwatts"),
        ("nvmlDeviceGetUtilizationRates", "utilization_percent"),
        ("nvmlDeviceGetCurrPcieLinkGeneration", "pcie"),
        ("nvmlDeviceGetMigMode", "mig"),
    ];
    let reasons = [
        (NvmlFailure::NotSupported, "not supported"),
        (NvmlFailure::NoPermission, "permission denied"),
        (NvmlFailure::Unknown, "the driver failed to answer"),
    ];
    let card = Card::a100_80gb();
    let whole = bench(Machine::new().card(card.clone())).report(0);
    for (call, field) in calls {
        assert!(!whole["cards"][0][field].is_null(), "{field} is there without the fault");
        for (failure, reason) in reasons {
            let machine = Machine::new().card(card.clone()).fault(Fault::nvml(call, failure));
            let mut report = bench(machine).report(0);
            let shown = &mut report["cards"][0];
            assert_eq!(shown[format!("{field}_reason")], reason, "{call} {failure:?}");
            shown[field] = whole["cards"][0][field].clone();
            shown.as_object_mut().unwrap().shift_remove(&format!("{field}_reason"));
            assert_eq!(*shown, whole["cards"][0], "{call} {failure:?}");
        }
    }
}

#[test]
fn closed_process_lists_are_said() {
    let card = Card::a10().process(GONE, 300 * MIB);
    let machine = Machine::new().cards(2, card).faults(Fault::no_processes(NvmlFailure::NoPermission));
    let bench = bench(machine);
    let card = &bench.report(0)["cards"][0];
    assert_eq!(card["processes_reason"], "permission denied");
    assert_eq!(card["unlisted_bytes_reason"], "permission denied");
    assert!(card["memory"]["used_bytes"].as_u64().unwrap() >= 300 * MIB);
    let shown = contract(&mut bench.probe());
    assert!(shown.contains("cannot be told: permission denied"), "{shown}");
}

#[test]
fn a_lost_card_keeps_its_place() {
    let lost = Fault::CardLost { card: 1, after_copies: None, after_nvml_calls: Some(0) };
    let bench = bench(Machine::new().cards(3, Card::a10()).fault(lost));
    let report = bench.report(3);
    let lost: Vec<_> = report["cards"].as_array().unwrap().iter().map(|card| card["lost"] == true).collect();
    assert_eq!(lost, [false, true, false]);
    assert_eq!(report["cards"][1]["memory_reason"], "the card is lost");
    assert_eq!(report["cards"][2]["memory"]["cuda_total_bytes"], 22_508 * MIB);
    let shown = contract(&mut bench.probe());
    assert!(shown.contains("warning: card 1 is lost"), "{shown}");
}

#[test]
fn no_driver_is_one_sentence_and_exit_3() {
    let cases = [
        (NvmlFailure::DriverNotLoaded, "the driver is not loaded or sees no card"),
        (NvmlFailure::VersionMismatch, "of different versions"),
        (NvmlFailure::NoPermission, "this user may not talk to the NVIDIA driver"),
        (NvmlFailure::Unknown, "the NVIDIA management library fails"),
    ];
    for (failure, words) in cases {
        let machine = Machine::new().cards(1, Card::a10()).fault(Fault::nvml("nvmlInit_v2", failure));
        let bench = bench(machine);
        let shown = contract(&mut bench.probe());
        assert!(shown.starts_with("exit code: 3\n----- stdout -----\n----- stderr -----\nerror: "), "{shown}");
        assert!(shown.contains(words), "{shown}");
        let error = bench.report(3);
        assert_eq!((&error["schema"], &error["exit_code"]), (&json!("shardfit/error/1"), &json!(3)));
    }
    let bare = contract(&mut bench(Machine::new()).probe());
    assert!(bare.starts_with("exit code: 3\n") && bare.contains("shows no card"), "{bare}");
}

/// A library that cannot be opened ends the search for it, also on a machine that has a real one.
#[test]
fn a_missing_library_is_one_sentence_and_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libnvidia-ml.so.1"), "no library").unwrap();
    let shown = contract(super::probe().env("LD_LIBRARY_PATH", folder.path()));
    let expected = "exit code: 3\n----- stdout -----\n----- stderr -----\nerror: no NVIDIA driver is installed here: the library `libnvidia-ml.so.1` cannot be opened\nhint: ";
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn what_is_saved_is_what_was_shown() {
    let machine = Machine::new().cards(2, Card::h100_80gb()).with_card(0, |card| card.process(GONE, 70_000 * MIB));
    let bench = bench(machine);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cards.json");
    let mut live = json(bench.probe().arg("--save").arg(&path));
    let replayed = json(super::probe().arg("--recording").arg(&path));
    assert_eq!(live["source"], "live");
    live["source"] = "recording".into();
    assert_eq!(live, replayed);
}
