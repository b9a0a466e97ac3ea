//! When copies happen, and which are refused.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use common::{Session, assert_tidy};
use cudarc::driver::{result, sys};
use simgpu::{Card, Machine};

fn one_card() -> Machine {
    Machine::new().cards(1, Card::sized(1024, 100))
}

#[test]
fn a_staging_buffer_refilled_too_early_delivers_wrong_bytes() {
    let name = "a_staging_buffer_refilled_too_early_delivers_wrong_bytes";
    let Some(used) = common::on(name, one_card(), || {
        let session = Session::open(0);
        let (block, stream, staging) = (session.alloc(4096), session.stream(), session.pin(4096));
        staging.fill(1);
        session.put_later(block, staging, stream).unwrap();
        staging.fill(2);
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 4096), [2; 4096], "the copy had not run when the buffer was refilled");

        staging.fill(3);
        session.put_later(block, staging, stream).unwrap();
        session.wait(stream).unwrap();
        staging.fill(4);
        assert_eq!(session.get(block, 4096), [3; 4096]);
        session.unpin(staging);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
    assert_eq!(used.copies(), (4, 4 * 4096));
    assert_eq!(used.processes[0].counters.pinned_high_water, 4096);
}

#[test]
fn pageable_memory_is_copied_at_once() {
    let Some(used) = common::on("pageable_memory_is_copied_at_once", one_card(), || {
        let session = Session::open(0);
        let (block, stream) = (session.alloc(100), session.stream());
        let mut bytes = vec![1; 100];
        session.put_later(block, &bytes, stream).unwrap();
        bytes.fill(2);
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 100), [1; 100]);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn freeing_a_buffer_in_use_is_an_error() {
    let Some(used) = common::on("freeing_a_buffer_in_use_is_an_error", one_card(), || {
        let session = Session::open(0);
        let (block, stream, staging) = (session.alloc(4096), session.stream(), session.pin(4096));
        session.put_later(block, staging, stream).unwrap();
        session.unpin(staging);
        // The same size is likely to come back at the same address; it is another buffer all the same.
        let other = session.pin(4096);
        let failed = session.wait(stream).unwrap_err();
        assert_eq!(failed.0, sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
        let sticks = session.put(block, &[1]).unwrap_err();
        assert_eq!(sticks.0, sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, "nothing in the context survives it");
        session.unpin(other);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
    assert_eq!(used.misuses(), 1);
}

#[test]
fn events_order_streams_and_nothing_else_does() {
    let Some(used) = common::on("events_order_streams_and_nothing_else_does", one_card(), || {
        let session = Session::open(0);
        let (first, second) = (session.stream(), session.stream());
        let block = session.alloc(4096);
        let (ones, twos) = (session.pin(4096), session.pin(4096));
        ones.fill(1);
        twos.fill(2);
        session.put_later(block, ones, first).unwrap();
        session.put_later(block, twos, second).unwrap();
        result::ctx::synchronize().unwrap();
        assert_eq!(session.get(block, 1), [1], "without an event, the later copy may well run first");

        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).unwrap();
        unsafe {
            session.put_later(block, ones, first).unwrap();
            result::event::record(event, first).unwrap();
            let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            result::stream::wait_event(second, event, flags).unwrap();
            session.put_later(block, twos, second).unwrap();
            session.wait(second).unwrap();
            assert_eq!(result::event::query(event), Ok(()));
            result::event::destroy(event).unwrap();
        }
        assert_eq!(session.get(block, 1), [2]);
        session.unpin(ones);
        session.unpin(twos);
        session.destroy(first);
        session.destroy(second);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn each_question_finds_one_more_copy_done() {
    let Some(used) = common::on("each_question_finds_one_more_copy_done", one_card(), || {
        let session = Session::open(0);
        let (block, stream, staging) = (session.alloc(4096), session.stream(), session.pin(4096));
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).unwrap();
        unsafe {
            assert_eq!(result::event::query(event), Ok(()), "never recorded");
            session.put_later(block, staging, stream).unwrap();
            session.put_later(block, staging, stream).unwrap();
            result::event::record(event, stream).unwrap();
            let not_ready = sys::CUresult::CUDA_ERROR_NOT_READY;
            assert_eq!(result::event::query(event).unwrap_err().0, not_ready);
            assert_eq!(sys::cuStreamQuery(stream), not_ready);
            assert_eq!(result::event::query(event), Ok(()));
            assert_eq!(sys::cuStreamQuery(stream), sys::CUresult::CUDA_SUCCESS);
            result::event::destroy(event).unwrap();
        }
        session.unpin(staging);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
    assert_eq!(used.copies().0, 2);
}

#[test]
fn times_follow_the_link() {
    let Some(used) = common::on("times_follow_the_link", one_card(), || {
        let session = Session::open(0);
        let (size, stream) = (64 << 20, session.stream());
        let (block, staging) = (session.alloc(size), session.pin(size));
        let timed = || result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).unwrap();
        let (start, end) = (timed(), timed());
        unsafe {
            result::event::record(start, stream).unwrap();
            session.put_later(block, staging, stream).unwrap();
            result::event::record(end, stream).unwrap();
            result::event::synchronize(end).unwrap();
            // 64 MiB at 25.6 GB/s, generation 4 with 16 lanes.
            let elapsed = result::event::elapsed(start, end).unwrap();
            assert!((2.6..2.7).contains(&elapsed), "{elapsed} ms");
            result::event::destroy(start).unwrap();
            result::event::destroy(end).unwrap();
        }
        session.unpin(staging);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn fills_run_in_order_on_their_stream() {
    let Some(used) = common::on("fills_run_in_order_on_their_stream", one_card(), || {
        let session = Session::open(0);
        let (block, stream) = (session.alloc(200 << 20), session.stream());
        assert_ne!(session.get(block, 4), [0; 4], "memory is not clear before somebody clears it");
        unsafe {
            result::memset_d8_async(block, 0, 200 << 20, stream).unwrap();
            result::memset_d8_async(block + 2, 7, 1, stream).unwrap();
            assert_eq!(sys::cuMemsetD2D8Async(block + 8, 4, 9, 2, 3, stream), sys::CUresult::CUDA_SUCCESS);
        }
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 20), [0, 0, 7, 0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0]);
        assert_eq!(session.get(block + (200 << 20) - 2, 2), [0, 0]);
        // The form without a stream does not wait either: only the default stream orders it.
        unsafe { result::memset_d8_sync(block, 5, 4) }.unwrap();
        unsafe { result::memset_d8_async(block, 6, 4, stream) }.unwrap();
        session.wait(stream).unwrap();
        result::ctx::synchronize().unwrap();
        assert_eq!(session.get(block, 4), [5; 4]);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
}

#[test]
fn wild_pointers_are_refused() {
    let Some(used) = common::on("wild_pointers_are_refused", one_card(), || {
        let session = Session::open(0);
        let block = session.alloc(4096);
        let gone = session.alloc(2 << 20);
        session.free(gone);
        let invalid = sys::CUresult::CUDA_ERROR_INVALID_VALUE;
        let byte = 1u8;
        let here = (&raw const byte).cast();
        unsafe {
            assert_eq!(sys::cuMemcpyHtoD_v2(block + 4096, here, 1), invalid, "past the end");
            assert_eq!(sys::cuMemcpyHtoD_v2(block + 4000, here, 97), invalid, "over the end");
            assert_eq!(sys::cuMemcpyHtoD_v2(gone, here, 1), invalid, "freed");
            assert_eq!(sys::cuMemcpyHtoD_v2(0, here, 1), invalid, "null device address");
            assert_eq!(sys::cuMemcpyHtoD_v2(here as u64, here, 1), invalid, "a host address");
            assert_eq!(sys::cuMemcpyHtoD_v2(block, std::ptr::null(), 1), invalid, "null host address");
            assert_eq!(sys::cuMemcpyHtoD_v2(block, block as *const _, 1), invalid, "a device address");
            assert_eq!(sys::cuMemcpyHtoD_v2(block, 0x1000 as *const _, 1), invalid, "nobody's memory");
            assert_eq!(sys::cuMemsetD8_v2(block, 0, 4097), invalid, "over the end");
            assert_eq!(sys::cuMemFreeHost(here.cast_mut()), invalid, "not pinned");
            assert_eq!(sys::cuMemcpyHtoD_v2(block, here, 0), sys::CUresult::CUDA_SUCCESS, "nothing to copy");
        }
        session.put(block, &[1, 2, 3]).unwrap();
        assert_eq!(session.get(block, 3), [1, 2, 3], "the context is none the worse");
        session.free(block);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
    assert_eq!(used.misuses(), 10);
}

#[test]
fn memory_belongs_to_one_context() {
    let machine = Machine::new().cards(2, Card::sized(256, 10));
    let Some(used) = common::on("memory_belongs_to_one_context", machine, || {
        let first = Session::open(0);
        let block = first.alloc(16);
        let second = Session::open(1);
        assert!(second.put(block, &[1]).is_err(), "another card's context is current");
        drop(second);
        assert_eq!(first.put(block, &[1]).unwrap_err().0, sys::CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
}
