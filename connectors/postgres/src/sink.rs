//! Writing: who may write (lock and epoch), what is prepared, how far everything is, what is left
//! to clear away.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, ColumnChange, Context, Delivery, Evolution, Finding, Lanes, Marking, Published, RunRef,
    Sink, Target, TargetPlan, TargetProgress, Writer,
};
use syncline_sql::{
    Dialect,
    bookkeeping::{self, StreamMark},
    quote_text,
};
use syncline_types::{Error, Result, StreamName, codes};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    applier::PostgresApplier,
    client::{Client, connect},
    config::PostgresConfig,
    dialect::{Postgres, qualified},
    origin,
    plan::{evolve, plan, qualified_made},
    publish,
    writer::PostgresWriter,
};

/// PostgreSQL as a sink.
pub(crate) struct PostgresSink {
    pub(crate) shared: Arc<SinkShared>,
    /// Holds the pipeline's lock for as long as it lives.
    control: Mutex<Control>,
}

/// What writers need too.
pub(crate) struct SinkShared {
    pub(crate) config: Arc<PostgresConfig>,
    pub(crate) cx: Context,
    /// Whether progress can be kept in the target: not where no table may be made.
    pub(crate) keeps_progress: bool,
}

struct Control {
    client: Client,
    /// The pipeline whose lock is held, and the epoch taken with it.
    locked: Option<(String, u64)>,
}

impl PostgresSink {
    /// A connection for a run that no newer one has replaced.
    async fn fenced_client(&self, run: &RunRef) -> Result<Client> {
        let client = connect(&self.shared.config, &self.shared.cx).await?;
        if self.shared.keeps_progress {
            let fence = self.shared.fence(&run.pipeline);
            let answers = client.texts(&fence, "begin to write for pipeline", &run.pipeline).await?;
            if !holds(&answers, run) {
                return Err(fenced(run));
            }
        }
        Ok(client)
    }

    pub(crate) async fn open(config: PostgresConfig, cx: Context) -> Result<Self> {
        let config = Arc::new(config);
        let client = connect(&config, &cx).await?;
        let place = config.place();
        let sql = format!(
            "SELECT coalesce(has_schema_privilege(to_regnamespace({0}), 'CREATE'), false) OR to_regclass({1}) IS NOT NULL",
            quote_text(&Postgres.quote(&config.schema)),
            quote_text(&SinkShared::table(&config, bookkeeping::CHECKPOINT)),
        );
        let keeps_progress =
            client.text(&sql, "look up the grants on", &place).await?.as_deref() == Some("t");
        let shared = Arc::new(SinkShared { config, cx, keeps_progress });
        Ok(PostgresSink { shared, control: Mutex::new(Control { client, locked: None }) })
    }

    /// The connection that holds the lock; made anew, and the lock taken anew, when it was lost.
    async fn control(&self) -> Result<MutexGuard<'_, Control>> {
        let mut control = self.control.lock().await;
        if control.client.inner.is_closed() {
            let client = connect(&self.shared.config, &self.shared.cx).await?;
            if let Some((pipeline, epoch)) = &control.locked
                && !(take_lock(&client, pipeline).await? && self.is_ours(&client, pipeline, *epoch).await?)
            {
                return Err(Error::new(&codes::FENCED, "go on with pipeline", format!("`{pipeline}`"))
                    .because("the connection was lost, and another process has taken over meanwhile"));
            }
            control.client = client;
        }
        Ok(control)
    }

    /// Whether nobody has begun a newer epoch, though the lock is free again.
    async fn is_ours(&self, client: &Client, pipeline: &str, epoch: u64) -> Result<bool> {
        if !self.shared.keeps_progress {
            return Ok(true);
        }
        let fence = self.shared.fence(pipeline);
        let newest = client.text(&fence, "look up the epoch of", pipeline).await?;
        Ok(newest.and_then(|newest| newest.parse::<u64>().ok()).is_none_or(|newest| newest <= epoch))
    }
}

impl SinkShared {
    /// One of our own tables, quoted with its schema.
    pub(crate) fn table(config: &PostgresConfig, name: &str) -> String {
        qualified(&StreamName::new(&config.schema, name), &config.schema)
    }

    pub(crate) fn checkpoint(&self) -> String {
        Self::table(&self.config, bookkeeping::CHECKPOINT)
    }

    pub(crate) fn marks(&self) -> String {
        Self::table(&self.config, bookkeeping::MARK)
    }

    /// Where a target's rows wait: in its own schema, so that they can take its name.
    pub(crate) fn stage(&self, run: &RunRef, target: &Target) -> StreamName {
        let schema = target.name.namespace.as_deref().unwrap_or(&self.config.schema);
        StreamName::new(schema, bookkeeping::stage(&run.run, target.stream))
    }

    pub(crate) fn quoted(&self, name: &StreamName) -> String {
        qualified(name, &self.config.schema)
    }

    /// What makes writers and publishers of an older epoch fail: the pipeline's row, locked against
    /// change until the transaction ends.
    pub(crate) fn fence(&self, pipeline: &str) -> String {
        format!(
            "SELECT epoch FROM {} WHERE pipeline = {} AND stream = {} AND split = {} FOR SHARE",
            self.checkpoint(),
            quote_text(pipeline),
            bookkeeping::NO_STREAM,
            bookkeeping::NO_SPLIT
        )
    }

    /// Saves a stream's own row.
    pub(crate) fn save_mark(&self, run: &RunRef, stream: u32, mark: StreamMark) -> String {
        self.save_row(run, stream.into(), bookkeeping::NO_SPLIT, &bookkeeping::write_mark(mark))
    }

    /// Saves a row of the checkpoint table.
    pub(crate) fn save_row(&self, run: &RunRef, stream: i64, split: i64, position: &str) -> String {
        format!(
            "INSERT INTO {} AS c (pipeline, run, stream, split, epoch, position) VALUES ({}, {}, {stream}, {split}, {}, {}) \
             ON CONFLICT (pipeline, stream, split) DO UPDATE SET run = excluded.run, epoch = excluded.epoch, \
             position = CASE WHEN excluded.position = '' THEN c.position ELSE excluded.position END",
            self.checkpoint(),
            quote_text(&run.pipeline),
            quote_text(&run.run),
            run.epoch,
            quote_text(position)
        )
    }
}

/// The error of a process that a newer one has replaced.
pub(crate) fn fenced(run: &RunRef) -> Error {
    Error::new(&codes::FENCED, "write for pipeline", format!("`{}`", run.pipeline))
        .because("a newer run has taken over, and this one may write no more")
}

/// Whether the first answer to a fence is this run's epoch.
pub(crate) fn holds(answers: &[Vec<Option<String>>], run: &RunRef) -> bool {
    let epoch = answers.first().and_then(|row| row.first()).and_then(Option::as_deref);
    epoch == Some(run.epoch.to_string().as_str())
}

/// A process that has just ended holds its lock until the server has noticed; so long it is waited for.
const LOCK_WAIT: &str = "3s";

async fn take_lock(client: &Client, pipeline: &str) -> Result<bool> {
    // One message of several statements is one transaction: what is set is set back if it fails.
    let sql = format!(
        "SET lock_timeout = '{LOCK_WAIT}'; SELECT pg_advisory_lock(hashtextextended({}, 0)); RESET lock_timeout",
        quote_text(&format!("syncline:{pipeline}"))
    );
    match client.run(&sql, "lock pipeline", pipeline).await {
        Err(error) if error.code() == &codes::LOCKED => Ok(false),
        taken => taken.map(|()| true),
    }
}

#[async_trait]
impl Sink for PostgresSink {
    fn guarantee(&self, _: &Target) -> Delivery {
        if self.shared.keeps_progress { Delivery::ExactlyOnce } else { Delivery::AtLeastOnce }
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        let control = self.control().await?;
        let all: Vec<&Target> = targets.iter().map(AsRef::as_ref).collect();
        let mut plans = plan(&control.client, &all).await?;
        let mut names: BTreeMap<StreamName, &StreamName> = BTreeMap::new();
        for (target, one) in targets.iter().zip(&mut plans) {
            let full = target.name.within(&self.shared.config.schema);
            if let Some(first) = names.insert(full, &target.source) {
                one.findings.push(Finding::blocker(
                    Error::new(&codes::NAME_TAKEN, "write to table", format!("`{}`", target.name))
                        .because(format!("both `{first}` and `{}` would land in it", target.source))
                        .hint("Give one another name, as in --stream SRC=DST (to: DST)"),
                ));
            }
        }
        Ok(plans)
    }

    async fn databases(&self, _: &[Arc<Target>], _: bool) -> Result<Vec<String>> {
        origin::databases(&self.control().await?.client).await
    }

    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        let mut control = self.control().await?;
        let place = self.shared.config.place();
        if !take_lock(&control.client, pipeline).await? {
            return Err(Error::new(&codes::ALREADY_RUNNING, "run pipeline", format!("`{pipeline}`"))
                .because(format!("another process holds its lock in {place}"))
                .hint("Wait for it to end, or stop it"));
        }
        if !self.shared.keeps_progress {
            control.locked = Some((pipeline.to_owned(), epoch_min + 1));
            return Ok(epoch_min + 1);
        }
        let (checkpoint, made) = (self.shared.checkpoint(), qualified_made(&control.client));
        let marks = self.shared.marks();
        // Two pipelines may begin at once; the second CREATE then fails where IF NOT EXISTS has
        // already looked. An advisory lock keeps them apart.
        let sql = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('syncline', 0));
             CREATE TABLE IF NOT EXISTS {checkpoint} (
               pipeline text NOT NULL, run text NOT NULL, stream integer NOT NULL, split bigint NOT NULL,
               epoch bigint NOT NULL, position text NOT NULL, PRIMARY KEY (pipeline, stream, split));
             CREATE TABLE IF NOT EXISTS {made} (table_oid oid PRIMARY KEY, made timestamptz NOT NULL DEFAULT now());
             CREATE TABLE IF NOT EXISTS {marks} (
               pipeline text NOT NULL, stream text NOT NULL, mark text NOT NULL, PRIMARY KEY (pipeline, stream));
             COMMIT"
        );
        control.client.run(&sql, "create Syncline's own tables in", &place).await?;
        let sql = format!(
            "INSERT INTO {checkpoint} AS c (pipeline, run, stream, split, epoch, position)
             VALUES ({}, '', {}, {}, {}, '')
             ON CONFLICT (pipeline, stream, split) DO UPDATE SET epoch = greatest(c.epoch, {epoch_min}) + 1
             RETURNING epoch",
            quote_text(pipeline),
            bookkeeping::NO_STREAM,
            bookkeeping::NO_SPLIT,
            epoch_min + 1
        );
        let epoch = control.client.text(&sql, "take over pipeline", pipeline).await?;
        let epoch = epoch.and_then(|epoch| epoch.parse().ok()).ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "take over pipeline", pipeline).because("the epoch is no number")
        })?;
        control.locked = Some((pipeline.to_owned(), epoch));
        Ok(epoch)
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, action: &Action) -> Result<()> {
        let client = connect(&self.shared.config, &self.shared.cx).await?;
        let name = target.name.to_string();
        let stage = self.shared.stage(run, target);
        let staging = action.statement.contains("{stage}");
        let statement = action.statement.replace("{stage}", &self.shared.quoted(&stage));
        if !self.shared.keeps_progress {
            return client.run(&statement, "prepare table", &name).await;
        }
        let answers = client
            .texts(&format!("BEGIN; {}", self.shared.fence(&run.pipeline)), "prepare table", &name)
            .await?;
        if !holds(&answers, run) {
            return Err(fenced(run));
        }
        let exists =
            format!("SELECT 1 WHERE to_regclass({}) IS NOT NULL", quote_text(&self.shared.quoted(&stage)));
        if !staging || client.text(&exists, "look for staging of", &name).await?.is_none() {
            client.run(&statement, "prepare table", &name).await?;
        }
        let made = match action.verb {
            "create" if !staging => publish::record_made(&client, &self.shared.quoted(&target.name)),
            _ => String::new(),
        };
        let sql =
            format!("{}; {made} COMMIT", self.shared.save_mark(run, target.stream, StreamMark::Prepared));
        client.run(&sql, "prepare table", &name).await
    }

    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>> {
        if !self.shared.keeps_progress {
            return Ok(None);
        }
        let control = self.control().await?;
        let sql = format!(
            "SELECT run, stream, split, epoch, position FROM {} WHERE pipeline = {} ORDER BY stream, split",
            self.shared.checkpoint(),
            quote_text(pipeline)
        );
        let rows = control.client.texts(&sql, "read the progress of pipeline", pipeline).await?;
        bookkeeping::read_rows(rows).map(Some)
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        let client = self.fenced_client(run).await?;
        Ok(Box::new(PostgresWriter::new(client, Arc::clone(&self.shared), run.clone())))
    }

    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        let client = self.fenced_client(run).await?;
        Ok(Box::new(PostgresApplier::open(client, Arc::clone(&self.shared), run.clone()).await?))
    }

    async fn inspect_applier(&self) -> Result<Vec<Finding>> {
        let place = self.shared.config.place();
        let sql = "SELECT has_database_privilege(current_database(), 'TEMPORARY'), quote_ident(current_database()), \
                   quote_ident(current_user)";
        let client = connect(&self.shared.config, &self.shared.cx).await?;
        let rows = client.texts(sql, "look up the grants on", &place).await?;
        let Some([Some(may), Some(database), Some(user)]) = rows.first().map(Vec::as_slice) else {
            return Ok(vec![]);
        };
        if may == "t" {
            return Ok(vec![]);
        }
        let error = Error::new(&codes::PERMISSION_DENIED, "apply changes in", place)
            .because("the user may not make temporary tables there, in which changes wait")
            .hint(format!("Run: GRANT TEMPORARY ON DATABASE {database} TO {user}"));
        Ok(vec![Finding::blocker(error)])
    }

    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>> {
        if !self.shared.keeps_progress {
            return Ok(None);
        }
        let control = self.control().await?;
        let (client, marks) = (&control.client, self.shared.marks());
        // A version that kept none, or nobody yet, may have been here.
        let exists = format!("SELECT 1 WHERE to_regclass({}) IS NOT NULL", quote_text(&marks));
        if client.text(&exists, "look for the marks of pipeline", pipeline).await?.is_none() {
            return Ok(Some(BTreeMap::new()));
        }
        let sql = format!("SELECT stream, mark FROM {marks} WHERE pipeline = {}", quote_text(pipeline));
        let rows = client.texts(&sql, "read the marks of pipeline", pipeline).await?;
        let pair = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
            Ok([Some(stream), Some(mark)]) => Some((stream, mark)),
            _ => None,
        };
        Ok(Some(rows.into_iter().filter_map(pair).collect()))
    }

    async fn evolve(&self, target: &Arc<Target>, changes: &[ColumnChange]) -> Result<Evolution> {
        evolve(&self.control().await?.client, target, changes).await
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published> {
        let client = connect(&self.shared.config, &self.shared.cx).await?;
        publish::finish(&client, &self.shared, run, target, marking).await
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        if !self.shared.keeps_progress {
            return Ok(());
        }
        let client = connect(&self.shared.config, &self.shared.cx).await?;
        let name = target.name.to_string();
        let answers = client
            .texts(&format!("BEGIN; {}", self.shared.fence(&run.pipeline)), "begin again with", &name)
            .await?;
        if !holds(&answers, run) {
            return Err(fenced(run));
        }
        let stage = self.shared.quoted(&self.shared.stage(run, target));
        let exists = format!("SELECT 1 WHERE to_regclass({}) IS NOT NULL", quote_text(&stage));
        let truncate = match client.text(&exists, "look for staging of", &name).await? {
            Some(_) => format!("TRUNCATE {stage};"),
            None => String::new(),
        };
        let sql = format!(
            "{truncate} DELETE FROM {} WHERE pipeline = {} AND stream = {} AND split <> {}; COMMIT",
            self.shared.checkpoint(),
            quote_text(&run.pipeline),
            target.stream,
            bookkeeping::NO_SPLIT
        );
        client.run(&sql, "begin again with", &name).await
    }

    async fn close(&self, pipeline: &str) -> Result<()> {
        if !self.shared.keeps_progress {
            return Ok(());
        }
        let control = self.control().await?;
        publish::close(&control.client, &self.shared, pipeline).await
    }
}
