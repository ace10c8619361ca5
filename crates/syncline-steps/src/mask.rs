//! `mask`: values are hidden.
//!
//! A row whose value cannot be masked does not pass, and no error holds a value.

mod key;

use std::sync::Arc;

use arrow_array::{Array, new_null_array};
use syncline_types::{Column, Error, LogicalType, Result, codes};

pub(crate) use key::MaskKey;
use key::ciphertext_chars;

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
/// Hexadecimal digits of a hash.
const HASH_DIGITS: u32 = 64;
/// Bytes of a character.
const UTF8_BYTES_MAX: u32 = 4;
/// Characters of a UUID.
const UUID_CHARS: u32 = 36;
/// Characters of the longest integer, -2^63 or 2^64 - 1.
const INTEGER_CHARS_MAX: u32 = 20;
/// The type of a hashed column.
pub(crate) const HASHED: LogicalType = LogicalType::Text { length: Some(HASH_DIGITS), padded: false };

/// Masks columns; `key` is asked for only by `hash` and `encrypt`, and by the latter the stream's name.
pub(crate) fn bind(
    frame: &mut Frame,
    masks: &Columns<Mask>,
    key: Option<&MaskKey>,
    stream: &str,
    step: &str,
) -> Result<()> {
    not_empty(masks.iter().count(), step)?;
    for (name, mask) in masks.iter() {
        let object = object(step, name);
        let at = frame.find(name, &object)?;
        let old = frame.columns[at].clone();
        let value = masked(&old.column, old.slot, *mask, Keying { key, stream }, &object)?;
        let column = computed(name, value.logical, value.nullable);
        frame.masked.extend(&old.lineage.origins);
        let carries = match (mask, old.lineage.carries) {
            (Mask::Hash | Mask::Encrypt, Some((input, Form::Same))) => Some((input, Form::Hidden)),
            _ => None,
        };
        // Equal values have equal hashes and others have others; so with ciphertexts. The keys hold.
        if !matches!(mask, Mask::Hash | Mask::Encrypt) {
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

/// What masks with a key need.
#[derive(Clone, Copy)]
struct Keying<'a> {
    key: Option<&'a MaskKey>,
    stream: &'a str,
}

impl Keying<'_> {
    fn key(&self, mask: Mask, object: &str) -> Result<MaskKey> {
        self.key.cloned().ok_or_else(|| {
            let article = if mask == Mask::Encrypt { "an" } else { "a" };
            Error::new(&codes::NO_MASK_KEY, "understand", object)
                .because(format!("{article} `{mask}` mask needs a key"))
                .hint("Set the environment variable SYNCLINE_MASK_KEY")
        })
    }
}

/// The value that a masked column has.
fn masked(column: &Column, slot: usize, mask: Mask, keying: Keying<'_>, object: &str) -> Result<Expr> {
    let value = Expr::column(slot, column.logical, column.nullable);
    let call = |kernel, logical| Expr {
        node: Node::Call { kernel, args: vec![value.clone()] },
        logical,
        nullable: column.nullable,
    };
    match mask {
        Mask::Redact => Ok(call(Kernel::new(redact), LogicalType::TEXT)),
        Mask::Hash => {
            let key = keying.key(mask, object)?;
            Ok(call(Kernel::new(move |call| key.hash(call.args[0].array(), call.types[0])), HASHED))
        }
        Mask::Encrypt => {
            let cipher = keying.key(mask, object)?.cipher(keying.stream, &column.name)?;
            let kernel = Kernel::new(move |call| cipher.encrypt(call.args[0].array(), call.types[0]));
            Ok(call(kernel, encrypted(column.logical)))
        }
        Mask::Null if !column.nullable => {
            Err(refused(object, "the column is NOT NULL, so its values cannot be masked with NULL")
                .hint("Use `redact`, `hash` or `encrypt`, or drop the column"))
        }
        Mask::Null => Ok(Expr::literal(new_null_array(&column.logical.arrow(), 1), column.logical)),
    }
}

/// The type of an encrypted column: with a length where that of the value's text form is known, so
/// that it can be a key everywhere.
fn encrypted(logical: LogicalType) -> LogicalType {
    use LogicalType as L;
    let bytes = match logical {
        L::Text { length, .. } => length.and_then(|chars| chars.checked_mul(UTF8_BYTES_MAX)),
        L::Uuid => Some(UUID_CHARS),
        _ if logical.is_integer() => Some(INTEGER_CHARS_MAX),
        _ => None,
    };
    LogicalType::Text { length: bytes.map(ciphertext_chars), padded: false }
}

fn redact(call: &Call<'_>) -> Result<Computed> {
    let values = Arc::clone(call.args[0].array());
    texts(call.rows, |row, out| Ok(values.is_valid(row).then(|| out.push_str(REDACTED))))
}
