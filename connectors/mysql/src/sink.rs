//! Writing: who may write (lock and epoch), what is prepared, how far everything is, what is left
//! to clear away.
//!
//! The server ends a transaction before it changes a table, so whatever changes one is done beside a
//! second connection ([`Fence`]) whose transaction keeps newer epochs from beginning meanwhile.

mod bookkeeping;
mod fence;
mod orphans;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use async_trait::async_trait;
use syncline_connect::{
    Action, Applier, ColumnChange, Context, Delivery, Evolution, Finding, Lanes, Marking, Published, RunRef,
    Sink, Target, TargetPlan, TargetProgress, Writer,
};
use syncline_sql::{Dialect, bookkeeping as names};
use syncline_types::{Error, Result, StreamName, codes};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) use self::{
    bookkeeping::{Ours, fenced, holds},
    fence::Fence,
};
use crate::{
    applier::MysqlApplier,
    client::{Client, connect},
    config::MysqlConfig,
    dialect::{Mysql, text_constant},
    origin,
    plan::table::{database, is_table, made_comment},
    plan::{NUMBER, Step, evolve, plan, see},
    publish,
    snapshot::{gives, grants, user_name},
    writer::MysqlWriter,
};

/// What a user needs for applying changes, beyond what a copy needs.
const TEMPORARY: &str = "CREATE TEMPORARY TABLES";

/// MySQL or MariaDB as a sink.
pub(crate) struct MysqlSink {
    shared: Arc<SinkShared>,
    /// Holds the pipeline's lock for as long as it lives.
    control: Mutex<Control>,
    /// Targets that take nothing back, as far as they have been planned.
    weak: StdMutex<BTreeSet<StreamName>>,
}

/// What writers need too.
pub(crate) struct SinkShared {
    pub(crate) config: Arc<MysqlConfig>,
    pub(crate) cx: Context,
    pub(crate) ours: Ours,
    /// Whether the server takes `LOAD DATA LOCAL`.
    pub(crate) local_infile: bool,
}

/// The lock of a process that has just ended is free once the server has noticed.
const LOCK_SECONDS_MAX: u32 = 1;

struct Control {
    client: Client,
    /// The pipeline whose lock is held, and the epoch taken with it.
    locked: Option<(String, u64)>,
}

impl MysqlSink {
    pub(crate) async fn open(config: MysqlConfig, cx: Context) -> Result<Self> {
        let config = Arc::new(config);
        let place = config.place();
        let Some(database) = config.database().map(str::to_owned) else {
            return Err(Error::new(&codes::DATABASE_MISSING, "write to", place)
                .because("the URL names no database")
                .hint("Write mysql://USER@HOST/DATABASE"));
        };
        let mut client = connect(&config, &cx).await?;
        let allowed = client.text("SELECT @@local_infile", "ask for the settings of", &place).await?;
        let shared = Arc::new(SinkShared {
            config,
            cx,
            ours: Ours::of(&database),
            local_infile: allowed.as_deref() == Some("1"),
        });
        let control = Mutex::new(Control { client, locked: None });
        Ok(MysqlSink { shared, control, weak: StdMutex::default() })
    }

    /// The connection that holds the lock; made anew, and the lock taken anew, when it was lost.
    async fn control(&self) -> Result<MutexGuard<'_, Control>> {
        let mut control = self.control.lock().await;
        if control.client.is_usable()
            && control.client.run("DO 0", "ask", &self.shared.config.place()).await.is_ok()
        {
            return Ok(control);
        }
        let mut client = connect(&self.shared.config, &self.shared.cx).await?;
        if let Some((pipeline, epoch)) = &control.locked
            && !(self.take_lock(&mut client, pipeline).await?
                && self.is_ours(&mut client, pipeline, *epoch).await?)
        {
            return Err(Error::new(&codes::FENCED, "go on with pipeline", format!("`{pipeline}`"))
                .because("the connection was lost, and another process has taken over meanwhile"));
        }
        control.client = client;
        Ok(control)
    }

    async fn take_lock(&self, client: &mut Client, pipeline: &str) -> Result<bool> {
        // Locks are the server's, not the database's, and their names are short.
        let name =
            text_constant(&format!("{}\n{pipeline}", self.shared.config.database().unwrap_or_default()));
        let sql =
            format!("SELECT GET_LOCK(CONCAT('syncline:', LEFT(SHA2({name}, 256), 50)), {LOCK_SECONDS_MAX})");
        Ok(client.text(&sql, "lock pipeline", pipeline).await?.as_deref() == Some("1"))
    }

    /// Whether nobody has begun a newer epoch, though the lock is free again.
    async fn is_ours(&self, client: &mut Client, pipeline: &str, epoch: u64) -> Result<bool> {
        let newest = client.text(&self.shared.ours.fence(pipeline), "look up the epoch of", pipeline).await?;
        Ok(newest.and_then(|newest| newest.parse::<u64>().ok()).is_none_or(|newest| newest <= epoch))
    }

    /// A connection for a run that no newer one has replaced.
    async fn fenced_client(&self, run: &RunRef) -> Result<Client> {
        let mut client = self.shared.connect().await?;
        let fence = self.shared.ours.fence(&run.pipeline);
        let answers = client.texts(&fence, "begin to write for pipeline", &run.pipeline).await?;
        if holds(&answers, run) { Ok(client) } else { Err(fenced(run)) }
    }

    async fn fence(&self, run: &RunRef, operation: &str) -> Result<Fence> {
        Fence::begin(&self.shared, run, operation).await
    }
}

impl SinkShared {
    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.config, &self.cx).await
    }

    /// Where a target's rows wait: in its own database, so that they can take its name.
    pub(crate) fn stage(&self, run: &RunRef, target: &Target) -> StreamName {
        self.beside(target, &names::stage(&run.run, target.stream))
    }

    /// Where a table waits to be dropped that staging has replaced. Named as staging is, so that it is
    /// cleared away with it.
    pub(crate) fn replaced(&self, run: &RunRef, target: &Target) -> StreamName {
        self.beside(target, &format!("{}_old", names::stage(&run.run, target.stream)))
    }

    fn beside(&self, target: &Target, table: &str) -> StreamName {
        let database = target.name.namespace.as_deref().or(self.config.database());
        StreamName::new(database.unwrap_or_default(), table)
    }

    pub(crate) fn quoted(&self, name: &StreamName) -> String {
        crate::dialect::qualified(name, self.config.database().unwrap_or_default())
    }
}

/// Whether a table is there.
pub(crate) async fn exists(client: &mut Client, name: &StreamName) -> Result<bool> {
    let sql = format!("SELECT 1 FROM information_schema.tables WHERE {}", is_table(client, name));
    Ok(client.text(&sql, "look for table", &name.to_string()).await?.is_some())
}

#[async_trait]
impl Sink for MysqlSink {
    fn guarantee(&self, target: &Target) -> Delivery {
        let weak = self.weak.lock().unwrap_or_else(PoisonError::into_inner);
        if weak.contains(&target.name) { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce }
    }

    fn lanes(&self) -> Lanes {
        Lanes::Many
    }

    async fn plan(&self, targets: &[Arc<Target>]) -> Result<Vec<TargetPlan>> {
        let mut control = self.control().await?;
        let client = &mut control.client;
        let mut plans = vec![];
        let mut seen_names: BTreeMap<StreamName, &StreamName> = BTreeMap::new();
        for target in targets {
            let mut one = plan(client, target, self.shared.local_infile).await?;
            let full = target.name.within(database(client, &target.name));
            if let Some(first) = seen_names.insert(full, &target.source) {
                one.findings.push(Finding::blocker(
                    Error::new(&codes::NAME_TAKEN, "write to table", format!("`{}`", target.name))
                        .because(format!("both `{first}` and `{}` would land in it", target.source))
                        .hint("Give one another name, as in --stream SRC=DST (to: DST)"),
                ));
            }
            if !see(client, target).await?.can_take_back(target) {
                self.weak.lock().unwrap_or_else(PoisonError::into_inner).insert(target.name.clone());
            }
            plans.push(one);
        }
        Ok(plans)
    }

    async fn databases(&self, targets: &[Arc<Target>], make: bool) -> Result<Vec<String>> {
        let mut control = self.control().await?;
        let names = || targets.iter().map(|target| &target.name);
        if make {
            origin::identify(&mut control.client, names()).await?;
        }
        origin::databases(&mut control.client, names()).await
    }

    async fn lock(&self, pipeline: &str, epoch_min: u64) -> Result<u64> {
        let mut control = self.control().await?;
        let place = self.shared.config.place();
        if !self.take_lock(&mut control.client, pipeline).await? {
            return Err(Error::new(&codes::ALREADY_RUNNING, "run pipeline", format!("`{pipeline}`"))
                .because(format!("another process holds its lock in {place}"))
                .hint("Wait for it to end, or stop it"));
        }
        for sql in self.shared.ours.create() {
            control.client.run(&sql, "create Syncline's own tables in", &place).await?;
        }
        let take = self.shared.ours.take_epoch(pipeline, epoch_min);
        control.client.run_long(&take, "take over pipeline", pipeline).await?;
        let fence = self.shared.ours.fence(pipeline);
        let epoch = control.client.text(&fence, "take over pipeline", pipeline).await?;
        let epoch = epoch.and_then(|epoch| epoch.parse().ok()).ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "take over pipeline", pipeline).because("the epoch is no number")
        })?;
        orphans::end(&mut control.client, &self.shared.ours, pipeline).await?;
        control.locked = Some((pipeline.to_owned(), epoch));
        Ok(epoch)
    }

    async fn apply(&self, run: &RunRef, target: &Arc<Target>, action: &Action) -> Result<()> {
        let step: Step = serde_json::from_str(&action.statement).map_err(|_| {
            Error::new(&codes::BROKEN_INVARIANT, "prepare table", &target.name)
                .because("the plan is not ours")
        })?;
        let before = self.shared.ours.stream_mark(run, target);
        // Named first: what a process that is cut off here leaves behind is found by its run.
        let prepared = self.shared.ours.save_mark(run, target.stream, names::StreamMark::Prepared);
        let mut fence = self.fence(run, "prepare table").await?;
        let goes_on = fence.ask(&before).await?.is_some();
        fence.keep(&prepared).await?;
        fence.end().await?;
        let mut fence = self.fence(run, "prepare table").await?;
        let mut client = self.shared.connect().await?;
        match step {
            Step::Create(sql) => self.create(&mut client, &mut fence, run, target, &sql).await?,
            Step::AddColumn { column, sql } => add_column(&mut client, target, &column, &sql).await?,
            Step::Alter(sql) => {
                client.run_long(&sql, "change the columns of", &target.name.to_string()).await?;
            }
            Step::Stage(statements) => {
                // What has taken the table's name waits for nothing but to be said so.
                if !(goes_on && publish::took_the_name(&mut client, &self.shared, run, target).await?) {
                    self.stage(&mut client, run, target, &statements).await?;
                }
            }
        }
        fence.end().await
    }

    async fn progress(&self, pipeline: &str) -> Result<Option<TargetProgress>> {
        let mut control = self.control().await?;
        if !exists(&mut control.client, &StreamName::bare(names::CHECKPOINT)).await? {
            return Ok(Some(TargetProgress::default()));
        }
        let sql = self.shared.ours.progress(pipeline);
        let rows = control.client.texts(&sql, "read the progress of pipeline", pipeline).await?;
        syncline_sql::bookkeeping::read_rows(rows).map(Some)
    }

    async fn writer(&self, run: &RunRef) -> Result<Box<dyn Writer>> {
        let client = self.fenced_client(run).await?;
        Ok(Box::new(MysqlWriter::open(client, Arc::clone(&self.shared), run.clone()).await?))
    }

    async fn applier(&self, run: &RunRef) -> Result<Box<dyn Applier>> {
        let client = self.fenced_client(run).await?;
        Ok(Box::new(MysqlApplier::open(client, Arc::clone(&self.shared), run.clone()).await?))
    }

    async fn inspect_applier(&self) -> Result<Vec<Finding>> {
        let mut control = self.control().await?;
        let (client, config) = (&mut control.client, &self.shared.config);
        let database = config.database().unwrap_or_default();
        let grants = grants(client).await?;
        if grants.iter().any(|grant| gives(grant, TEMPORARY, Some(database))) {
            return Ok(vec![]);
        }
        let user = client.text("SELECT CURRENT_USER()", "ask for the user of", &config.place()).await?;
        let error =
            Error::new(&codes::PERMISSION_DENIED, "apply changes in database", format!("`{database}`"))
                .because("the user may not make temporary tables there, in which changes wait")
                .hint(format!(
                    "Run: GRANT {TEMPORARY} ON {}.* TO {}",
                    Mysql.quote(database),
                    user_name(user)
                ));
        Ok(vec![Finding::blocker(error)])
    }

    async fn marks(&self, pipeline: &str) -> Result<Option<BTreeMap<String, String>>> {
        let mut control = self.control().await?;
        // A version that kept none, or nobody yet, may have been here.
        if !exists(&mut control.client, &StreamName::bare(names::MARK)).await? {
            return Ok(Some(BTreeMap::new()));
        }
        let sql = self.shared.ours.marks(pipeline);
        let rows = control.client.texts(&sql, "read the marks of pipeline", pipeline).await?;
        let pair = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
            Ok([Some(stream), Some(mark)]) => Some((stream, mark)),
            _ => None,
        };
        Ok(Some(rows.into_iter().filter_map(pair).collect()))
    }

    async fn evolve(&self, target: &Arc<Target>, changes: &[ColumnChange]) -> Result<Evolution> {
        evolve(&mut self.control().await?.client, target, changes).await
    }

    async fn finish(&self, run: &RunRef, target: &Arc<Target>, marking: Marking<'_>) -> Result<Published> {
        publish::finish(&self.shared, run, target, marking).await
    }

    async fn reset(&self, run: &RunRef, target: &Arc<Target>) -> Result<()> {
        let name = target.name.to_string();
        let mut fence = self.fence(run, "begin again with").await?;
        let mut client = self.shared.connect().await?;
        let stage = self.shared.stage(run, target);
        if exists(&mut client, &stage).await? {
            let sql = format!("TRUNCATE TABLE {}", self.shared.quoted(&stage));
            client.run_long(&sql, "begin again with", &name).await?;
        } else if target.staged && publish::took_the_name(&mut client, &self.shared, run, target).await? {
            // Its rows are to come once more, and wait as the first ones did.
            let (stage, table) = (self.shared.quoted(&stage), self.shared.quoted(&target.name));
            for sql in
                [format!("CREATE TABLE {stage} LIKE {table}"), format!("ALTER TABLE {stage} ENGINE = InnoDB")]
            {
                client.run_long(&sql, "begin again with", &name).await?;
            }
        }
        // Rows go first: progress without them would skip them.
        fence.keep(&self.shared.ours.forget_splits(run, target.stream)).await?;
        fence.end().await
    }

    async fn close(&self, pipeline: &str) -> Result<()> {
        let mut control = self.control().await?;
        publish::close(&mut control.client, &self.shared, pipeline).await
    }
}

impl MysqlSink {
    /// Creates the target and remembers that it is ours.
    async fn create(
        &self,
        client: &mut Client,
        fence: &mut Fence,
        run: &RunRef,
        target: &Target,
        sql: &str,
    ) -> Result<()> {
        let name = target.name.to_string();
        let comment = made_comment(&run.run, target.stream);
        if !exists(client, &target.name).await? {
            let sql = sql
                .replace("{table}", &self.shared.quoted(&target.name))
                .replace("{comment}", &text_constant(&comment));
            client.run(&sql, "create table", &name).await?;
        }
        let database = database(client, &target.name).to_owned();
        fence.keep(&self.shared.ours.record_made(&database, &target.name.table, &comment)).await
    }

    /// Creates staging under another name first, so that what is there under its own is whole.
    async fn stage(
        &self,
        client: &mut Client,
        run: &RunRef,
        target: &Target,
        statements: &[String],
    ) -> Result<()> {
        let name = target.name.to_string();
        let stage = self.shared.stage(run, target);
        if exists(client, &stage).await? {
            return Ok(());
        }
        let unfinished = self.shared.beside(target, &format!("{}_new", stage.table));
        let quoted = self.shared.quoted(&unfinished);
        client.run(&format!("DROP TABLE IF EXISTS {quoted}"), "create staging of", &name).await?;
        let comment = text_constant(&made_comment(&run.run, target.stream));
        for sql in statements {
            let sql = sql.replace("{table}", &quoted).replace("{comment}", &comment);
            client.run(&sql, "create staging of", &name).await?;
        }
        let sql = format!("RENAME TABLE {quoted} TO {}", self.shared.quoted(&stage));
        client.run(&sql, "create staging of", &name).await.map(drop)
    }
}

async fn add_column(client: &mut Client, target: &Target, column: &str, sql: &str) -> Result<()> {
    debug_assert_ne!(column, NUMBER, "it is staging's own");
    let exists = format!(
        "SELECT 1 FROM information_schema.columns WHERE {} AND column_name = {}",
        is_table(client, &target.name),
        text_constant(column)
    );
    let name = target.name.to_string();
    if client.text(&exists, "look for the columns of", &name).await?.is_none() {
        client.run_long(sql, "add a column to", &name).await?;
    }
    Ok(())
}
