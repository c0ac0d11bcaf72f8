//! The kernel's own measure of a TCP handshake. One function; a body per system that has one.

use std::time::Duration;

use mio::net::TcpStream;

/// What the kernel knows of a connection's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handshake {
    /// Whether it has been answered; else it is under way or has failed.
    pub(super) answered: bool,
    /// From the SYN to its answer; `None` where a SYN was sent again and the answer did not tell
    /// which it belongs to (no TCP time stamps, RFC 7323).
    pub(super) rtt: Option<Duration>,
    /// SYNs that were sent again.
    pub(super) retransmitted: u32,
}

/// Reads it before or right after the connection is made, while there is but the one sample. `None`
/// where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn handshake(_stream: &TcpStream) -> Option<Handshake> {
    None
}

/// Reads it before or right after the connection is made, while there is but the one sample. `None`
/// where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn handshake(stream: &TcpStream) -> Option<Handshake> {
    use std::os::fd::AsRawFd;

    let mut info = linux::TcpInfo::default();
    let mut length = linux::LENGTH;
    #[expect(unsafe_code, reason = "no crate reads TCP_INFO")]
    // SAFETY: the descriptor is open as long as `stream` is borrowed. The kernel writes at most
    // `length` bytes, which is the size of `info`, and `info` is plain integers: any bytes are valid.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            std::ptr::from_mut(&mut info).cast(),
            &raw mut length,
        )
    };
    // An older kernel, with a shorter structure, would leave the last fields at zero.
    (result == 0 && length == linux::LENGTH).then(|| Handshake {
        answered: !matches!(info.state, linux::SYN_SENT | linux::CLOSED),
        rtt: (info.rtt_us > 0).then(|| Duration::from_micros(info.rtt_us.into())),
        retransmitted: info.total_retrans,
    })
}

#[cfg(target_os = "linux")]
mod linux {
    /// The size of [`TcpInfo`], which is a small number.
    #[expect(clippy::cast_possible_truncation, reason = "104 fits")]
    pub(super) const LENGTH: libc::socklen_t = size_of::<TcpInfo>() as libc::socklen_t;

    /// `TCP_SYN_SENT`.
    pub(super) const SYN_SENT: u8 = 2;
    /// `TCP_CLOSE`.
    pub(super) const CLOSED: u8 = 7;

    /// The first part of `struct tcp_info` of <linux/tcp.h>, up to the last field of interest. The
    /// structure only ever grows at its end.
    #[repr(C)]
    #[derive(Default)]
    pub(super) struct TcpInfo {
        /// `tcpi_state`, as in <netinet/tcp.h>.
        pub(super) state: u8,
        /// Congestion state, retransmits, probes, backoff, options, two bit fields.
        bytes: [u8; 7],
        /// `rto`, `ato`, `snd_mss`, `rcv_mss`, `unacked`, `sacked`, `lost`, `retrans`, `fackets`,
        /// four times since last events, `pmtu`, `rcv_ssthresh`.
        before_rtt: [u32; 15],
        /// `tcpi_rtt`, in microseconds.
        pub(super) rtt_us: u32,
        /// `rttvar`, `snd_ssthresh`, `snd_cwnd`, `advmss`, `reordering`, `rcv_rtt`, `rcv_space`.
        after_rtt: [u32; 7],
        /// `tcpi_total_retrans`: segments sent again, which before any data are SYNs.
        pub(super) total_retrans: u32,
    }
}
