use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
};

/// A name as bytes, as servers have it.
#[must_use]
pub fn to_bytes(name: &OsStr) -> Cow<'_, [u8]> {
    #[cfg(unix)]
    return Cow::Borrowed(std::os::unix::ffi::OsStrExt::as_bytes(name));
    #[cfg(not(unix))]
    Cow::Owned(name.to_string_lossy().into_owned().into_bytes())
}

/// A server's name as one here; `None` where this system has no such name.
#[must_use]
pub fn from_bytes(name: &[u8]) -> Option<OsString> {
    #[cfg(unix)]
    return Some(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).to_owned());
    #[cfg(not(unix))]
    std::str::from_utf8(name).ok().map(OsString::from)
}
