//! A mend for keys that the library can't read: an ECDSA key whose number begins with a zero byte, one in 256.
//! OpenSSH writes numbers without such bytes (RFC 4251 section 5, mpint), and the library wants all of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// What a container begins with (PROTOCOL.key).
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// What a container without a cipher is filled up to.
const BLOCK: usize = 8;

/// The same key in a container that has all bytes of its number; `None` where that is not what is wrong with it.
/// A container with a cipher shows its number to nobody.
pub(super) fn padded(text: &str) -> Option<Zeroizing<String>> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    // With room for all of it, here and below: as they grew they would leave copies behind.
    let mut coded = Zeroizing::new(String::with_capacity(body.len()));
    body.split_whitespace().for_each(|line| coded.push_str(line));
    let bytes = Zeroizing::new(STANDARD.decode(coded.as_bytes()).ok()?);
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let [cipher, kdf, kdf_options] = [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?];
    let (count, mut rest) = rest.split_at_checked(4)?;
    let (public, private) = (take(&mut rest)?, take(&mut rest)?);
    if cipher != b"none" || count != [0, 0, 0, 1] {
        return None;
    }

    let private = with_all_bytes(private)?;
    let mut whole = Zeroizing::new(Vec::with_capacity(bytes.len() + private.len()));
    whole.extend_from_slice(MAGIC);
    [cipher, kdf, kdf_options].into_iter().try_for_each(|part| put(&mut whole, part))?;
    whole.extend_from_slice(count);
    put(&mut whole, public)?;
    put(&mut whole, &private)?;
    let coded = Zeroizing::new(STANDARD.encode(&*whole));
    let mut text = Zeroizing::new(String::with_capacity(2 * coded.len() + BEGIN.len() + END.len()));
    text.push_str(BEGIN);
    for line in coded.as_bytes().chunks(70) {
        text.push('\n');
        text.push_str(std::str::from_utf8(line).ok()?);
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    Some(text)
}

/// The private part of a container, with a number that is too short made longer.
fn with_all_bytes(private: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (check, mut rest) = private.split_at_checked(8)?;
    let [kind, curve, point] = [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?];
    let (number, comment) = (take(&mut rest)?, take(&mut rest)?);
    let length: usize = match kind {
        b"ecdsa-sha2-nistp256" => 32,
        b"ecdsa-sha2-nistp384" => 48,
        b"ecdsa-sha2-nistp521" => 66,
        _ => return None,
    };
    let missing = length.checked_sub(number.len()).filter(|missing| *missing > 0)?;
    let mut all = Zeroizing::new(vec![0; missing]);
    all.reserve_exact(number.len());
    all.extend_from_slice(number);

    let mut new = Zeroizing::new(Vec::with_capacity(private.len() + missing + BLOCK));
    new.extend_from_slice(check);
    [kind, curve, point, &all, comment].into_iter().try_for_each(|part| put(&mut new, part))?;
    let fill = (1..).take(new.len().next_multiple_of(BLOCK) - new.len());
    new.extend(fill);
    Some(new)
}

/// Takes a string off: its length in four bytes, and it.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

fn put(whole: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    whole.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
    whole.extend_from_slice(part);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, ssh_key::LineEnding};

    use super::*;

    #[test]
    fn what_is_whole_or_no_such_key_stays_as_it_is() {
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 }] {
            let key = PrivateKey::random(&mut rand::rng(), algorithm).unwrap();
            let text = key.to_openssh(LineEnding::LF).unwrap();
            assert!(padded(&text).is_none());
            assert!(padded(text.get(..200).unwrap()).is_none());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), whole in any::<bool>()) {
            let bytes = if whole { [MAGIC, &bytes].concat() } else { bytes };
            let _ = padded(&format!("{BEGIN}\n{}\n{END}", STANDARD.encode(&bytes)));
            let _ = with_all_bytes(&bytes);
        }
    }
}
