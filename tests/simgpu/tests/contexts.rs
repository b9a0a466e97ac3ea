//! Contexts, threads' current ones, and host memory that a program registers.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use std::ptr::null_mut;

use common::{Session, assert_tidy};
use cudarc::driver::{result, sys};
use simgpu::{Card, Fault, Machine};
use sys::CUresult::{
    CUDA_ERROR_CONTEXT_IS_DESTROYED, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
    CUDA_ERROR_INVALID_CONTEXT, CUDA_SUCCESS,
};

fn one_card() -> Machine {
    Machine::new().cards(1, Card::sized(256, 100))
}

#[test]
fn a_primary_context_is_shared_and_leaves_with_its_last_user() {
    let Some(used) = common::on("a_primary_context_is_shared_and_leaves_with_its_last_user", one_card(), || {
        let (first, second) = (Session::open(0), Session::open(0));
        assert_eq!(result::mem_get_info().unwrap().0, 156 << 20, "one context for both");
        first.alloc(10 << 20);
        first.stream();
        drop(first);
        assert_eq!(result::mem_get_info().unwrap().0, 146 << 20);
        let (mut flags, mut active) = (1, 0);
        let state = |flags: &mut u32, active: &mut i32| unsafe { sys::cuDevicePrimaryCtxGetState(0, flags, active) };
        assert_eq!(state(&mut flags, &mut active), CUDA_SUCCESS);
        assert_eq!((flags, active), (0, 1));
        drop(second);
        assert_eq!(state(&mut flags, &mut active), CUDA_SUCCESS);
        assert_eq!(active, 0);
        assert_eq!(unsafe { sys::cuCtxSynchronize() }, CUDA_ERROR_CONTEXT_IS_DESTROYED);
    }) else {
        return;
    };
    assert_tidy(&used);
    assert_eq!(used.units[0].high_water, 110 << 20);
}

#[test]
fn each_thread_has_its_stack() {
    let Some(used) = common::on("each_thread_has_its_stack", one_card(), || unsafe {
        result::init().unwrap();
        let mut context = null_mut();
        assert_eq!(sys::cuCtxCreate_v2(&raw mut context, 0, 0), CUDA_SUCCESS);
        let mut current = null_mut();
        assert_eq!((sys::cuCtxGetCurrent(&raw mut current), current), (CUDA_SUCCESS, context));
        std::thread::spawn(|| {
            let mut current = std::ptr::dangling_mut();
            assert_eq!((sys::cuCtxGetCurrent(&raw mut current), current), (CUDA_SUCCESS, null_mut()));
            assert_eq!(sys::cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
        })
        .join()
        .unwrap();
        assert_eq!(sys::cuCtxPushCurrent_v2(context), CUDA_SUCCESS);
        assert_eq!((sys::cuCtxPopCurrent_v2(&raw mut current), current), (CUDA_SUCCESS, context));
        assert_eq!((sys::cuCtxPopCurrent_v2(&raw mut current), current), (CUDA_SUCCESS, context));
        assert_eq!(sys::cuCtxPopCurrent_v2(&raw mut current), CUDA_ERROR_INVALID_CONTEXT);
        assert_eq!(sys::cuCtxDestroy_v2(context), CUDA_SUCCESS);
        assert_eq!(sys::cuCtxSetCurrent(context), CUDA_ERROR_INVALID_CONTEXT);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn a_card_too_full_for_a_context_says_so() {
    let machine = Machine::new().card(Card::sized(256, 100).process(4242, 100 << 20).hidden(57 << 20));
    let Some(used) = common::on("a_card_too_full_for_a_context_says_so", machine, || {
        result::init().unwrap();
        let refused = unsafe { result::primary_ctx::retain(0) }.unwrap_err();
        assert_eq!(refused.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn registered_memory_is_pinned_until_it_is_not() {
    let Some(used) = common::on("registered_memory_is_pinned_until_it_is_not", one_card(), || unsafe {
        let session = Session::open(0);
        let (block, stream) = (session.alloc(8), session.stream());
        let mut bytes = vec![1u8; 8];
        let at = bytes.as_mut_ptr().cast();
        assert_eq!(sys::cuMemHostRegister_v2(at, 8, 0), CUDA_SUCCESS);
        assert_eq!(sys::cuMemHostRegister_v2(at.add(7), 8, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        session.put_later(block, &bytes, stream).unwrap();
        bytes[0] = 2;
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 2), [2, 1]);
        assert_eq!(sys::cuMemHostUnregister(at), CUDA_SUCCESS);
        assert_eq!(sys::cuMemHostUnregister(at), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
        session.put_later(block, &bytes, stream).unwrap();
        bytes[0] = 3;
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 2), [2, 1]);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
    assert_eq!(used.misuses(), 1);
}

#[test]
fn what_a_process_keeps_to_the_end_is_told() {
    let Some(used) = common::on("what_a_process_keeps_to_the_end_is_told", one_card(), || {
        let session = Session::open(0);
        session.alloc(3 << 20);
        session.alloc(100);
        session.pin(4096);
        session.stream();
        std::mem::forget(session);
    }) else {
        return;
    };
    let pid = used.processes[0].pid;
    let left = ["1 contexts on card 0", "2 allocations (6291456 bytes) on card 0", "1 pinned host blocks", "1 streams"];
    assert_eq!(used.loose_ends(), left.map(|end| format!("process {pid}: {end}")));
    assert_eq!(used.leaked(), (100 + 6) << 20);
}

#[test]
fn a_slow_driver_takes_its_time() {
    let machine = one_card().fault(Fault::SlowNvml { millis: 30 });
    let Some(used) = common::on("a_slow_driver_takes_its_time", machine, || {
        let nvml = nvml_wrapper::Nvml::init().unwrap();
        let card = nvml.device_by_index(0).unwrap();
        let start = std::time::Instant::now();
        card.name().unwrap();
        assert!(start.elapsed().as_millis() >= 30);
    }) else {
        return;
    };
    assert_tidy(&used);
}
