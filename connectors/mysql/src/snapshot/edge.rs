//! How far a column goes.

use syncline_connect::{Edge, Stream};
use syncline_sql::Dialect;
use syncline_types::{Error, LogicalType, Result, codes};

use super::splitter::bound;
use crate::{
    client::Client,
    dialect::{Mysql, qualified},
};

pub(super) async fn edge(client: &mut Client, stream: &Stream, name: &str) -> Result<Edge> {
    use LogicalType as L;
    let object = format!("`{}`", stream.name);
    let column = stream.schema.column(name).ok_or_else(|| stream.schema.unknown_column(name))?;
    let ordered = matches!(column.logical, L::Decimal { .. } | L::Date | L::Timestamp { .. })
        || column.logical.is_integer();
    if !ordered {
        return Err(Error::new(&codes::UNSUPPORTED, "find the highest value in", object)
            .because(format!("column `{name}` is of a type that has no order everywhere"))
            .hint("Take a column of whole numbers, decimals, dates or times"));
    }
    let (quoted, table) = (Mysql.quote(name), qualified(&stream.name, ""));
    // Apart, so that an index answers the first at once.
    let sql = format!("SELECT MAX({quoted}) FROM {table}");
    let rows = client.texts_long(&sql, "find the highest value in", &object).await?;
    let highest = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    let highest = highest
        .map(|text| {
            bound(&text, column).ok_or_else(|| {
                Error::new(&codes::VALUE_UNREADABLE, "find the highest value in", &object)
                    .because(format!("that of column `{name}` is no day of the calendar"))
            })
        })
        .transpose()?;
    if !column.nullable {
        return Ok(Edge { highest, nulls: 0 });
    }
    let sql = format!("SELECT COUNT(*) FROM {table} WHERE {quoted} <=> NULL");
    let rows = client.texts_long(&sql, "count NULLs in", &object).await?;
    let nulls = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
    Ok(Edge { highest, nulls: nulls.and_then(|nulls| nulls.parse().ok()).unwrap_or(0) })
}
