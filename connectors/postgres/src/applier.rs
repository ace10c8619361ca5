//! Applies changes, by key, all in one transaction that begins with the fence and ends with the mark. A few
//! rows are sent as constants, with the transaction's beginning in one message; more go by COPY into temporary
//! tables, and from there into the targets.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::SinkExt;
use syncline_connect::{Applier, LOG_MARK, Marking, NetChanges, RunRef, Target};
use syncline_sql::{
    Dialect, bookkeeping, changing, delete_staged, insert_select, merge, on_conflict, quote_text,
    update_changed,
};
use syncline_types::{Error, Result, TableSchema, codes};

use crate::{
    client::Client,
    dialect::Postgres,
    encode::RowEncoder,
    schema::{Table, describe, find},
    sink::{SinkShared, fenced, holds},
};

/// So many rows, of so many bytes as constants, are sent as one text with all that is done with them: a COPY
/// of its own takes the server's answer three times.
const FEW_ROWS: usize = 500;
const FEW_BYTES: usize = 256 << 10;

/// Rows are found by the key's index, one by one: the server knows nothing of what is in a temporary table,
/// and could think of reading a whole target for it. A plan without another way looks very dear then, and to
/// compile it takes the server seconds.
const PLANS: &str =
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off";

pub(crate) struct PostgresApplier {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    /// Whether a transaction is open.
    open: bool,
    /// The tables as they are, by the target's number.
    tables: HashMap<u32, Arc<Table>>,
    /// Where rows wait, by the target's number and the columns that they have.
    landings: HashMap<(u32, Vec<String>), Arc<Landing>>,
    /// The temporary tables that are there.
    made: HashSet<String>,
    /// Those in which rows of the open transaction lie that were moved on.
    filled: HashSet<String>,
}

/// A temporary table, and what is done with what lies in it.
struct Landing {
    copy: String,
    encoder: RowEncoder,
    /// The same, for rows that are sent as constants.
    constants: RowEncoder,
    /// Its columns.
    columns: Vec<String>,
    name: String,
}

impl PostgresApplier {
    pub(crate) async fn open(client: Client, shared: Arc<SinkShared>, run: RunRef) -> Result<Self> {
        client.run(PLANS, "set up a session on", &shared.config.place()).await?;
        Ok(PostgresApplier {
            client,
            shared,
            run,
            open: false,
            tables: HashMap::new(),
            landings: HashMap::new(),
            made: HashSet::new(),
            filled: HashSet::new(),
        })
    }

    async fn begin(&mut self) -> Result<()> {
        if self.open {
            return Ok(());
        }
        let place = self.shared.config.place();
        self.go_on("", "begin a transaction on", &place).await
    }

    /// Runs statements in the transaction, which is begun with the same message where none is open.
    async fn go_on(&mut self, sql: &str, operation: &str, object: &str) -> Result<()> {
        if self.open {
            return self.client.run_long(sql, operation, object).await;
        }
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        self.open = true;
        if !self.shared.keeps_progress {
            return self.client.run_long(&format!("{begin};{sql}"), operation, object).await;
        }
        let sql = format!("{begin};{};{sql}", self.shared.fence(&self.run.pipeline));
        let answers = self.client.texts_long(&sql, operation, object).await?;
        if holds(&answers, &self.run) { Ok(()) } else { Err(fenced(&self.run)) }
    }

    async fn table(&mut self, target: &Target) -> Result<Arc<Table>> {
        if let Some(table) = self.tables.get(&target.stream) {
            return Ok(Arc::clone(table));
        }
        let found: Vec<_> = find(&self.client, &target.name).await?.into_iter().collect();
        let table = describe(&self.client, found).await?.pop().ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, "apply changes to table", format!("`{}`", target.name))
                .because("it was there when following began, and is no more")
                .hint("Copy it again: --restart")
        })?;
        let table = Arc::new(table);
        self.tables.insert(target.stream, Arc::clone(&table));
        Ok(table)
    }

    /// What rows with these columns are written by.
    async fn shape(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        if let Some(landing) = self.landings.get(&(target.stream, names.clone())) {
            return Ok(Arc::clone(landing));
        }
        let table = self.table(target).await?;
        let mut columns = vec![];
        let mut written = vec![];
        for (place, name) in names.iter().enumerate() {
            let column = target.schema.column(name).ok_or_else(|| target.schema.unknown_column(name))?;
            columns.push(column.clone());
            let there = table.columns.iter().find(|there| there.column.name == *name).ok_or_else(|| {
                Error::new(&codes::SCHEMA_CHANGED, "write column", format!("`{}.{name}`", target.name))
                    .because("the table had it when following began, and has it no more")
            })?;
            if !there.column.generated {
                written.push((place, there.pg_type.clone()));
            }
        }
        let kept: Vec<String> = written.iter().map(|(place, _)| names[*place].clone()).collect();
        let encoder = RowEncoder::new(&TableSchema { columns, ..target.schema.clone() }, &written);
        let name = format!("pg_temp.\"_syncline_apply_{}\"", self.landings.len());
        let copy = format!("COPY {name} ({}) FROM STDIN {}", Postgres.list(&kept), encoder.format.option());
        let constants = encoder.as_text();
        let landing = Arc::new(Landing { copy, encoder, constants, columns: kept, name });
        self.landings.insert((target.stream, names), Arc::clone(&landing));
        Ok(landing)
    }

    /// Where rows with these columns wait.
    async fn landing(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let landing = self.shape(target, rows).await?;
        if self.made.contains(&landing.name) {
            return Ok(landing);
        }
        let create = format!(
            "CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA",
            landing.name.trim_start_matches("pg_temp."),
            Postgres.list(&landing.columns),
            self.shared.quoted(&target.name)
        );
        self.client.run(&create, "prepare to apply changes to table", &target.name.to_string()).await?;
        self.made.insert(landing.name.clone());
        Ok(landing)
    }

    /// What a few changes come to, as statements; `None` where there are more, or some of them set only a part
    /// of a row.
    async fn statements(&mut self, target: &Target, changes: &NetChanges) -> Result<Option<String>> {
        let (deletes, rows) = (&changes.deletes, &changes.rows);
        let few = deletes.num_rows() + rows.num_rows() <= FEW_ROWS && changes.updates.is_empty();
        if !few || target.key.is_empty() {
            return Ok(None);
        }
        let table = self.shared.quoted(&target.name);
        let mut sql = String::new();
        if changes.emptied {
            sql.push_str(&format!("DELETE FROM {table};"));
        }
        if deletes.num_rows() > 0 {
            let shape = self.shape(target, deletes).await?;
            sql.push_str(&format!("DELETE FROM {table} WHERE ({}) IN (", Postgres.list(&shape.columns)));
            if !constants(&shape, deletes, &mut sql)? {
                return Ok(None);
            }
            sql.push_str(");");
        }
        if rows.num_rows() > 0 {
            let shape = self.shape(target, rows).await?;
            let list = Postgres.list(&shape.columns);
            sql.push_str(&format!("INSERT INTO {table} AS t ({list}){} VALUES ", Postgres.overriding()));
            if !constants(&shape, rows, &mut sql)? {
                return Ok(None);
            }
            let changing = changing(&shape.columns, &target.key, |_| false);
            sql.push_str(&on_conflict(&Postgres, &target.key, &changing, |_, _, _| None));
        }
        Ok(Some(sql))
    }

    /// Rows into their temporary table. It empties itself at the commit, and has to be emptied here only for
    /// another part of one transaction.
    async fn land(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let landing = self.landing(target, rows).await?;
        let name = target.name.to_string();
        let client = &self.client;
        if !self.filled.insert(landing.name.clone()) {
            let empty = format!("DELETE FROM {}", landing.name);
            client.run_long(&empty, "apply changes to table", &name).await?;
        }
        let copying = client.inner.copy_in::<_, Bytes>(landing.copy.as_str());
        let mut sink = Box::pin(client.answer("write to table", &name, copying).await?);
        let mut rejects = vec![];
        let mut pieces = vec![landing.encoder.header()];
        let mut encoding = landing.encoder.open(rows)?;
        while let Some(more) = encoding.pieces(&mut rejects) {
            pieces.extend(more);
            for piece in pieces.drain(..).filter(|piece| !piece.is_empty()) {
                client.answer("write to table", &name, async { sink.send(piece).await }).await?;
            }
        }
        if let Some(reject) = rejects.into_iter().next() {
            return Err(reject.error.at_row(reject.row));
        }
        pieces.push(landing.encoder.trailer());
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            client.answer("write to table", &name, async { sink.send(piece).await }).await?;
        }
        client.answer("write to table", &name, sink.as_mut().finish()).await?;
        Ok(landing)
    }

    async fn delete(&mut self, target: &Target, keys: &RecordBatch) -> Result<()> {
        let landing = self.land(target, keys).await?;
        let table = self.shared.quoted(&target.name);
        self.move_on(target, &delete_staged(&Postgres, &table, &landing.name, &target.key)).await
    }

    /// Sets what is given of rows that are there; returns how many are not.
    async fn update(&mut self, target: &Target, rows: &RecordBatch) -> Result<u64> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let columns = changing(&landing.columns, &target.key, |_| false);
        let missed = format!(
            "SELECT count(*) FROM {0} AS s WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {1})",
            landing.name,
            syncline_sql::same_key(&Postgres, &target.key)
        );
        let missed = self.client.text(&missed, "apply changes to table", &target.name.to_string()).await?;
        // Where nothing but the key is known there is nothing to set.
        let sql = update_changed(&Postgres, &table, &landing.name, &target.key, &columns, |_, _, _| None);
        if let Some(sql) = sql {
            self.move_on(target, &sql).await?;
        }
        Ok(missed.and_then(|missed| missed.parse().ok()).unwrap_or(0))
    }

    async fn upsert(&mut self, target: &Target, rows: &RecordBatch) -> Result<()> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let sql = match target.key.is_empty() {
            true => insert_select(&Postgres, &table, &landing.name, &landing.columns),
            false => {
                let columns = changing(&landing.columns, &target.key, |_| false);
                let (stage, key) = (&landing.name, &target.key);
                merge(&Postgres, &table, stage, &landing.columns, key, &columns, |_, _, _| None)
            }
        };
        self.move_on(target, &sql).await
    }

    /// Moves on what lies in a temporary table.
    async fn move_on(&self, target: &Target, sql: &str) -> Result<()> {
        self.client.run_long(sql, "apply changes to table", &target.name.to_string()).await
    }
}

/// Appends rows as constants; false when they are too many.
fn constants(shape: &Landing, rows: &RecordBatch, sql: &mut String) -> Result<bool> {
    // A value that its column cannot hold is told with its row, which the server would not.
    let mut rejects = vec![];
    let mut encoding = shape.encoder.open(rows)?;
    while encoding.pieces(&mut rejects).is_some() {}
    match rejects.into_iter().next() {
        Some(reject) => Err(reject.error.at_row(reject.row)),
        None => shape.constants.constants(rows, FEW_BYTES, sql),
    }
}

#[async_trait]
impl Applier for PostgresApplier {
    async fn apply(&mut self, target: &Arc<Target>, changes: &NetChanges) -> Result<u64> {
        if let Some(sql) = self.statements(target, changes).await? {
            self.go_on(&sql, "apply changes to table", &target.name.to_string()).await?;
            return Ok(0);
        }
        self.begin().await?;
        if changes.emptied {
            let sql = format!("DELETE FROM {}", self.shared.quoted(&target.name));
            self.client.run_long(&sql, "empty table", &target.name.to_string()).await?;
        }
        if changes.deletes.num_rows() > 0 {
            self.delete(target, &changes.deletes).await?;
        }
        let mut missed = 0;
        for rows in &changes.updates {
            missed += self.update(target, rows).await?;
        }
        if changes.rows.num_rows() > 0 {
            self.upsert(target, &changes.rows).await?;
        }
        Ok(missed)
    }

    async fn commit(&mut self, mark: &str) -> Result<()> {
        self.begin().await?;
        let mut sql = vec![];
        if self.shared.keeps_progress {
            let (marks, pipeline) = (self.shared.marks(), &self.run.pipeline);
            sql = bookkeeping::marking(&marks, pipeline, LOG_MARK, Marking::Save(mark), quote_text);
        }
        sql.push("COMMIT".into());
        self.client.run(&sql.join("; "), "commit to", &self.shared.config.place()).await?;
        self.open = false;
        self.filled.clear();
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        if self.open {
            self.client.run("ROLLBACK", "take changes back from", &self.shared.config.place()).await?;
            self.open = false;
            // What was made in the transaction went with it.
            self.made.clear();
            self.filled.clear();
        }
        Ok(())
    }
}

impl Drop for PostgresApplier {
    fn drop(&mut self) {
        // Without a word the server would go on with what it has; hung up on, it rolls back.
        if self.open {
            self.client.hang_up();
        }
    }
}
