//! The file interface of `SQLite` over [`super::disk`]: the one place of the whole tree with foreign functions.

#![allow(unsafe_code, reason = "SQLite calls its file system through pointers to functions")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::disk::{self, Open};

/// The name under which connections ask for it.
pub const NAME: &CStr = c"crossdock-sim";

#[repr(C)]
struct Handle {
    base: sqlite3_file,
    open: *mut Open,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes the file system known to `SQLite`, once a process.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::new(sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<Handle>()).expect("two pointers"),
            mxPathname: 512,
            pNext: std::ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the structure lives for ever and its functions keep SQLite's contract.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) };
        assert_eq!(code, ffi::SQLITE_OK, "a file system can be registered");
    });
}

/// The open file behind a handle.
///
/// # Safety
/// `file` must be one that [`open`] opened and [`close`] has not closed.
unsafe fn of<'a>(file: *mut sqlite3_file) -> &'a mut Open {
    // SAFETY: `open` put a pointer from a box there; SQLite uses a handle from one thread at a time.
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

unsafe fn text<'a>(name: *const c_char) -> &'a str {
    // SAFETY: SQLite hands out terminated names; ours are ASCII.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("")
}

fn whole(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for a `Handle`; no methods means "not open".
    unsafe { (*file).pMethods = std::ptr::null() };
    if name.is_null() {
        // Temporary files live in memory (`temp_store`), so nobody asks for one.
        return ffi::SQLITE_CANTOPEN;
    }
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let delete_on_close = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
    // SAFETY: the name is not null.
    match Open::file(unsafe { text(name) }, create, delete_on_close) {
        Err(code) => code,
        Ok(opened) => {
            // SAFETY: as above; `out` may be null.
            unsafe {
                (*file.cast::<Handle>()).open = Box::into_raw(Box::new(opened));
                (*file).pMethods = &raw const METHODS;
                if !out.is_null() {
                    *out = flags;
                }
            }
            ffi::SQLITE_OK
        }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once; the pointer came from a box.
    let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
    open.close();
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives room for `amount` bytes.
    unsafe {
        let into = std::slice::from_raw_parts_mut(into.cast::<u8>(), whole(amount.into()));
        of(file).read(whole(at), into)
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes.
    unsafe {
        let from = std::slice::from_raw_parts(from.cast::<u8>(), whole(amount.into()));
        of(file).write(whole(at), from)
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.truncate(whole(size))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.flush()
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: an open file, and room for the answer.
    unsafe {
        match of(file).length() {
            Some(length) => {
                *size = i64::try_from(length).unwrap_or(i64::MAX);
                ffi::SQLITE_OK
            }
            None => ffi::SQLITE_IOERR_FSTAT,
        }
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.lock_file(level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.unlock_file(level)
}

unsafe extern "C" fn check_reserved(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file, and room for the answer.
    unsafe { *out = c_int::from(of(file).is_reserved()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    4_096
}

unsafe extern "C" fn characteristics(_: *mut sqlite3_file) -> c_int {
    // What the real one says: a torn write leaves the bytes beside it alone.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    index: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, and room for the answer. The memory lives as long as somebody has it open.
    unsafe {
        *out = std::ptr::null_mut();
        let Some(memory) = of(file).share() else { return ffi::SQLITE_IOERR_SHMMAP };
        if let Some(part) = memory.part(whole(index.into()), whole(bytes.into()), extend != 0) {
            *out = part.cast();
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.lock_shared(whole(first.into()), whole(count.into()), flags)
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file. The memory itself goes with the machine.
    let open = unsafe { of(file) };
    open.lock_shared(0, 8, ffi::SQLITE_SHM_UNLOCK);
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, _: c_int) -> c_int {
    // SAFETY: a terminated name.
    disk::delete(unsafe { text(name) })
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a terminated name, and room for the answer.
    unsafe { *out = c_int::from(disk::exists(text(name))) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(_: *mut sqlite3_vfs, name: *const c_char, size: c_int, out: *mut c_char) -> c_int {
    // SAFETY: a terminated name, and room for `size` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > whole(size.into()) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast(), bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, size: c_int, out: *mut c_char) -> c_int {
    static DRAWS: AtomicU64 = AtomicU64::new(1);
    let draw = DRAWS.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).to_le_bytes();
    for at in 0..whole(size.into()) {
        // SAFETY: room for `size` bytes.
        unsafe { *out.cast::<u8>().add(at) = draw[at % 8] };
    }
    size
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, micros: c_int) -> c_int {
    // Nobody else runs meanwhile: waiting for a lock would not help.
    micros
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: room for the answer.
    unsafe { *out = 2_461_100.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
