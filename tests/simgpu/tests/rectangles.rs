//! Strided copies.
#![allow(clippy::disallowed_methods, reason = "tests run programs and read files")]
#![allow(unsafe_code, reason = "the driver API is C")]

mod common;

use common::{Session, assert_tidy};
use cudarc::driver::{result, sys};
use simgpu::{Card, Machine};

use sys::CUmemorytype::{CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST};

/// A request with nothing in it. (Its enum fields have no zero, so it cannot be zeroed.)
fn request() -> sys::CUDA_MEMCPY2D {
    sys::CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: CU_MEMORYTYPE_HOST,
        srcHost: std::ptr::null(),
        srcDevice: 0,
        srcArray: std::ptr::null_mut(),
        srcPitch: 0,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: CU_MEMORYTYPE_DEVICE,
        dstHost: std::ptr::null_mut(),
        dstDevice: 0,
        dstArray: std::ptr::null_mut(),
        dstPitch: 0,
        WidthInBytes: 0,
        Height: 0,
    }
}

/// Columns 3 and 4 of a host matrix of six columns to a device matrix of four, from its second row on.
fn columns(from: &[u8], to: u64, height: usize) -> sys::CUDA_MEMCPY2D {
    sys::CUDA_MEMCPY2D {
        srcHost: from.as_ptr().cast(),
        srcXInBytes: 3,
        srcPitch: 6,
        dstDevice: to,
        dstY: 1,
        dstPitch: 4,
        WidthInBytes: 2,
        Height: height,
        ..request()
    }
}

#[test]
fn rows_land_where_the_pitches_say() {
    let machine = Machine::new().cards(1, Card::sized(256, 10));
    let Some(used) = common::on("rows_land_where_the_pitches_say", machine, || {
        let session = Session::open(0);
        let (block, stream, staging) = (session.alloc(16), session.stream(), session.pin(18));
        unsafe { result::memset_d8_async(block, 0, 16, stream) }.unwrap();
        for (at, byte) in staging.iter_mut().enumerate() {
            *byte = u8::try_from(at).unwrap();
        }
        let there = columns(staging, block, 3);
        assert_eq!(unsafe { sys::cuMemcpy2DAsync_v2(&raw const there, stream) }, sys::CUresult::CUDA_SUCCESS);
        staging[9] = 99;
        session.wait(stream).unwrap();
        assert_eq!(session.get(block, 16), [0, 0, 0, 0, 3, 4, 0, 0, 99, 10, 0, 0, 15, 16, 0, 0]);

        // And back, into every second byte of a row of pageable memory.
        let mut back = [0u8; 12];
        let back_again = sys::CUDA_MEMCPY2D {
            srcMemoryType: CU_MEMORYTYPE_DEVICE,
            srcDevice: block + 4,
            srcPitch: 4,
            dstMemoryType: CU_MEMORYTYPE_HOST,
            dstHost: back.as_mut_ptr().cast(),
            dstPitch: 5,
            WidthInBytes: 2,
            Height: 3,
            ..request()
        };
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(&raw const back_again) }, sys::CUresult::CUDA_SUCCESS);
        assert_eq!(back, [3, 4, 0, 0, 0, 99, 10, 0, 0, 0, 15, 16]);
        session.unpin(staging);
        session.destroy(stream);
    }) else {
        return;
    };
    assert_tidy(&used);
    assert_eq!(used.copies(), (3, 6 + 16 + 6));
}

#[test]
fn rectangles_that_leave_their_memory_are_refused() {
    let machine = Machine::new().cards(1, Card::sized(256, 10));
    let Some(used) = common::on("rectangles_that_leave_their_memory_are_refused", machine, || {
        let session = Session::open(0);
        let block = session.alloc(16);
        let host = [0u8; 64];
        let ask = |request: sys::CUDA_MEMCPY2D| unsafe { sys::cuMemcpy2D_v2(&raw const request) };
        let invalid = sys::CUresult::CUDA_ERROR_INVALID_VALUE;
        assert_eq!(ask(columns(&host, block, 3)), sys::CUresult::CUDA_SUCCESS);
        assert_eq!(ask(columns(&host, block, 4)), invalid, "a row too many");
        assert_eq!(ask(sys::CUDA_MEMCPY2D { dstPitch: 1, ..columns(&host, block, 2) }), invalid, "rows that overlap");
        assert_eq!(
            ask(sys::CUDA_MEMCPY2D { srcPitch: 1 << 31, ..columns(&host, block, 2) }),
            invalid,
            "pitch too large"
        );
        assert_eq!(ask(sys::CUDA_MEMCPY2D { Height: usize::MAX, ..columns(&host, block, 2) }), invalid, "overflow");
        assert_eq!(unsafe { sys::cuMemcpy2D_v2(std::ptr::null()) }, invalid);
        session.free(block);
    }) else {
        return;
    };
    assert_eq!(used.loose_ends(), Vec::<String>::new());
}
