//! `mask`: values are hidden.
//!
//! A row whose value cannot be masked does not pass, and no error holds a value.

use std::{fmt, sync::Arc};

use arrow_array::{Array, ArrayRef, new_null_array};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use syncline_types::{Column, Error, LogicalType, Result, codes, text::Values};

use crate::{
    Columns, Mask,
    expr::{
        node::{Call, Expr, Kernel, Node},
        operand::{Computed, texts},
    },
    frame::{Form, Frame, Lineage, computed, not_empty, object, refused},
};

/// What `redact` leaves.
const REDACTED: &str = "***";
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Hexadecimal digits of a hash.
const HASH_DIGITS: u32 = 64;
/// The type of a hashed column.
pub(crate) const HASHED: LogicalType = LogicalType::Text { length: Some(HASH_DIGITS), padded: false };

/// The key of `hash` masks, ready for use. Shows nothing of itself.
#[derive(Clone)]
pub(crate) struct HashKey(Hmac<Sha256>);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    /// An empty key is none.
    pub(crate) fn new(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret();
        if key.is_empty() {
            return None;
        }
        Hmac::new_from_slice(key.as_bytes()).ok().map(HashKey)
    }

    /// Appends the hash of a text in hexadecimal digits.
    pub(crate) fn write(&self, text: &str, out: &mut String) {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        let hash = mac.finalize().into_bytes();
        out.extend(
            hash.iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|half| char::from(HEX[usize::from(half)])),
        );
    }

    /// The hashes of a column's values in their text form.
    pub(crate) fn hash(&self, array: &ArrayRef, logical: LogicalType) -> Result<Computed> {
        let values = Values::new(array, logical)?;
        let mut text = String::new();
        texts(array.len(), |row, out| {
            if values.is_null(row) {
                return Ok(None);
            }
            text.clear();
            values.write(row, &mut text);
            self.write(&text, out);
            Ok(Some(()))
        })
    }
}

/// Masks columns; `key` is asked for only by `hash`.
pub(crate) fn bind(
    frame: &mut Frame,
    masks: &Columns<Mask>,
    key: Option<&HashKey>,
    step: &str,
) -> Result<()> {
    not_empty(masks.iter().count(), step)?;
    for (name, mask) in masks.iter() {
        let object = object(step, name);
        let at = frame.find(name, &object)?;
        let old = frame.columns[at].clone();
        let value = masked(&old.column, old.slot, *mask, key, &object)?;
        let column = computed(name, value.logical, value.nullable);
        frame.masked.extend(&old.lineage.origins);
        let carries = match (mask, old.lineage.carries) {
            (Mask::Hash, Some((input, Form::Same))) => Some((input, Form::Hashed)),
            _ => None,
        };
        // Equal values have equal hashes and others have others: with a hash the keys hold.
        if *mask != Mask::Hash {
            frame.forget_keys(name);
        }
        let slots = frame.assign(vec![(value, object)]);
        let new = &mut frame.columns[at];
        new.column = column;
        new.lineage = Lineage { carries, ..old.lineage };
        slots.into_iter().for_each(|slot| new.slot = slot);
    }
    Ok(())
}

/// The value that a masked column has.
fn masked(column: &Column, slot: usize, mask: Mask, key: Option<&HashKey>, object: &str) -> Result<Expr> {
    let value = Expr::column(slot, column.logical, column.nullable);
    let call = |kernel, logical| Expr {
        node: Node::Call { kernel, args: vec![value.clone()] },
        logical,
        nullable: column.nullable,
    };
    match mask {
        Mask::Redact => Ok(call(Kernel::new(redact), LogicalType::TEXT)),
        Mask::Hash => {
            let key = key.cloned().ok_or_else(|| {
                Error::new(&codes::NO_MASK_KEY, "understand", object)
                    .because("a `hash` mask needs a key")
                    .hint("Set the environment variable SYNCLINE_MASK_KEY")
            })?;
            Ok(call(Kernel::new(move |call| key.hash(call.args[0].array(), call.types[0])), HASHED))
        }
        Mask::Null if !column.nullable => {
            Err(refused(object, "the column is NOT NULL, so its values cannot be masked with NULL")
                .hint("Use `redact` or `hash`, or drop the column"))
        }
        Mask::Null => Ok(Expr::literal(new_null_array(&column.logical.arrow(), 1), column.logical)),
    }
}

fn redact(call: &Call<'_>) -> Result<Computed> {
    let values = Arc::clone(call.args[0].array());
    texts(call.rows, |row, out| Ok(values.is_valid(row).then(|| out.push_str(REDACTED))))
}
