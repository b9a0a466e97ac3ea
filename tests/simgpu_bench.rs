//! The bench that other tests stand on: the simulated driver is built, found, and what the program's own libraries open.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]

mod support;

use nvml_wrapper::Nvml;
use simgpu::{Card, Machine};
use support::Bench;

const CHILD: &str = "SIMGPU_BENCH_CHILD";

#[test]
fn the_program_runs_on_the_bench() {
    let bench = Bench::new(Machine::new().cards(1, Card::a10()));
    bench.shardfit().arg("--version").assert().success();
    bench.assert_everything_returned();
}

#[test]
fn the_libraries_open_the_simulated_driver() {
    let name = "the_libraries_open_the_simulated_driver";
    if std::env::var_os(CHILD).is_some() {
        let nvml = Nvml::init().unwrap();
        assert_eq!(nvml.device_count().unwrap(), 8);
        assert_eq!(cudarc::driver::CudaContext::device_count().unwrap(), 8);
        return;
    }
    let bench = Bench::new(Machine::new().cards(8, Card::h100_80gb()));
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(CHILD, "1");
    for (variable, value) in bench.command().get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let used = bench.used();
    assert_eq!(used.processes.len(), 1, "one process attached");
    bench.assert_everything_returned();
}
