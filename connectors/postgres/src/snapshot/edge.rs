//! How far a column goes: its highest value, and how many rows have none.

use syncline_connect::{Edge, Stream};
use syncline_sql::Dialect;
use syncline_types::{Error, LogicalType, Result, civil, codes};

use crate::{
    client::Client,
    config::PostgresConfig,
    dialect::{Postgres, qualified},
    schema,
};

/// An index over the column answers both at once; without one the table is looked through.
pub(super) async fn find(
    client: &Client,
    config: &PostgresConfig,
    stream: &Stream,
    name: &str,
) -> Result<Edge> {
    let (object, operation) = (format!("{}.{name}", stream.name), "find the highest value of");
    let column = stream.schema.column(name).ok_or_else(|| stream.schema.unknown_column(name))?;
    if !(column.logical.is_integer()
        || matches!(column.logical, LogicalType::Date | LogicalType::Timestamp { .. }))
    {
        return Err(Error::new(&codes::UNSUPPORTED, operation, format!("`{object}`"))
            .because("it is no integer, date or timestamp"));
    }
    let listed = schema::find(client, &stream.name).await?.ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "read table", format!("`{}`", stream.name))
            .because("it was there when the run was planned, and is no more")
    })?;
    // A table's inheritance children are streams of their own; a partitioned table's are its rows.
    let only = if listed.kind == 'r' { "ONLY " } else { "" };
    let table = format!("{only}{}", qualified(&stream.name, &config.schema));
    let quoted = Postgres.quote(name);
    let nulls = match column.nullable {
        true => format!("(SELECT count(*) FROM {table} WHERE {quoted} IS NULL)"),
        false => "0".into(),
    };
    let sql = format!("SELECT (SELECT max({quoted}) FROM {table}), {nulls}");
    let rows = client.texts_long(&sql, operation, &object).await?;
    let garbled = || {
        Error::new(&codes::BAD_BYTES, operation, format!("`{object}`")).because("the answer is no such thing")
    };
    let Some([highest, Some(nulls)]) = rows.first().map(Vec::as_slice) else { return Err(garbled()) };
    Ok(Edge {
        highest: highest.as_deref().map(|text| canonical(text, column.logical)),
        nulls: nulls.parse().map_err(|_| garbled())?,
    })
}

/// The server writes zones in its own way, and infinities as everybody does.
fn canonical(text: &str, logical: LogicalType) -> String {
    match (logical, civil::parse_timestamp(text)) {
        (LogicalType::Timestamp { zoned, .. }, Some((micros, _))) => {
            let mut out = String::new();
            civil::write_timestamp(micros, zoned, &mut out);
            out
        }
        _ => text.to_owned(),
    }
}
