//! Labels as they are. The log has their numbers only, and the catalogue has `?` for letters that it cannot hold.

use syncline_sql::Dialect;
use syncline_types::{Column, Error, Result, StreamName, codes};

use crate::{client::Client, dialect::Mysql, types::base};

/// A column with the labels that its values have when they are read.
///
/// # Errors
/// When they cannot be found out.
pub(super) async fn exact(client: &mut Client, table: &StreamName, column: &Column) -> Result<Column> {
    let mut column = column.clone();
    let Some(labels) = column.labels.as_ref().filter(|labels| labels.iter().any(|label| label.contains('?')))
    else {
        return Ok(column);
    };
    let is_set = column.native.as_deref().is_some_and(|native| base(native) == "set");
    let name = format!("{table}.{}", column.name);
    let found = ask(client, table, &column.name, labels.len(), is_set).await.map_err(|error| {
        let why = "the server's catalogue has `?` in a label, which stands for letters that it cannot hold, too";
        Error::new(&codes::UNSUPPORTED, "find out the labels of column", format!("`{name}`"))
            .because(format!("{why}, and to look further failed: {}", error.reason()))
            .hint("Grant the user CREATE TEMPORARY TABLES on the database, or leave the column out with --columns")
    })?;
    column.labels = Some(found);
    Ok(column)
}

/// Makes values of the column's type out of their numbers, in a table that nobody else sees.
async fn ask(
    client: &mut Client,
    table: &StreamName,
    column: &str,
    count: usize,
    is_set: bool,
) -> Result<Vec<String>> {
    const OPERATION: &str = "find out the labels of";
    let object = format!("{table}.{column}");
    let database = table.namespace.as_deref().map(|name| Mysql.quote(name) + ".").unwrap_or_default();
    let (place, quoted) = (format!("{database}`_syncline_labels`"), Mysql.quote(column));
    let drop = format!("DROP TEMPORARY TABLE IF EXISTS {place}");
    let numbers: Vec<String> = (0..count)
        .map(|at| if is_set { format!("({})", 1_u64 << at) } else { format!("({})", at + 1) })
        .collect();
    for sql in [
        drop.clone(),
        format!(
            "CREATE TEMPORARY TABLE {place} SELECT {quoted} FROM {database}{} LIMIT 0",
            Mysql.quote(&table.table)
        ),
        format!("INSERT INTO {place} VALUES {}", numbers.join(", ")),
    ] {
        client.run(&sql, OPERATION, &object).await?;
    }
    let rows = client
        .texts(&format!("SELECT {quoted} FROM {place} ORDER BY {quoted} + 0"), OPERATION, &object)
        .await?;
    client.run(&drop, OPERATION, &object).await?;
    let labels: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    match labels.len() == count {
        true => Ok(labels),
        false => Err(Error::new(&codes::BAD_BYTES, OPERATION, object).because("their number is another one")),
    }
}
