//! How a table's columns follow those of its source.

use syncline_connect::{Action, ColumnChange, Evolution, Target};
use syncline_sql::{Dialect, Evolve, evolve as steps, fit};
use syncline_types::{Error, Result, codes};

use super::{check::by_native, types};
use crate::{
    client::Client,
    dialect::{Postgres, qualified},
    schema::{describe, find},
};

/// What is still to be done.
///
/// # Errors
/// [`codes::STREAM_MISSING`] when there is no such table.
pub(crate) async fn evolve(client: &Client, target: &Target, changes: &[ColumnChange]) -> Result<Evolution> {
    let found: Vec<_> = find(client, &target.name).await?.into_iter().collect();
    let table = describe(client, found).await?.pop().ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "change the columns of", format!("`{}`", target.name))
            .because("there is no such table")
            .hint("Copy it again: --restart")
    })?;
    let types = types(client, target).await?;
    let fits = |column: &_, there: &_| by_native(column, there, fit(column.logical, there.logical));
    let (steps, alters_values) = steps(target, &table.schema(), changes, fits)?;
    let quoted = qualified(&target.name, &client.config.schema);
    let actions = steps.into_iter().map(|step| {
        let (detail, sql) = match step {
            Evolve::Add(column) => {
                let (name, to) = (&column.name, types.of(column));
                (format!("add column `{name}` {to}"), format!("ADD COLUMN {} {to}", Postgres.quote(name)))
            }
            Evolve::Drop(name) => {
                (format!("drop column `{name}`"), format!("DROP COLUMN {}", Postgres.quote(name)))
            }
            Evolve::Rename(from, to) => (
                format!("rename column `{from}` to `{to}`"),
                format!("RENAME COLUMN {} TO {}", Postgres.quote(from), Postgres.quote(to)),
            ),
            Evolve::Retype(column) => {
                let (name, to) = (Postgres.quote(&column.name), types.of(column));
                (
                    format!("make column `{}` {to}", column.name),
                    // A default of the old type may be none of the new one.
                    format!(
                        "ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {to} USING {name}::text::{to}"
                    ),
                )
            }
        };
        let statement = format!("ALTER TABLE {quoted} {sql}");
        Action { verb: "alter", object: target.name.to_string(), detail, statement }
    });
    Ok(Evolution { actions: actions.collect(), alters_values })
}
