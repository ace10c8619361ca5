//! A password under the server's own RSA key, for a login where nothing else is encrypted.
//!
//! The key comes from whoever answers, so it keeps a password from being read on the way and says
//! nothing of who gets it.

use base64::{Engine, engine::general_purpose::STANDARD};
use mysql_common::{
    crypto::rsa::{GetRandom, Pkcs1OaepPadding, PublicKey},
    num_bigint::BigUint,
};

/// What the padding takes of a block.
const PADDING_BYTES: usize = 42;
/// Keys that are shorter or longer are none of a server's.
const MODULUS_BITS: std::ops::RangeInclusive<u64> = 1024..=16384;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `password` under a key (PEM); `None` when it is no key, or too small for such a password.
pub(super) fn seal(password: &[u8], nonce: &[u8], pem: &[u8]) -> Option<Vec<u8>> {
    let key = public_key(pem)?;
    let secret: Vec<u8> =
        password.iter().chain(&[0]).zip(nonce.iter().cycle()).map(|(byte, salt)| byte ^ salt).collect();
    let fits = secret.len() + PADDING_BYTES <= key.num_octets();
    fits.then(|| key.encrypt_block(secret, Pkcs1OaepPadding::new(GetRandom)))
}

fn public_key(pem: &[u8]) -> Option<PublicKey> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text.split_once("-----BEGIN PUBLIC KEY-----")?.1.split_once("-----END PUBLIC KEY-----")?.0;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let (info, _) = element(&der, SEQUENCE)?;
    let (_, key) = element(info, SEQUENCE)?;
    let (key, _) = element(key, BIT_STRING)?;
    // No bit of the last byte is unused.
    let (numbers, _) = element(key.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, rest) = element(numbers, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    let (modulus, exponent) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    MODULUS_BITS.contains(&modulus.bits()).then(|| PublicKey::new(modulus, exponent))
}

/// What an element of DER holds, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxSKOcxiet8lLMn8ImyUE
bGGKob5EdRz/4wdiw12ED0GfKKTKhVnodFCfm1mdy7bKOX5QxL9skrvYodpW43eR
R5bfOzIgy1qIB8RYb6qOXRBw1oA4snBDqtUjDv/lbHLJN+IbzM4oU+e3Lt9rXyLX
VY289ewONPweXHqSCnTL91w+wkU1peIFV2QhZ+upUCdCtwOn5hnJPNgxtbklFoya
C8W3Z7Xx7He2QDJsEWAqX197efw0L6j8X8Tyd8Uwb7zUB1tfMGhHfm9EwejPAtzx
4GztQNtNMtGS2oGZLQBLV9hib4dDL92iiZeckg2LAf4GsJofLLR8mcHCRoqVbQJ1
YQIDAQAB
-----END PUBLIC KEY-----
";

    #[test]
    fn a_password_is_sealed_under_the_key() {
        let sealed = seal(b"secret", &[7; 20], KEY.as_bytes()).unwrap();
        assert!((250..=256).contains(&sealed.len()), "{}", sealed.len());
        assert_eq!(seal(&[b'x'; 300], &[7; 20], KEY.as_bytes()), None);
    }

    #[test]
    fn what_is_no_key_seals_nothing() {
        let cut = KEY.replace("4GztQNtNMtGS2oGZLQBLV9hib4dDL92iiZeckg2LAf4GsJofLLR8mcHCRoqVbQJ1\n", "");
        for pem in [
            "",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY----- MII= -----END PUBLIC KEY-----",
            &cut,
        ] {
            assert_eq!(seal(b"secret", &[7; 20], pem.as_bytes()), None, "{pem}");
        }
    }
}
