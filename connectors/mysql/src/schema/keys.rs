//! The keys of a table that are unique and never NULL.

use std::collections::BTreeMap;

use syncline_types::{Result, StreamName};

use super::Key;
use crate::{client::Client, dialect::text_constant};

/// Keys over a part of a column, or over an expression, are unique in another sense.
pub(super) async fn keys(client: &mut Client, name: &StreamName) -> Result<Vec<Key>> {
    let sql = format!(
        "SELECT INDEX_NAME, COLUMN_NAME, INDEX_TYPE = 'BTREE',
                COLUMN_NAME IS NOT NULL AND SUB_PART IS NULL AND NULLABLE <> 'YES'
         FROM information_schema.STATISTICS
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND NON_UNIQUE = 0
         ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        text_constant(name.namespace.as_deref().unwrap_or_default()),
        text_constant(&name.table)
    );
    let rows = client.texts(&sql, "look up the keys of", &name.to_string()).await?;
    let mut keys: BTreeMap<String, Option<Key>> = BTreeMap::new();
    for row in rows {
        let [Some(index), column, ordered, usable] = row.as_slice() else { continue };
        let key = keys.entry(index.clone()).or_insert_with(|| {
            let primary = index == "PRIMARY";
            Some(Key { columns: vec![], primary, name: index.clone(), ordered: true })
        });
        match (column, key.as_mut()) {
            (Some(column), Some(key)) if usable.as_deref() == Some("1") => {
                key.columns.push(column.clone());
                key.ordered &= ordered.as_deref() == Some("1");
            }
            _ => *key = None,
        }
    }
    let mut keys: Vec<Key> = keys.into_values().flatten().collect();
    keys.sort_by_key(|key| !key.primary);
    Ok(keys)
}
