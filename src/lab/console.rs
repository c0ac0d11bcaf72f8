//! What an instance has printed on its serial console at its first start, as cloud-init does.

use russh::keys::{HashAlg, PublicKey};

/// The log: kernel, cloud-init's host keys, the login.
pub(super) fn log(computer_name: &str, key: &PublicKey) -> String {
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let key = key.to_openssh().unwrap_or_default();
    let key = key.trim_end();
    let tag = "<14>Jan  1 00:00:07 cloud-init: ";
    format!(
        "[    0.000000] Linux version 6.8.0-azure\r\n\
         {tag}-----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
         {tag}256 {fingerprint} root@{computer_name} (ED25519)\r\n\
         {tag}-----END SSH HOST KEY FINGERPRINTS-----\r\n\
         -----BEGIN SSH HOST KEY KEYS-----\r\n\
         {key} root@{computer_name}\r\n\
         -----END SSH HOST KEY KEYS-----\r\n\
         \r\n{computer_name} login: \r\n"
    )
}
