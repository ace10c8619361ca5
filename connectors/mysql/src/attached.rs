//! What hangs on a table, and would be lost or follow the old one when another takes its name.
//!
//! Views, grants and routines refer to a table by its name and see the new one; they are not attached.

use syncline_types::Result;

use crate::{
    client::Client,
    dialect::text_constant,
    plan::table::{Table, database, is_table},
};

/// Everything found on a table that matters for replacing it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attached {
    /// Why the table cannot be replaced by renaming another, each as words.
    pub(crate) reasons: Vec<String>,
    /// Foreign keys of other tables refer to it.
    pub(crate) referenced: bool,
    /// Those of them that delete or change the other table's rows when rows of this one are deleted.
    pub(crate) cascades: Vec<String>,
    /// Triggers that fire on rows written in place.
    pub(crate) triggers: Vec<String>,
}

/// Each row: a class, and the name of what was found.
fn sql(client: &Client, table: &Table) -> String {
    let condition = is_table(client, &table.name);
    let name = text_constant(&table.name.table);
    let database = text_constant(database(client, &table.name));
    format!(
        "SELECT 'foreign key', constraint_name FROM information_schema.table_constraints
          WHERE {condition} AND constraint_type = 'FOREIGN KEY'
         UNION ALL
         SELECT CASE WHEN delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') THEN 'cascade' ELSE 'referenced' END,
                CONCAT(constraint_name, ' of ', constraint_schema, '.', table_name)
          FROM information_schema.referential_constraints
          WHERE unique_constraint_schema = {database} AND referenced_table_name = {name}
            AND NOT (constraint_schema = {database} AND table_name = {name})
         UNION ALL
         SELECT 'trigger', trigger_name FROM information_schema.triggers
          WHERE event_object_schema = {database} AND event_object_table = {name}"
    )
}

/// What a table that we made had not when we made it, and the next one would not have.
fn sql_of_ours(client: &Client, table: &Table) -> String {
    let condition = is_table(client, &table.name);
    format!(
        "SELECT DISTINCT 'index', index_name FROM information_schema.statistics
          WHERE {condition} AND index_name <> 'PRIMARY'
         UNION ALL
         SELECT 'partitioning', 'of the table' FROM information_schema.partitions
          WHERE {condition} AND partition_name IS NOT NULL GROUP BY table_name
         UNION ALL
         SELECT 'generated column', column_name FROM information_schema.columns
          WHERE {condition} AND extra LIKE '% GENERATED'
         UNION ALL
         SELECT 'comment', CONCAT('on column ', column_name) FROM information_schema.columns
          WHERE {condition} AND column_comment <> ''
         UNION ALL
         SELECT 'constraint', c.constraint_name FROM information_schema.table_constraints c
          WHERE {condition} AND constraint_type = 'CHECK' AND NOT EXISTS (
            SELECT 1 FROM information_schema.columns l
            WHERE l.table_schema = c.table_schema AND l.table_name = c.table_name
              AND l.column_name = c.constraint_name)"
    )
}

/// Looks for everything attached to a table.
pub(crate) async fn attached(client: &mut Client, table: &Table, ours: bool) -> Result<Attached> {
    let name = table.name.to_string();
    let (look, mut statements) = ("look for what is attached to", vec![sql(client, table)]);
    if ours {
        statements.push(sql_of_ours(client, table));
    }
    let mut attached = Attached::default();
    for sql in statements {
        for row in client.texts(&sql, look, &name).await? {
            let [Some(class), Some(found)] = row.as_slice() else { continue };
            attached.add(class, found);
        }
    }
    if table.kind != "BASE TABLE" {
        attached.reasons.push(format!("its kind, {}", table.kind.to_lowercase()));
    }
    if ours && !table.engine.eq_ignore_ascii_case("innodb") {
        attached.reasons.push(format!("its engine, {}", table.engine));
    }
    Ok(attached)
}

impl Attached {
    fn add(&mut self, class: &str, found: &str) {
        let class = match class {
            "cascade" => {
                self.cascades.push(found.to_owned());
                self.referenced = true;
                "foreign key"
            }
            "referenced" => {
                self.referenced = true;
                "foreign key"
            }
            "trigger" => {
                self.triggers.push(found.to_owned());
                class
            }
            _ => class,
        };
        self.reasons.push(format!("{class} {found}"));
    }
}
