//! How a table's columns follow those of its source.

use syncline_connect::{ColumnChange, Evolution, Target};
use syncline_sql::{Dialect, Evolve, evolve as steps, fit};
use syncline_types::{Column, Error, Result, codes};

use super::{Shape, Step, check::by_native, collations, see, shape};
use crate::{
    client::Client,
    dialect::{Mysql, qualified},
};

/// What is still to be done.
///
/// # Errors
/// [`codes::STREAM_MISSING`] when there is no such table.
pub(crate) async fn evolve(
    client: &mut Client,
    target: &Target,
    changes: &[ColumnChange],
) -> Result<Evolution> {
    let seen = see(client, target).await?;
    let table = seen.table.as_ref().ok_or_else(|| {
        Error::new(&codes::STREAM_MISSING, "change the columns of", &target.name)
            .because("there is no such table")
            .hint("Copy it again: --restart")
    })?;
    let collations = collations(client).await?;
    let shape = shape::shape(target, &client.server, &collations);
    let fits = |column: &Column, there: &Column| {
        let fit = fit(column.logical, there.logical);
        table.column(&there.name).map_or(fit, |there| by_native(column, there, fit))
    };
    let schema = table.schema();
    let (steps, alters_values) = steps(target, &schema, changes, fits)?;
    let quoted = qualified(&target.name, client.config().database().unwrap_or_default());
    let type_of = |column: &Column| {
        shape.of(target, &column.name).map_or_else(String::new, |made| made.type_name.clone())
    };
    let actions = steps.into_iter().map(|step| {
        let (detail, sql) = match step {
            Evolve::Add(column) => (
                format!("add column `{}` {}", column.name, type_of(column)),
                format!("ADD COLUMN {}", plain(target, &shape, column)),
            ),
            Evolve::Drop(name) => {
                (format!("drop column `{name}`"), format!("DROP COLUMN {}", Mysql.quote(name)))
            }
            Evolve::Rename(from, to) => (
                format!("rename column `{from}` to `{to}`"),
                format!("RENAME COLUMN {} TO {}", Mysql.quote(from), Mysql.quote(to)),
            ),
            Evolve::Retype(column) => (
                format!("make column `{}` {}", column.name, type_of(column)),
                format!("MODIFY COLUMN {}", plain(target, &shape, column)),
            ),
        };
        Step::Alter(format!("ALTER TABLE {quoted} {sql}")).action(target, detail)
    });
    Ok(Evolution { actions: actions.collect(), alters_values })
}

/// A column that may be NULL, unless it is a part of the key, and fills in nothing.
fn plain(target: &Target, shape: &Shape, column: &Column) -> String {
    let column = Column { nullable: true, identity: false, default: None, ..column.clone() };
    shape.definition(target, &column)
}
