//! The mark: how far the runs of a stream have come, as it is kept at the target and in the state.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use syncline_types::{Error, LogicalType, Result, codes};

/// How far the runs of a stream have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source's column.
    pub cursor: String,
    /// [`super::Kind::name`]
    pub kind: String,
    /// The highest value read; `None` while no row had one.
    pub value: Option<String>,
    /// Rows near the mark, for runs that append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// Rows that were read and that the next run meets again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// All rows read from this value on are among them.
    pub since: Option<String>,
    /// The columns over which they are hashed, in their order.
    pub columns: Vec<(String, LogicalType)>,
    /// What shows that the hashes were made with another key; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A hash a row, as often as there were such rows.
    #[serde(with = "packed")]
    pub hashes: Vec<u128>,
}

impl Mark {
    /// As it is kept.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("a mark serialises")
    }

    /// Reads what [`Mark::write`] wrote.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when somebody else wrote it.
    pub fn read(text: &str) -> Result<Mark> {
        serde_json::from_str(text).map_err(|_| {
            Error::new(&codes::BAD_BYTES, "read the mark of", "the last run")
                .because("it is not as Syncline wrote it")
                .hint("Empty the target table: then everything is copied again")
        })
    }
}

/// Sixteen bytes a hash, in base 64: a fifth more than half of what digits would take.
pub(super) mod packed {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::{Deserialize, Engine, STANDARD};

    pub(crate) fn serialize<S: Serializer>(hashes: &[u128], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u128>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(D::Error::custom("a hash is cut off"));
        }
        Ok(hashes.iter().map(|hash| u128::from_be_bytes(*hash)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was_written() {
        let mut mark = Mark { cursor: "at \"x\"".into(), kind: "date".into(), value: None, seen: None };
        assert_eq!(Mark::read(&mark.write()).unwrap(), mark);
        mark.value = Some("2024-02-29".into());
        mark.seen = Some(Seen {
            since: Some("2024-02-28".into()),
            columns: vec![("id".into(), LogicalType::Int64), ("c".into(), LogicalType::TEXT)],
            key: Some("k".into()),
            hashes: vec![0, 1, 1, u128::MAX],
        });
        assert_eq!(Mark::read(&mark.write()).unwrap(), mark);
    }

    #[test]
    fn what_somebody_else_wrote_is_refused() {
        let cut =
            r#"{"cursor":"c","kind":"date","value":null,"seen":{"since":null,"columns":[],"hashes":"AAAA"}}"#;
        for text in ["", "{}", "null", "7", cut] {
            assert_eq!(Mark::read(text).unwrap_err().code(), &codes::BAD_BYTES, "{text}");
        }
    }
}
