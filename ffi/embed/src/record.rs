//! What crosses the border: structs that begin with their size, strings, bytes.

use std::ffi::{CStr, c_char};

use crate::result::{Failure, ICECAST_EXT_WRONG_SIZE};

/// A struct of this interface, which may grow at its end.
///
/// # Safety
/// `repr(C)`, begins with its size as a `usize`, and any bit pattern is a value.
pub(crate) unsafe trait Record: Copy {
    /// Bytes of its first version: none is smaller.
    const FIRST: usize;
}

/// The struct's `size`, if it is one that we can work with.
///
/// # Safety
/// `given` is NULL or points to a `usize` that may be read.
unsafe fn size<T: Record>(given: *const T, what: &str) -> Result<usize, Failure> {
    if given.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: the caller's; a record begins with its size, and need not be aligned.
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if size < T::FIRST {
        return Err(Failure::new(
            ICECAST_EXT_WRONG_SIZE,
            format_args!(
                "{what}: its size is {size}, and {} at least: set it to sizeof",
                T::FIRST
            ),
        ));
    }
    Ok(size)
}

/// Reads a struct. One of a later version must have nothing that we do not know; one of an earlier version has `unset` there.
///
/// # Safety
/// `given` is NULL or points to as many readable bytes as its size says.
pub(crate) unsafe fn read<T: Record>(given: *const T, unset: T, what: &str) -> Result<T, Failure> {
    // SAFETY: the caller's.
    let size = unsafe { size(given, what) }?;
    let known = size_of::<T>();
    for at in known..size {
        // SAFETY: within the caller's bytes.
        if unsafe { given.cast::<u8>().add(at).read() } != 0 {
            return Err(Failure::new(
                ICECAST_EXT_WRONG_SIZE,
                format_args!("{what}: it has fields that this library does not know"),
            ));
        }
    }
    let mut held = unset;
    // SAFETY: both have so many bytes, and any bit pattern is a record.
    unsafe {
        std::ptr::copy_nonoverlapping(
            given.cast::<u8>(),
            (&raw mut held).cast::<u8>(),
            size.min(known),
        );
    }
    Ok(held)
}

/// Writes a struct, as much of it as the caller has room for; its size stays as it is.
///
/// # Safety
/// `given` is NULL or points to as many writable bytes as its size says.
pub(crate) unsafe fn write<T: Record>(given: *mut T, value: &T, what: &str) -> Result<(), Failure> {
    // SAFETY: the caller's.
    let size = unsafe { size(given, what) }?;
    let begin = size_of::<usize>();
    // SAFETY: both have so many bytes.
    unsafe {
        let from = std::ptr::from_ref(value).cast::<u8>().add(begin);
        let to = given.cast::<u8>().add(begin);
        std::ptr::copy_nonoverlapping(from, to, size.min(size_of::<T>()) - begin);
    }
    Ok(())
}

/// Bytes; NULL only if there are none.
///
/// # Safety
/// `bytes` is NULL or points to `length` bytes that stay as they are during the call.
pub(crate) unsafe fn bytes<'a>(
    bytes: *const u8,
    length: usize,
    what: &str,
) -> Result<&'a [u8], Failure> {
    match (bytes.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::null(what)),
        (false, _) if isize::try_from(length).is_err() => Err(Failure::invalid(format_args!(
            "{what}: {length} bytes are more than there can be"
        ))),
        // SAFETY: the caller's.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(bytes, length) }),
    }
}

/// A string; `None` if it is NULL.
///
/// # Safety
/// `text` is NULL or ends with a NUL and stays as it is during the call.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map(Some)
        .map_err(|_| Failure::invalid(format_args!("{what} is not UTF-8")))
}

/// Strings; none if the pointer is NULL.
///
/// # Safety
/// `list` is NULL or points to `length` strings as for [`text`].
pub(crate) unsafe fn texts(
    list: *const *const c_char,
    length: usize,
    what: &str,
) -> Result<Vec<String>, Failure> {
    if list.is_null() || length == 0 {
        return Ok(Vec::new());
    }
    if length > 1000 {
        return Err(Failure::invalid(format_args!(
            "{what}: {length} are too many"
        )));
    }
    let mut texts = Vec::with_capacity(length);
    for index in 0..length {
        // SAFETY: the caller's.
        let one = unsafe { text(list.add(index).read_unaligned(), what) }?;
        texts.push(one.ok_or_else(|| Failure::null(what))?.to_owned());
    }
    Ok(texts)
}

/// Writes a value where the caller wants it.
///
/// # Safety
/// `place` is NULL or may be written to.
pub(crate) unsafe fn put<T>(place: *mut T, value: T, what: &str) -> Result<(), Failure> {
    if place.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: the caller's; it need not be aligned.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// An epoch or a session as text, with a NUL; all NUL if there is none.
pub(crate) fn name(name: Option<impl std::fmt::Display>) -> [c_char; 24] {
    let mut out = [0; 24];
    if let Some(name) = name {
        for (to, from) in out.iter_mut().zip(name.to_string().bytes().take(23)) {
            *to = from as c_char;
        }
    }
    out
}
