//! Applies changes, by key, all in one transaction that begins with the fence and ends with the mark. A few
//! rows are sent as constants, with the transaction's beginning in one message; more go by COPY into temporary
//! tables, and from there into the targets. Rows that are new go straight into these, behind a savepoint: where
//! the target has one of them already, all go the other way. Without a key rows are found by all their values.

mod by_values;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::SinkExt;
use syncline_connect::{Applier, Emptied, LOG_MARK, Marking, Moved, NetChanges, Origin, RunRef, Target};
use syncline_sql::{
    Dialect, bookkeeping, changing, insert_missing, merge, on_conflict, quote_text, same_key, update_changed,
};
use syncline_types::{Error, Result, TableSchema, codes};
use tokio::sync::OnceCell;
use tokio_postgres::{CopyInSink, Statement};

use crate::{
    client::Client,
    dialect::Postgres,
    encode::RowEncoder,
    origin,
    schema::{Table, describe, find},
    sink::{SinkShared, fenced, holds},
};

/// So many rows, of so many bytes as constants, are sent as one text with all that is done with them: a COPY
/// of its own takes the server's answer three times.
const FEW_ROWS: usize = 500;
const FEW_BYTES: usize = 256 << 10;

/// Fewer new rows than this go with the others.
const NEW_ROWS_MIN: usize = 100;
/// The server keeps 64 parts of a transaction at hand that can be taken back each; of more it has to look up
/// for everybody whether they are committed.
const SAVEPOINTS_MAX: u32 = 60;
/// Where new rows were there already, so many parts go the other way before it is tried again: what could not
/// be used stays in the table until it is vacuumed.
const WARY_PARTS: u32 = 16;

/// Rows are found by the key's index, one by one: the server knows nothing of what is in a temporary table,
/// and could think of reading a whole target for it. A plan without another way looks very dear then, and to
/// compile it takes the server seconds.
const PLANS: &str =
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET jit = off";

const APPLY: &str = "apply changes to table";

pub(crate) struct PostgresApplier {
    client: Client,
    shared: Arc<SinkShared>,
    run: RunRef,
    /// Whether a transaction is open.
    open: bool,
    /// What the changes to come have come through, and what the open transaction has said last.
    origin: Origin,
    said: Origin,
    /// The tables as they are, by the target's number.
    tables: HashMap<u32, Arc<Table>>,
    /// Where rows wait, by the target's number and the columns that they have.
    landings: HashMap<(u32, Vec<String>), Arc<Landing>>,
    /// The temporary tables that are there.
    made: HashSet<String>,
    /// Those in which rows of the open transaction lie that were moved on.
    filled: HashSet<String>,
    /// Savepoints of the open transaction.
    savepoints: u32,
    /// By the target's number, how many parts are not to go straight into it.
    wary: HashMap<u32, u32>,
}

/// A temporary table, and what is done with what lies in it.
struct Landing {
    /// Into it, and straight into the target.
    copy: Copying,
    straight: Copying,
    encoder: RowEncoder,
    /// The same, for rows that are sent as constants.
    constants: RowEncoder,
    /// Its columns.
    columns: Vec<String>,
    /// Of these, some that can be compared quickly.
    quick: Vec<String>,
    name: String,
}

/// A `COPY`, which the server reads only once.
struct Copying {
    sql: String,
    prepared: OnceCell<Statement>,
}

impl Copying {
    async fn begin(
        &self,
        client: &tokio_postgres::Client,
    ) -> std::result::Result<CopyInSink<Bytes>, tokio_postgres::Error> {
        let prepared = self.prepared.get_or_try_init(|| client.prepare(&self.sql)).await?;
        client.copy_in(prepared).await
    }
}

impl PostgresApplier {
    pub(crate) async fn open(client: Client, shared: Arc<SinkShared>, run: RunRef) -> Result<Self> {
        client.run(PLANS, "set up a session on", &shared.config.place()).await?;
        Ok(PostgresApplier {
            client,
            shared,
            run,
            open: false,
            origin: Origin::default(),
            said: Origin::default(),
            tables: HashMap::new(),
            landings: HashMap::new(),
            made: HashSet::new(),
            filled: HashSet::new(),
            savepoints: 0,
            wary: HashMap::new(),
        })
    }

    async fn begin(&mut self) -> Result<()> {
        if self.open && self.said == self.origin {
            return Ok(());
        }
        let place = self.shared.config.place();
        self.go_on("", "begin a transaction on", &place).await
    }

    /// Runs statements in the transaction, which is begun with the same message where none is open.
    async fn go_on(&mut self, sql: &str, operation: &str, object: &str) -> Result<()> {
        let said =
            if self.said == self.origin { String::new() } else { origin::statement(&self.origin) + ";" };
        self.said.clone_from(&self.origin);
        if self.open {
            return self.client.run_long(&format!("{said}{sql}"), operation, object).await;
        }
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        self.open = true;
        if !self.shared.keeps_progress {
            return self.client.run_long(&format!("{begin};{said}{sql}"), operation, object).await;
        }
        let sql = format!("{begin};{};{said}{sql}", self.shared.fence(&self.run.pipeline));
        let answers = self.client.texts_long(&sql, operation, object).await?;
        if holds(&answers, &self.run) { Ok(()) } else { Err(fenced(&self.run)) }
    }

    async fn table(&mut self, target: &Target) -> Result<Arc<Table>> {
        if let Some(table) = self.tables.get(&target.stream) {
            return Ok(Arc::clone(table));
        }
        let found: Vec<_> = find(&self.client, &target.name).await?.into_iter().collect();
        let table = describe(&self.client, found).await?.pop().ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, APPLY, format!("`{}`", target.name))
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
        let (mut written, mut quick) = (vec![], vec![]);
        for (place, name) in names.iter().enumerate() {
            let column = target.schema.column(name).ok_or_else(|| target.schema.unknown_column(name))?;
            columns.push(column.clone());
            let there = table.columns.iter().find(|there| there.column.name == *name).ok_or_else(|| {
                Error::new(&codes::SCHEMA_CHANGED, "write column", format!("`{}.{name}`", target.name))
                    .because("the table had it when following began, and has it no more")
            })?;
            if !there.column.generated {
                written.push((place, there.pg_type.clone()));
                quick.extend(by_values::is_quick(&there.column).then(|| name.clone()));
            }
        }
        let kept: Vec<String> = written.iter().map(|(place, _)| names[*place].clone()).collect();
        let encoder = RowEncoder::new(&TableSchema { columns, ..target.schema.clone() }, &written);
        let name = format!("pg_temp.\"_syncline_apply_{}\"", self.landings.len());
        let list = Postgres.list(&kept);
        let copy = |table: &str| {
            let sql = format!("COPY {table} ({list}) FROM STDIN {}", encoder.format.option());
            Copying { sql, prepared: OnceCell::new() }
        };
        let (copy, straight) = (copy(&name), copy(&self.shared.quoted(&target.name)));
        let constants = encoder.as_text();
        let landing = Arc::new(Landing { copy, straight, encoder, constants, columns: kept, quick, name });
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
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA",
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
        let plain = changes.moved.is_none() && !matches!(changes.emptied, Some(Emptied::Noted(_)));
        if !few || !plain || target.key.is_empty() {
            return Ok(None);
        }
        let table = self.shared.quoted(&target.name);
        let mut sql = String::new();
        if changes.emptied.is_some() {
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

    /// Rows into their temporary table.
    async fn land(&mut self, target: &Target, rows: &RecordBatch) -> Result<Arc<Landing>> {
        let landing = self.landing(target, rows).await?;
        self.land_and(target, &landing, rows, None).await?;
        Ok(landing)
    }

    /// The same, and `then` moves them on; says how many rows that has met. The table empties itself at the commit,
    /// and has to be emptied here only for another part of one transaction: not row by row, since each part would
    /// look at those of all before it.
    async fn land_and(
        &mut self,
        target: &Target,
        landing: &Landing,
        rows: &RecordBatch,
        then: Option<&str>,
    ) -> Result<u64> {
        let empty = format!("TRUNCATE {}", landing.name);
        let before = (!self.filled.insert(landing.name.clone())).then_some(empty.as_str());
        self.send(landing, &landing.copy, &target.name.to_string(), rows, [before, then]).await
    }

    /// Copies rows to where `copy` says, behind one statement and before another one, whose answers are not waited
    /// for in between; says how many rows the latter has met.
    async fn send(
        &self,
        landing: &Landing,
        copy: &Copying,
        name: &str,
        rows: &RecordBatch,
        [before, then]: [Option<&str>; 2],
    ) -> Result<u64> {
        let client = &self.client;
        // They are sent in this order, since they are polled in this order.
        let (ready, copying) = tokio::join!(
            biased;
            async {
                match before {
                    Some(sql) => client.run(sql, APPLY, name).await,
                    None => Ok(()),
                }
            },
            client.answer("write to table", name, copy.begin(&client.inner))
        );
        ready?;
        let mut sink = Box::pin(copying?);
        let mut rejects = vec![];
        let mut pieces = vec![landing.encoder.header()];
        let mut encoding = landing.encoder.open(rows)?;
        while let Some(more) = encoding.pieces(&mut rejects) {
            pieces.extend(more);
            for piece in pieces.drain(..).filter(|piece| !piece.is_empty()) {
                client.answer("write to table", name, async { sink.send(piece).await }).await?;
            }
        }
        if let Some(reject) = rejects.into_iter().next() {
            return Err(reject.error.at_row(reject.row));
        }
        pieces.push(landing.encoder.trailer());
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            client.answer("write to table", name, async { sink.send(piece).await }).await?;
        }
        let (copied, met) = tokio::join!(
            biased;
            client.answer("write to table", name, sink.as_mut().finish()),
            async {
                match then {
                    Some(sql) => client.count_long(sql, APPLY, name).await,
                    None => Ok(0),
                }
            }
        );
        // Where that failed the server takes nothing behind it.
        copied?;
        met
    }

    /// Takes away as many of the rows that are equal to these; returns how many there are too few.
    async fn take_away(&mut self, target: &Target, rows: &RecordBatch) -> Result<u64> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let sql = by_values::delete(&table, &landing.name, &landing.columns, &landing.quick);
        let name = target.name.to_string();
        self.client.run(by_values::PLANS, APPLY, &name).await?;
        let gone = self.move_on(target, &sql).await?;
        self.client.run(by_values::PLANS_BACK, APPLY, &name).await?;
        Ok((rows.num_rows() as u64).saturating_sub(gone))
    }

    async fn delete(&mut self, target: &Target, keys: &RecordBatch) -> Result<()> {
        let landing = self.landing(target, keys).await?;
        let (table, same) = (self.shared.quoted(&target.name), same_key(&Postgres, &target.key));
        let sql = format!("DELETE FROM {table} AS t USING {} AS s WHERE {same}", landing.name);
        self.land_and(target, &landing, keys, Some(&sql)).await.map(drop)
    }

    /// Sets these columns of all rows in which they are NULL.
    async fn note(&mut self, target: &Target, note: &RecordBatch) -> Result<()> {
        let landing = self.land(target, note).await?;
        let table = self.shared.quoted(&target.name);
        for name in landing.columns.iter().map(|name| Postgres.quote(name)) {
            let sql = format!(
                "UPDATE {table} AS t SET {name} = s.{name} FROM {} AS s WHERE t.{name} IS NULL",
                landing.name
            );
            self.move_on(target, &sql).await?;
        }
        Ok(())
    }

    /// A row goes to another key; returns how many rows are not there.
    async fn move_row(&mut self, target: &Target, moved: &Moved) -> Result<u64> {
        let (table, name) = (self.shared.quoted(&target.name), target.name.to_string());
        let from = self.shape(target, &moved.from).await?;
        let key: Vec<String> =
            from.columns.iter().map(|column| format!("t.{}", Postgres.quote(column))).collect();
        let mut was = format!("({}) IN (", key.join(", "));
        if !constants(&from, &moved.from, &mut was)? {
            return Err(Error::new(&codes::UNSUPPORTED, APPLY, format!("`{name}`"))
                .because("the key of a row that goes to another key is too long"));
        }
        was.push(')');
        let to = self.land(target, &moved.to).await?;
        let same = same_key(&Postgres, &target.key);
        // To the target the two keys may be the same.
        let there = format!("SELECT count(*) FROM {table} AS t, {} AS s WHERE {same} AND NOT {was}", to.name);
        if self.client.text(&there, APPLY, &name).await?.as_deref() == Some("0") {
            let set = to.columns.iter().map(|column| format!("{0} = s.{0}", Postgres.quote(column)));
            let set = set.collect::<Vec<_>>().join(", ");
            let sql = format!("UPDATE {table} AS t SET {set} FROM {} AS s WHERE {was}", to.name);
            return Ok(u64::from(self.move_on(target, &sql).await? == 0));
        }
        self.delete(target, &moved.from).await?;
        self.update(target, &moved.to).await
    }

    /// Sets what is given of rows that are there; returns how many are not.
    async fn update(&mut self, target: &Target, rows: &RecordBatch) -> Result<u64> {
        let landing = self.land(target, rows).await?;
        let table = self.shared.quoted(&target.name);
        let columns = changing(&landing.columns, &target.key, |_| false);
        let missed = format!(
            "SELECT count(*) FROM {0} AS s WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {1})",
            landing.name,
            same_key(&Postgres, &target.key)
        );
        let missed = self.client.text(&missed, APPLY, &target.name.to_string()).await?;
        // Where nothing but the key is known there is nothing to set.
        let sql = update_changed(&Postgres, &table, &landing.name, &target.key, &columns, |_, _, _| None);
        if let Some(sql) = sql {
            self.move_on(target, &sql).await?;
        }
        Ok(missed.and_then(|missed| missed.parse().ok()).unwrap_or(0))
    }

    /// Sets rows that are there, and adds those that are not.
    async fn upsert(&mut self, target: &Target, rows: &RecordBatch) -> Result<()> {
        let landing = self.landing(target, rows).await?;
        let (table, stage) = (self.shared.quoted(&target.name), &landing.name);
        let (columns, key) = (&landing.columns, &target.key);
        let changing = changing(columns, key, |_| false);
        let update = update_changed(&Postgres, &table, stage, key, &changing, |_, _, _| None);
        let Some(update) = update else {
            let sql = merge(&Postgres, &table, stage, columns, key, &changing, |_, _, _| None);
            return self.land_and(target, &landing, rows, Some(&sql)).await.map(drop);
        };
        if self.land_and(target, &landing, rows, Some(&update)).await? == rows.num_rows() as u64 {
            return Ok(());
        }
        // Somebody else may add one of them meanwhile.
        let sql = insert_missing(&Postgres, &table, stage, columns, key)
            + &on_conflict(&Postgres, key, &changing, |_, _, _| None);
        self.move_on(target, &sql).await.map(drop)
    }

    /// Adds rows that are thought to be new; false if the target does not take them like that. Then nothing has
    /// become of them.
    async fn add(&mut self, target: &Target, rows: &RecordBatch) -> Result<bool> {
        if let Some(parts) = self.wary.get_mut(&target.stream).filter(|parts| **parts > 0) {
            *parts -= 1;
            return Ok(false);
        }
        if self.savepoints >= SAVEPOINTS_MAX {
            return Ok(false);
        }
        self.savepoints += 1;
        let landing = self.shape(target, rows).await?;
        let name = target.name.to_string();
        let around = [Some("SAVEPOINT syncline"), Some("RELEASE SAVEPOINT syncline")];
        if self.send(&landing, &landing.straight, &name, rows, around).await.is_ok() {
            return Ok(true);
        }
        // Whatever the reason is, the other way does without it or tells it.
        self.wary.insert(target.stream, WARY_PARTS);
        let back = "ROLLBACK TO SAVEPOINT syncline; RELEASE SAVEPOINT syncline";
        self.client.run(back, APPLY, &name).await?;
        Ok(false)
    }

    /// Whole rows, of which so many at the end are thought to be new.
    async fn write(&mut self, target: &Target, rows: &RecordBatch, fresh: usize) -> Result<()> {
        if target.key.is_empty() {
            let landing = self.shape(target, rows).await?;
            let name = target.name.to_string();
            return self.send(&landing, &landing.straight, &name, rows, [None, None]).await.map(drop);
        }
        let fresh = if fresh < NEW_ROWS_MIN { 0 } else { fresh };
        let known = rows.num_rows() - fresh;
        if known > 0 {
            self.upsert(target, &rows.slice(0, known)).await?;
        }
        let new = rows.slice(known, fresh);
        if fresh == 0 || self.add(target, &new).await? {
            return Ok(());
        }
        self.upsert(target, &new).await.map_err(|error| error.further_on(known))
    }

    /// Moves on what lies in a temporary table; says of how many rows.
    async fn move_on(&self, target: &Target, sql: &str) -> Result<u64> {
        self.client.count_long(sql, APPLY, &target.name.to_string()).await
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
            self.go_on(&sql, APPLY, &target.name.to_string()).await?;
            return Ok(0);
        }
        self.begin().await?;
        match &changes.emptied {
            Some(Emptied::Deleted) => {
                let sql = format!("DELETE FROM {}", self.shared.quoted(&target.name));
                self.client.run_long(&sql, "empty table", &target.name.to_string()).await?;
            }
            Some(Emptied::Noted(note)) => self.note(target, note).await?,
            None => {}
        }
        let mut missed = 0;
        match (changes.deletes.num_rows(), target.key.is_empty()) {
            (0, _) => {}
            (_, false) => self.delete(target, &changes.deletes).await?,
            (_, true) => missed += self.take_away(target, &changes.deletes).await?,
        }
        if let Some(moved) = &changes.moved {
            missed += self.move_row(target, moved).await?;
        }
        for rows in &changes.updates {
            missed += self.update(target, rows).await?;
        }
        if changes.rows.num_rows() > 0 {
            self.write(target, &changes.rows, changes.fresh).await?;
        }
        Ok(missed)
    }

    fn come_through(&mut self, origin: &Origin) {
        self.origin.clone_from(origin);
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
        (self.open, self.savepoints) = (false, 0);
        self.said = Origin::default();
        self.filled.clear();
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        if self.open {
            self.client.run("ROLLBACK", "take changes back from", &self.shared.config.place()).await?;
            (self.open, self.savepoints) = (false, 0);
            self.said = Origin::default();
            // What was made in the transaction went with it; what was made before is there still.
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
