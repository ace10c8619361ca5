//! Where splits begin and end: ranges of the key, or the whole.

use std::sync::Arc;

use async_trait::async_trait;
use syncline_connect::{Read, SplitOrder, Splitter};
use syncline_sql::{Dialect, cut_condition, order_by};
use syncline_types::{Column, Extent, KeyRange, LogicalType, Result, Split, SplitId, civil};

use super::{garbled, read_sql::table_of};
use crate::{
    client::Client,
    dialect::{Mysql, key_range},
};

/// A key's text in a bound is not longer than this: it is saved with every split.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Cuts by the key: each chunk ends at the key that lies so many rows behind the last.
pub(super) struct KeySplitter {
    client: Client,
    read: Arc<Read>,
    last: Option<Extent>,
    next_id: u32,
}

#[async_trait]
impl Splitter for KeySplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let after = match &self.last {
            None => None,
            Some(Extent::Keys(KeyRange { upto: Some(upto), .. })) => Some(upto.clone()),
            Some(_) => return Ok(None),
        };
        let chunk = self.read.chunk_rows.max(1);
        let upto = self.bound(after.as_ref(), chunk).await?;
        let extent = Extent::Keys(KeyRange { after, upto });
        self.last = Some(extent.clone());
        let id = SplitId(self.next_id);
        self.next_id += 1;
        Ok(Some(Split { id, extent, rows_estimate: Some(chunk) }))
    }
}

impl KeySplitter {
    pub(super) fn new(client: Client, read: Arc<Read>, last: Option<&Split>) -> Self {
        let next_id = last.map_or(0, |last| last.id.0 + 1);
        KeySplitter { client, read, last: last.map(|last| last.extent.clone()), next_id }
    }

    /// The key of the row that is the chunk's last; `None` when fewer are left, or when it cannot be
    /// a bound.
    async fn bound(&mut self, after: Option<&Vec<String>>, chunk: u64) -> Result<Option<Vec<String>>> {
        let schema = &self.read.stream.schema;
        let SplitOrder::Key(key) = &self.read.stream.order else { return Err(garbled()) };
        let columns: Option<Vec<&Column>> = key.iter().map(|name| schema.column(name)).collect();
        let columns = columns.ok_or_else(garbled)?;
        let range = KeyRange { after: after.cloned(), upto: None };
        let behind = key_range(schema, key, &range).ok_or_else(garbled)?;
        let texts: Vec<String> = columns.iter().map(|column| as_text(column)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1 OFFSET {}",
            texts.join(", "),
            table_of(&self.read),
            cut_condition(&Mysql, &self.read, behind).ok_or_else(garbled)?,
            order_by(&Mysql, key),
            chunk - 1
        );
        let name = self.read.stream.name.to_string();
        let rows = self.client.texts_long(&sql, "cut into chunks the table", &name).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        Ok(row.into_iter().zip(columns).map(|(text, column)| bound(&text?, column)).collect())
    }
}

/// A column of the key as a text that nothing is lost of.
fn as_text(column: &Column) -> String {
    let name = Mysql.quote(&column.name);
    if column.logical == LogicalType::Binary { format!("HEX({name})") } else { name }
}

/// The server's text as the one that every system knows; `None` when it has none, as days that are
/// none.
pub(super) fn bound(text: &str, column: &Column) -> Option<String> {
    use LogicalType as L;
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    match column.logical {
        L::Bool => match text {
            "0" => Some("false".into()),
            "1" => Some("true".into()),
            _ => None,
        },
        // Some numbers are told with zeros in front.
        logical if logical.is_integer() => text.parse::<i128>().ok().map(|number| number.to_string()),
        L::Binary => Some(format!("\\x{}", text.to_ascii_lowercase())),
        L::Date => civil::parse_date(text).map(|_| text.to_owned()),
        L::Timestamp { zoned, .. } => {
            let (micros, _) = civil::parse_timestamp(text)?;
            let mut out = String::new();
            civil::write_timestamp(micros, zoned, &mut out);
            Some(out)
        }
        _ => Some(text.to_owned()),
    }
}

/// One split: for what has no key.
pub(super) struct WholeSplitter {
    pub(super) done: bool,
}

#[async_trait]
impl Splitter for WholeSplitter {
    async fn next(&mut self) -> Result<Option<Split>> {
        let split =
            (!self.done).then_some(Split { id: SplitId(0), extent: Extent::Whole, rows_estimate: None });
        self.done = true;
        Ok(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_in_the_form_that_every_system_knows() {
        use LogicalType as L;
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        for (logical, text, expected) in [
            (L::Bool, "1", Some("true")),
            (L::Bool, "2", None),
            (L::UInt32, "00042", Some("42")),
            (L::UInt64, "18446744073709551615", Some("18446744073709551615")),
            (L::Binary, "00FF", Some("\\x00ff")),
            (L::Date, "2024-02-29", Some("2024-02-29")),
            (L::Date, "0000-00-00", None),
            (L::TIMESTAMP, "2024-01-01 10:00:00.500000", Some("2024-01-01 10:00:00.5")),
            (L::TIMESTAMPTZ, "2024-01-01 10:00:00", Some("2024-01-01 10:00:00+00:00")),
            (L::TIMESTAMP, "2024-00-00 00:00:00", None),
            (L::TEXT, "0042", Some("0042")),
            (L::TEXT, &long, None),
        ] {
            assert_eq!(bound(text, &Column::new("c", logical)).as_deref(), expected, "{logical} {text}");
        }
    }
}
