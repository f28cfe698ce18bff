//! Buffers that end, or begin, at a page that may not be touched.

use candle_core::CpuStorage;
use std::ffi::c_void;
use std::io::Error;

/// A copy of a buffer for a kernel to run on.
pub(crate) struct Guarded {
    base: *mut c_void,
    mapped: usize,
    page: usize,
    start: *mut u8,
    len: usize,
    element: usize,
}

impl Guarded {
    /// A copy of `bytes`, which are elements of `element` bytes; what may not be touched follows its last byte, or comes
    /// before its first.
    pub(crate) fn new(bytes: &[u8], element: usize, at_end: bool) -> Result<Self, String> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(|error| error.to_string())?;
        let held = bytes.len().next_multiple_of(page);
        let mapped = held + 2 * page;
        let (flags, protection) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_NONE);
        // SAFETY: a new mapping, which overlaps no other.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), mapped, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error().to_string());
        }
        let offset = page + if at_end { held - bytes.len() } else { 0 };
        let start = base.cast::<u8>().wrapping_add(offset);
        let guarded = Self { base, mapped, page, start, len: bytes.len(), element };
        guarded.allow(libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: `start` is followed by `held` bytes at least, less the bytes before it, which were just made writable.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        Ok(guarded)
    }

    /// Lets it be read only.
    pub(crate) fn protect(&mut self) -> Result<(), String> {
        self.allow(libc::PROT_READ)
    }

    pub(crate) fn start(&self) -> *mut c_void {
        self.start.cast()
    }

    pub(crate) fn element(&self) -> usize {
        self.element
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `new` filled so many bytes, and they may be read until the mapping is dropped.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    fn allow(&self, protection: i32) -> Result<(), String> {
        let held = self.mapped - 2 * self.page;
        // SAFETY: the pages between the first and the last of this mapping.
        let done = held == 0 || unsafe { libc::mprotect(self.base.byte_add(self.page), held, protection) } == 0;
        if done { Ok(()) } else { Err(Error::last_os_error().to_string()) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.base, self.mapped) };
    }
}

/// The bytes of a storage, and how many an element has.
pub(crate) fn bytes(storage: &CpuStorage) -> Result<(&[u8], usize), String> {
    fn of<T>(values: &[T]) -> (&[u8], usize) {
        // SAFETY: numbers without padding, of which any byte may be read.
        (unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }, size_of::<T>())
    }
    Ok(match storage {
        CpuStorage::U8(values) => of(values),
        CpuStorage::U32(values) => of(values),
        CpuStorage::I64(values) => of(values),
        CpuStorage::BF16(values) => of(values),
        CpuStorage::F16(values) => of(values),
        CpuStorage::F32(values) => of(values),
        CpuStorage::F64(values) => of(values),
        _ => return Err("a dtype that no kernel takes".into()),
    })
}

/// The bytes of a storage, to write.
pub(crate) fn bytes_mut(storage: &mut CpuStorage) -> Result<&mut [u8], String> {
    fn of<T>(values: &mut [T]) -> &mut [u8] {
        // SAFETY: numbers without padding, for which any bits are valid.
        unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
    }
    Ok(match storage {
        CpuStorage::U8(values) => of(values),
        CpuStorage::U32(values) => of(values),
        CpuStorage::I64(values) => of(values),
        CpuStorage::BF16(values) => of(values),
        CpuStorage::F16(values) => of(values),
        CpuStorage::F32(values) => of(values),
        CpuStorage::F64(values) => of(values),
        _ => return Err("a dtype that no kernel takes".into()),
    })
}
