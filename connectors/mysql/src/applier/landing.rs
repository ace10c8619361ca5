//! Where changed rows wait: a temporary table with columns like the target's.

use syncline_connect::Target;
use syncline_sql::Dialect;
use syncline_types::{Error, Result, TableSchema, codes};

use crate::{
    client::Client, dialect::Mysql, encode::RowEncoder, plan::table::find, schema::MysqlColumn,
    sink::SinkShared, types::base,
};

pub(super) struct Landing {
    /// The target's name, for messages.
    pub(super) name: String,
    /// The temporary table, quoted.
    pub(super) table: String,
    /// What makes it.
    pub(super) create: String,
    pub(super) encoder: RowEncoder,
    /// The statement that loads lines.
    pub(super) load: String,
    /// What comes before the rows of a statement that inserts them.
    pub(super) insert: String,
    /// The same, straight into the target.
    pub(super) straight_load: String,
    pub(super) straight_insert: String,
    /// The columns that are written.
    pub(super) columns: Vec<String>,
    /// The key's columns that are texts.
    pub(super) texts: Vec<String>,
    /// The columns whose text is not all of their value.
    pub(super) floats: Vec<String>,
}

impl Landing {
    /// For rows with these columns; `number` is for its name.
    pub(super) async fn look_up(
        client: &mut Client,
        shared: &SinkShared,
        target: &Target,
        names: &[String],
        number: usize,
    ) -> Result<Self> {
        let name = target.name.to_string();
        let table = find(client, &target.name).await?.ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, super::APPLY, format!("`{name}`"))
                .because("it was there when following began, and is no more")
                .hint("Copy it again: --restart")
        })?;
        let mut given = vec![];
        let mut written: Vec<(usize, &MysqlColumn)> = vec![];
        for (place, column) in names.iter().enumerate() {
            given.push(
                target.schema.column(column).ok_or_else(|| target.schema.unknown_column(column))?.clone(),
            );
            let there = table.column(column).ok_or_else(|| {
                Error::new(&codes::SCHEMA_CHANGED, "write column", format!("`{name}.{column}`"))
                    .because("the table had it when following began, and has it no more")
            })?;
            if !there.column.generated {
                written.push((place, there));
            }
        }
        let columns: Vec<String> = written.iter().map(|(_, there)| there.column.name.clone()).collect();
        let is_float = |there: &&MysqlColumn| there.column.native.as_deref().map(base) == Some("float");
        let floats = written.iter().map(|(_, there)| *there).filter(is_float);
        let floats = floats.map(|there| there.column.name.clone()).collect();
        let texts = written.iter().filter(|(_, there)| there.charset.is_some());
        let texts = texts.map(|(_, there)| there.column.name.clone());
        let texts = texts.filter(|column| target.key.contains(column)).collect();
        let schema = TableSchema { columns: given, ..target.schema.clone() };
        let encoder = RowEncoder::new(&schema, &written, client.server.family, client.packet_bytes_max)?;
        let database = shared.config.database().unwrap_or_default();
        let stage = format!("{}.`_syncline_apply_{number}`", Mysql.quote(database));
        let create = format!(
            "CREATE TEMPORARY TABLE {stage} ENGINE = InnoDB SELECT {} FROM {} LIMIT 0",
            Mysql.list(&columns),
            shared.quoted(&target.name)
        );
        let quoted = shared.quoted(&target.name);
        let insert = |table: &str| format!("INSERT INTO {table} ({}) VALUES ", encoder.names());
        Ok(Landing {
            create,
            load: encoder.load_into(&stage),
            insert: insert(&stage),
            straight_load: encoder.load_into(&quoted),
            straight_insert: insert(&quoted),
            name,
            table: stage,
            encoder,
            columns,
            texts,
            floats,
        })
    }
}
