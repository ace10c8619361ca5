//! From staging to where everybody sees it.
//!
//! A table that takes another's name does so in one statement, which ends any transaction: progress
//! is saved right after it, on a connection that keeps newer epochs from beginning meanwhile. Who
//! comes after a crash in between sees by the names which of the two it was: staging is gone, and
//! the table that was replaced waits under staging's name, or the new one says which run made it.
//! Everything else is one transaction.

mod sql;

use syncline_connect::{Marking, Published, RunRef, Target, Task, WriteMode};
use syncline_sql::{
    Dialect, Way,
    bookkeeping::{self, StreamMark},
    insert_select,
};
use syncline_types::{Error, ErrorKind, Result, StreamName, codes};

use crate::{
    client::Client,
    dialect::{Mysql, text_constant},
    origin,
    plan::table::{Table, database, find, made_comment},
    plan::{NUMBER, Seen, needs_decision, see},
    sink::{Fence, SinkShared, exists, fenced, holds},
};

/// How long a publication waits for a lock before it lets others pass and is tried again: whoever
/// waits for it holds up every reader that comes after.
const LOCK_TIMEOUTS: &str = "SET SESSION lock_wait_timeout = 2, innodb_lock_wait_timeout = 2";

const PUBLISH: &str = "publish table";

/// Publishes a target. Doing it again changes nothing.
pub(crate) async fn finish(
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
    marking: Marking<'_>,
) -> Result<Published> {
    let name = target.name.to_string();
    let mut client = shared.connect().await?;
    let answers = client.texts(&shared.ours.fence(&run.pipeline), PUBLISH, &name).await?;
    if !holds(&answers, run) {
        return Err(fenced(run));
    }
    client.run(LOCK_TIMEOUTS, PUBLISH, &name).await?;
    let mut publication = Publication { client, shared, run, target, name: &name, marking };
    if publication.is_published().await? {
        publication.drop_replaced().await?;
        return Ok(Published { how: "it was published before".into() });
    }
    let seen = see(&mut publication.client, target).await?;
    if !target.staged {
        return publication.direct().await;
    }
    let stage = publication.stage();
    let Some(staged) = find(&mut publication.client, &stage).await? else {
        return publication.go_on().await;
    };
    if target.write == WriteMode::Overwrite && seen.has_rows && !seen.ours && !target.overwrite_said {
        let reason = "rows that are not Syncline's have come into it since the run was planned";
        return Err(needs_decision(target, reason));
    }
    match seen.way(target) {
        Way::Rename if publication.can_take_the_name(&seen, &staged) => {
            publication.rename(&seen, &staged).await
        }
        Way::Rename | Way::InPlace => publication.in_place(&seen, &staged, Way::InPlace).await,
        way => publication.in_place(&seen, &staged, way).await,
    }
}

/// Whether a run's staging has become the table, though that may not be noted yet.
pub(crate) async fn took_the_name(
    client: &mut Client,
    shared: &SinkShared,
    run: &RunRef,
    target: &Target,
) -> Result<bool> {
    let comment = made_comment(&run.run, target.stream);
    Ok(exists(client, &shared.replaced(run, target)).await?
        || find(client, &target.name).await?.is_some_and(|table| table.comment == comment))
}

struct Publication<'a> {
    client: Client,
    shared: &'a SinkShared,
    run: &'a RunRef,
    target: &'a Target,
    name: &'a str,
    marking: Marking<'a>,
}

impl Publication<'_> {
    fn stage(&self) -> StreamName {
        self.shared.stage(self.run, self.target)
    }

    fn table(&self) -> String {
        self.shared.quoted(&self.target.name)
    }

    fn staging(&self) -> String {
        self.shared.quoted(&self.stage())
    }

    fn replaced(&self) -> StreamName {
        self.shared.replaced(self.run, self.target)
    }

    fn comment(&self) -> String {
        made_comment(&self.run.run, self.target.stream)
    }

    async fn is_published(&mut self) -> Result<bool> {
        let sql = self.shared.ours.stream_mark(self.run, self.target);
        match self.client.text(&sql, "read the progress of", self.name).await? {
            Some(position) => Ok(bookkeeping::read_mark(&position)? == StreamMark::Published),
            None => Ok(false),
        }
    }

    /// What is kept with the publication, in the transaction that says that it is done.
    fn kept(&self) -> Vec<String> {
        let mut kept = vec![self.shared.ours.save_mark(self.run, self.target.stream, StreamMark::Published)];
        let stream = self.target.source.to_string();
        kept.extend(self.shared.ours.marking(self.run, &stream, self.marking));
        kept
    }

    /// Staging is gone: it has taken the name, and what comes after that is still to be done.
    async fn go_on(&mut self) -> Result<Published> {
        if !took_the_name(&mut self.client, self.shared, self.run, self.target).await? {
            return Err(Error::new(&codes::STREAM_MISSING, PUBLISH, format!("`{}`", self.target.name))
                .because("its staged rows are gone")
                .hint("Begin again with --restart"));
        }
        let fence = Fence::begin(self.shared, self.run, PUBLISH).await?;
        self.after_rename(fence).await
    }

    /// Whether staging has the shape that the table is to have. It was made for what was there when
    /// the run was planned, which may have changed since.
    fn can_take_the_name(&self, seen: &Seen, staged: &Table) -> bool {
        let Some(table) = &seen.table else { return true };
        seen.ours
            || table.columns.len() == staged.columns.len()
                && table.columns.iter().zip(&staged.columns).all(|(there, here)| {
                    there.column.name == here.column.name
                        && there.column.native == here.column.native
                        && there.column.collation == here.column.collation
                })
    }

    /// Staging takes the table's name.
    async fn rename(&mut self, seen: &Seen, staged: &Table) -> Result<Published> {
        let (staging, table) = (self.staging(), self.table());
        let replaced = self.shared.quoted(&self.replaced());
        self.keep_last(staged).await?;
        if staged.column(NUMBER).is_some() {
            let sql = format!(
                "ALTER TABLE {staging} DROP COLUMN {}, DROP INDEX {KEY}, ADD PRIMARY KEY ({})",
                Mysql.quote(NUMBER),
                Mysql.list(&self.target.key)
            );
            self.client.run_long(&sql, "build the key of", self.name).await?;
        }
        if let Some(old) = seen.table.as_ref().filter(|_| !seen.ours) {
            self.be_like(old, staged).await?;
        }
        self.analyze(&staging).await?;
        // Nobody begins a new epoch from here on until all is said.
        let fence = Fence::begin(self.shared, self.run, PUBLISH).await?;
        // What an earlier publication of this run has replaced, if its rows came once more.
        self.drop_replaced().await?;
        let sql = match &seen.table {
            Some(_) => format!("RENAME TABLE {table} TO {replaced}, {staging} TO {table}"),
            None => format!("RENAME TABLE {staging} TO {table}"),
        };
        self.client.run_long(&sql, PUBLISH, self.name).await?;
        self.after_rename(fence).await
    }

    /// Says that the table is published, and drops the one that it has replaced.
    async fn after_rename(&mut self, mut fence: Fence) -> Result<Published> {
        let table = find(&mut self.client, &self.target.name).await?;
        let comment = self.comment();
        if table.is_some_and(|table| table.comment == comment) {
            let database = database(&self.client, &self.target.name).to_owned();
            fence.keep(&self.shared.ours.record_made(&database, &self.target.name.table, &comment)).await?;
        }
        for sql in self.kept() {
            fence.keep(&sql).await?;
        }
        fence.end().await?;
        self.drop_replaced().await?;
        Ok(Published { how: "renamed into place".into() })
    }

    async fn drop_replaced(&mut self) -> Result<()> {
        let replaced = self.shared.quoted(&self.replaced());
        self.client
            .run_long(&format!("DROP TABLE IF EXISTS {replaced}"), "drop what was replaced of", self.name)
            .await?;
        Ok(())
    }

    /// What `CREATE TABLE ... LIKE` leaves out, and what was otherwise while rows waited.
    async fn be_like(&mut self, old: &Table, staged: &Table) -> Result<()> {
        let mut changes = vec![];
        if old.engine != staged.engine {
            changes.push(format!("ENGINE = {}", old.engine));
        }
        // The number that the next row would have got; a higher one that has arrived stays.
        changes.extend(old.next_number.map(|next| format!("AUTO_INCREMENT = {next}")));
        if changes.is_empty() {
            return Ok(());
        }
        let sql = format!("ALTER TABLE {} {}", self.staging(), changes.join(", "));
        self.client.run_long(&sql, PUBLISH, self.name).await.map(drop)
    }

    /// Where the last of several rows with one key counts, drops the others, and gives staging its key.
    async fn keep_last(&mut self, staged: &Table) -> Result<()> {
        let (Some(cursor), true) = (&self.target.cursor, staged.column(NUMBER).is_some()) else {
            return Ok(());
        };
        let staging = self.staging();
        if staged.has_key(&self.target.key) {
            return Ok(());
        }
        let sql = sql::keep_last(&staging, staged, &self.target.key, cursor);
        self.client.run_long(&sql, "drop what is outdated of", self.name).await?;
        let sql = format!("ALTER TABLE {staging} ADD UNIQUE INDEX {KEY} ({})", Mysql.list(&self.target.key));
        self.client.run_long(&sql, "build the key of", self.name).await.map(drop).map_err(|error| match error
            .kind()
        {
            ErrorKind::Value => Error::new(
                &codes::DUPLICATE_KEY,
                "build the key of",
                format!("`{}`", self.target.name),
            )
            .because(format!(
                "({}) is not unique among the rows that arrived, as the target's collation compares it",
                self.target.key.join(", ")
            ))
            .hint("Give the column a collation that tells them apart, such as utf8mb4_bin"),
            _ => error,
        })
    }

    /// Staged rows go into the table that stays.
    async fn in_place(&mut self, seen: &Seen, staged: &Table, way: Way) -> Result<Published> {
        if self.target.task == Task::Load || way == Way::Update {
            self.keep_last(staged).await?;
        }
        let (table, staging) = (self.table(), self.staging());
        self.analyze(&staging).await?;
        let columns: Vec<String> = staged
            .columns
            .iter()
            .map(|there| there.column.name.clone())
            .filter(|name| name != NUMBER)
            .collect();
        let key = &self.target.key;
        let statements = match way {
            Way::Merge => sql::merge(&table, &staging, staged, &columns, key),
            Way::InPlaceByKey => {
                let mut statements = vec![sql::delete_vanished(&table, &staging, key)];
                statements.extend(sql::merge(&table, &staging, staged, &columns, key));
                statements
            }
            Way::Update => sql::update_changed(&table, &staging, staged, &columns, key).into_iter().collect(),
            Way::Delete => vec![sql::delete_staged(&table, &staging, key)],
            Way::Insert => vec![insert_select(&Mysql, &table, &staging, &columns)],
            _ => vec![format!("DELETE FROM {table}"), insert_select(&Mysql, &table, &staging, &columns)],
        };
        match seen.can_take_back(self.target) {
            true => self.at_once(&statements).await?,
            false => self.one_by_one(&statements).await?,
        }
        let name = self.name;
        self.client.run_long(&format!("DROP TABLE IF EXISTS {staging}"), "drop staging of", name).await?;
        let at_once = if seen.can_take_back(self.target) { "in one transaction" } else { "one by one" };
        let what = match way {
            Way::Merge => "merged",
            Way::Update => "updated",
            Way::Delete => "deleted",
            Way::Insert => "added",
            _ => "replaced",
        };
        Ok(Published { how: format!("{what} {at_once}") })
    }

    /// All in one transaction, with what is kept of it.
    async fn at_once(&mut self, statements: &[String]) -> Result<()> {
        let name = self.name;
        self.client.run("START TRANSACTION", PUBLISH, name).await?;
        let answers = self.client.texts(&self.shared.ours.fence(&self.run.pipeline), PUBLISH, name).await?;
        if !holds(&answers, self.run) {
            return Err(fenced(self.run));
        }
        let (stream, origin) = (self.target.stream.into(), &self.run.origin);
        if !origin.is_here() {
            let say = origin::say(self.shared, self.run, (stream, bookkeeping::NO_SPLIT), origin);
            for sql in [origin::set(origin), say] {
                self.client.run(&sql, PUBLISH, name).await?;
            }
        }
        for statement in statements {
            self.client.run_long(statement, PUBLISH, name).await?;
        }
        for sql in self.kept() {
            self.client.run(&sql, PUBLISH, name).await?;
        }
        self.client.run_long("COMMIT", PUBLISH, name).await.map(drop)
    }

    /// Each by itself, where the table takes nothing back anyway: servers that follow others by
    /// transactions refuse to write to such a table within one.
    async fn one_by_one(&mut self, statements: &[String]) -> Result<()> {
        let mut fence = Fence::begin(self.shared, self.run, PUBLISH).await?;
        for statement in statements {
            self.client.run_long(statement, PUBLISH, self.name).await?;
        }
        for sql in self.kept() {
            fence.keep(&sql).await?;
        }
        fence.end().await
    }

    /// Rows are where they belong; what is left is to say so.
    async fn direct(&mut self) -> Result<Published> {
        let mut fence = Fence::begin(self.shared, self.run, PUBLISH).await?;
        for sql in self.kept() {
            fence.keep(&sql).await?;
        }
        fence.end().await?;
        Ok(Published { how: "added chunk by chunk".into() })
    }

    /// Plans on a table that was never analysed can be bad. Only ever of staging: of a table that
    /// others use it may hold them up, and the server does it itself once much has changed.
    async fn analyze(&mut self, table: &str) -> Result<()> {
        let sql = format!("ANALYZE TABLE {table}");
        match self.client.texts_long(&sql, "take statistics of", self.name).await {
            Err(error) if matches!(error.kind(), ErrorKind::Permission | ErrorKind::Conflict) => Ok(()),
            done => done.map(drop),
        }
    }
}

/// The name of the key that staging gets late.
const KEY: &str = "_syncline_key";

/// Throws away what runs of a pipeline have staged, and their progress.
pub(crate) async fn close(client: &mut Client, shared: &SinkShared, pipeline: &str) -> Result<()> {
    let operation = "clear away after pipeline";
    remember(client, shared, pipeline).await?;
    for row in client.texts(&shared.ours.runs(pipeline), operation, pipeline).await? {
        let Some(Some(run)) = row.first() else { continue };
        let prefix = bookkeeping::stage_prefix(run);
        let sql = format!(
            "SELECT table_schema, table_name FROM information_schema.tables \
             WHERE LEFT(table_name, CHAR_LENGTH({0})) = {0}",
            text_constant(&prefix)
        );
        for row in client.texts(&sql, operation, pipeline).await? {
            if let [Some(database), Some(table)] = row.as_slice() {
                let stage = shared.quoted(&StreamName::new(database, table));
                client.run_long(&format!("DROP TABLE IF EXISTS {stage}"), "drop staging", &stage).await?;
            }
        }
    }
    if exists(client, &StreamName::bare(origin::MARK)).await? {
        client.run(&origin::forget(&shared.ours.origins, pipeline), operation, pipeline).await?;
    }
    client.run(&shared.ours.forget(pipeline), operation, pipeline).await.map(drop)
}

/// Lists tables that have got their names from runs which ended before they could list them.
async fn remember(client: &mut Client, shared: &SinkShared, pipeline: &str) -> Result<()> {
    let operation = "clear away after pipeline";
    for row in client.texts(&shared.ours.prepared(pipeline), operation, pipeline).await? {
        let [Some(run), Some(stream)] = row.as_slice() else { continue };
        let Ok(stream) = stream.parse() else { continue };
        let comment = made_comment(run, stream);
        let prefix = bookkeeping::stage_prefix(run);
        let sql = format!(
            "SELECT table_schema, table_name FROM information_schema.tables \
             WHERE table_comment = {} AND LEFT(table_name, CHAR_LENGTH({1})) <> {1}",
            text_constant(&comment),
            text_constant(&prefix)
        );
        for row in client.texts(&sql, operation, pipeline).await? {
            if let [Some(database), Some(table)] = row.as_slice() {
                client.run(&shared.ours.record_made(database, table, &comment), operation, pipeline).await?;
            }
        }
    }
    Ok(())
}
