//! The length of RSA keys (ssh_config(5), RequiredRSASize).

use russh::keys::ssh_key::public::KeyData;

/// Why a key is too short; `None` for one that is long enough, and for other kinds of keys.
pub(super) fn too_short(key: &KeyData, least_bits: u32) -> Option<String> {
    let modulus = key.rsa()?.n().as_positive_bytes().unwrap_or_default();
    let bits = bits(modulus);
    (bits < least_bits)
        .then(|| format!("an RSA key of {bits} bits is too short: RequiredRSASize is {least_bits}"))
}

/// The length of a positive number. The crate's own count is in whole bytes: 2,041 bits would pass for 2,048.
fn bits(number: &[u8]) -> u32 {
    let significant = number.iter().skip_while(|byte| **byte == 0);
    let whole = u32::try_from(significant.clone().count()).unwrap_or(u32::MAX).saturating_mul(u8::BITS);
    let unused = significant.clone().next().map_or(0, |first| first.leading_zeros());
    whole.saturating_sub(unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_long_as_its_highest_bit_says() {
        for (number, expected) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[1], 1),
            (&[0x80], 8),
            (&[0, 0xff, 0xff], 16),
            (&[0x01, 0, 0], 17),
            (&[0x7f, 0xff], 15),
        ] {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
