//! Options of sockets that no crate sets.

use std::{io, os::fd::AsRawFd};

use socket2::Socket;

/// Sets an option that is an integer (setsockopt(2)).
pub(super) fn set(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    /// Four bytes.
    #[expect(clippy::cast_possible_truncation, reason = "4 fits")]
    const LENGTH: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

    // SAFETY: the descriptor is open as long as `socket` is borrowed; the kernel reads `LENGTH` bytes of
    // `value`, which is that long.
    #[expect(unsafe_code, reason = "no crate sets these options")]
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), LENGTH)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
