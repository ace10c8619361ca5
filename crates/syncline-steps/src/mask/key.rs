//! The key of masks, and what is made with it. Shows nothing of itself.

use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, Nonce,
    aead::{Aead, KeyInit as _},
};
use arrow_array::{Array, ArrayRef};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use syncline_types::{Error, LogicalType, Result, codes, text::Values};

use crate::expr::{
    fault::Fault,
    operand::{Computed, texts},
};

const HEX: &[u8; 16] = b"0123456789abcdef";
/// What keys of encryption are derived under; a new number is a new form of ciphertext.
const ENCRYPTION: &str = "syncline encrypt 1";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The key of `hash` and `encrypt` masks, ready for use.
#[derive(Clone)]
pub(crate) struct MaskKey(Hmac<Sha256>);

/// Encrypts the values of one column of one stream.
#[derive(Clone)]
pub(crate) struct Cipher {
    cipher: Aes256GcmSiv,
    /// Makes the nonce from the value, so that equal values have equal ciphertexts and others
    /// hardly ever share a nonce.
    nonces: Hmac<Sha256>,
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl MaskKey {
    /// An empty key is none.
    pub(crate) fn new(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret();
        if key.is_empty() {
            return None;
        }
        keyed(key.as_bytes()).map(MaskKey)
    }

    /// Appends the hash of a text in hexadecimal digits.
    pub(crate) fn write(&self, text: &str, out: &mut String) {
        let hash = mac(&self.0, text.as_bytes());
        out.extend(
            hash.iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|half| char::from(HEX[usize::from(half)])),
        );
    }

    /// The hashes of a column's values in their text form.
    pub(crate) fn hash(&self, array: &ArrayRef, logical: LogicalType) -> Result<Computed> {
        each_text(array, logical, |text, out| {
            self.write(text, out);
            Ok(())
        })
    }

    /// What encrypts a column of a stream: it has a key of its own.
    pub(crate) fn cipher(&self, stream: &str, column: &str) -> Result<Cipher> {
        let derived =
            |purpose: &str| mac(&self.0, format!("{ENCRYPTION}\0{purpose}\0{stream}\0{column}").as_bytes());
        let cipher = Aes256GcmSiv::new_from_slice(&derived("key")).ok();
        let cipher = cipher.zip(keyed(&derived("nonce")));
        cipher.map(|(cipher, nonces)| Cipher { cipher, nonces }).ok_or_else(|| {
            Error::new(&codes::BROKEN_INVARIANT, "derive a key", "").because("it has not the right length")
        })
    }
}

impl Cipher {
    /// Appends base64 of nonce, ciphertext and tag.
    fn write(&self, text: &str, out: &mut String) -> Result<(), Fault> {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&mac(&self.nonces, text.as_bytes())[..NONCE_BYTES]);
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), text.as_bytes())
            .map_err(|_| Fault("the value is too long to be encrypted"))?;
        STANDARD.encode_string([&nonce[..], &sealed].concat(), out);
        Ok(())
    }

    /// A column's values in their text form, encrypted.
    pub(crate) fn encrypt(&self, array: &ArrayRef, logical: LogicalType) -> Result<Computed> {
        each_text(array, logical, |text, out| self.write(text, out))
    }
}

/// Characters of the ciphertext of a text of so many bytes.
pub(crate) fn ciphertext_chars(bytes: u32) -> u32 {
    let all = u32::try_from(NONCE_BYTES + TAG_BYTES).unwrap_or(u32::MAX).saturating_add(bytes);
    all.div_ceil(3).saturating_mul(4)
}

fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

fn mac(key: &Hmac<Sha256>, bytes: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// A text for each value, made from its text form; NULL stays NULL.
fn each_text(
    array: &ArrayRef,
    logical: LogicalType,
    mut write: impl FnMut(&str, &mut String) -> Result<(), Fault>,
) -> Result<Computed> {
    let values = Values::new(array, logical)?;
    let mut text = String::new();
    texts(array.len(), |row, out| {
        if values.is_null(row) {
            return Ok(None);
        }
        text.clear();
        values.write(row, &mut text);
        write(&text, out)?;
        Ok(Some(()))
    })
}
