//! What is done before the first row. Each step may have been done by an earlier process already.

use rusqlite::Connection;
use syncline_connect::{RunRef, Target, Task};
use syncline_sql::{
    Dialect,
    bookkeeping::{self, StreamMark},
};
use syncline_types::{Error, Result, codes};

use super::{checkpoint, turn::Turn};
use crate::{
    client::Database,
    dialect::{Sqlite, qualified},
    error::Explain,
    plan::{Seen, Step, see, shape},
    schema::{Look, Table, find_table},
};

/// Does a step.
pub(crate) fn apply(turn: &mut Turn, run: &RunRef, target: &Target, step: &Step) -> Result<()> {
    let database = turn.database.clone();
    turn.transact(|connection| {
        checkpoint::fence(connection, run)?;
        match step {
            Step::Begin => begin(connection, run, target),
            Step::Create => create(connection, &database, target),
            Step::AddColumn(name) => add_column(connection, &database, target, name),
            Step::Alter(sql) => alter(connection, &database, target, sql),
            Step::Stage => stage(connection, &database, run, target),
        }
    })
}

fn begin(connection: &Connection, run: &RunRef, target: &Target) -> Result<()> {
    checkpoint::name_run(connection, run)?;
    match checkpoint::mark(connection, run, target.stream)? {
        // It may be published already.
        Some(_) => Ok(()),
        None => checkpoint::save_mark(connection, run, target.stream, StreamMark::Prepared),
    }
}

fn create(connection: &Connection, database: &Database, target: &Target) -> Result<()> {
    if see(connection, database, target)?.table.is_some() {
        return Ok(());
    }
    let name = &target.name.table;
    run(connection, target, &format!("CREATE TABLE {} {}", qualified(name), shape::own(target)))?;
    checkpoint::record_made(connection, name)
}

fn add_column(connection: &Connection, database: &Database, target: &Target, name: &str) -> Result<()> {
    let Seen { table, ours, .. } = see(connection, database, target)?;
    let (Some(table), Some(column)) = (table, target.schema.column(name)) else {
        return Err(Error::new(&codes::SCHEMA_CHANGED, "add a column to", format!("`{}`", target.name))
            .because("the table was there when the run was planned, and is no more")
            .hint("Begin again with --restart"));
    };
    if table.column(name).is_some() {
        return Ok(());
    }
    let declared = shape::added(column, &target.schema.dialect, &table);
    let sql = format!("ALTER TABLE {} ADD COLUMN {} {declared}", qualified(&table.name), Sqlite.quote(name));
    run(connection, target, &sql)?;
    if ours { checkpoint::record_made(connection, &table.name) } else { Ok(()) }
}

fn alter(connection: &Connection, database: &Database, target: &Target, sql: &str) -> Result<()> {
    let ours = see(connection, database, target)?.ours;
    run(connection, target, sql)?;
    if ours { checkpoint::record_made(connection, &target.name.table) } else { Ok(()) }
}

fn stage(connection: &Connection, database: &Database, run_ref: &RunRef, target: &Target) -> Result<()> {
    let name = bookkeeping::stage(&run_ref.run, target.stream);
    if checkpoint::exists(connection, &name)? {
        return Ok(());
    }
    let seen = see(connection, database, target)?;
    let table = seen.table.as_ref().filter(|_| !seen.new_shape(target));
    let Some(table) = table else {
        return run(connection, target, &format!("CREATE TABLE {} {}", qualified(&name), shape::own(target)));
    };
    let shapes = shape::like(table, seen.attached.refers, target);
    let mut made = Ok(());
    for body in &shapes {
        made = run(connection, target, &format!("CREATE TABLE {} {body}", qualified(&name)));
        if made.is_ok() {
            break;
        }
    }
    made?;
    if target.task == Task::Delete {
        return Ok(());
    }
    unique_sets(connection, database, run_ref, target, table)
}

/// Gives staging the unique sets of the table that it has not got with its shape.
fn unique_sets(
    connection: &Connection,
    database: &Database,
    run_ref: &RunRef,
    target: &Target,
    table: &Table,
) -> Result<()> {
    let name = bookkeeping::stage(&run_ref.run, target.stream);
    let Some(staged) = find_table(connection, database, &name, Look::Declared)? else { return Ok(()) };
    let missing = table.keys.iter().filter(|key| {
        let there =
            staged.keys.iter().any(|own| own.columns == key.columns && own.collations == key.collations);
        !there && key.columns.iter().all(|column| staged.column(column).is_some())
    });
    for (number, key) in missing.enumerate() {
        run(connection, target, &shape::unique_index(&run_ref.run, target.stream, number, key))?;
    }
    Ok(())
}

fn run(connection: &Connection, target: &Target, sql: &str) -> Result<()> {
    connection.execute_batch(sql).explain("prepare table", format!("`{}`", target.name))
}
