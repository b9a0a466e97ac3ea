//! C strings across the border.

use std::ffi::{CStr, c_char};

/// Copies `text` and its end mark into a caller's buffer; `false` when it does not fit or there is no buffer.
///
/// # Safety
/// `buffer` is null or has room for `room` characters.
pub(crate) unsafe fn put(buffer: *mut c_char, room: usize, text: &str) -> bool {
    if buffer.is_null() || text.len() >= room {
        return false;
    }
    // SAFETY: the caller vouches for `room` characters, of which `text` and the end mark take no more.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), text.len());
        *buffer.add(text.len()) = 0;
    }
    true
}

/// The caller's text; `None` when it is null or not UTF-8.
///
/// # Safety
/// `text` is null or ends with a zero.
pub(crate) unsafe fn get<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller vouches for the end mark.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

/// `text` in an array of a C struct, cut to what fits.
pub(crate) fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().take(N.saturating_sub(1)).zip(text.bytes()) {
        *to = from as c_char;
    }
    array
}
