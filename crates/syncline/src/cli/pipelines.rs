//! Which pipelines a command is about: some of a file, or one made of two connections.

use std::path::Path;

use clap::{Args, ValueEnum};
use syncline_config::{
    CopyArgs, Deletes, Echoes, File, OnError, OverBudget, Pipeline, ProcessSecrets, SchemaChanges,
    is_connection,
};
use syncline_connect::{Replace, WriteMode};
use syncline_types::{Error, Result, codes};

/// How a pipeline of two connections is made.
#[derive(Args, Clone, Default)]
pub(crate) struct PipelineOptions {
    /// A stream, SOURCE or SOURCE=TARGET; may be repeated and hold wildcards. None: every table of
    /// the default namespace
    #[arg(long = "stream", value_name = "S[=T]")]
    streams: Vec<String>,
    /// What happens to rows that are in the target
    #[arg(long, value_enum)]
    write: Option<Write>,
    /// What is copied: everything, or what has come since the last run
    #[arg(long, value_enum)]
    sync: Option<Sync>,
    /// The column by which an incremental run finds what has come
    #[arg(long, value_name = "COL")]
    cursor: Option<String>,
    /// How far behind the last run's highest value an incremental run begins, such as 10m or 100
    #[arg(long, value_name = "D")]
    lookback: Option<String>,
    /// The columns that tell rows apart
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    key: Vec<String>,
    /// The columns to copy
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    columns: Vec<String>,
    /// Only rows for which this SQL expression is true
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// Connections a side
    #[arg(long, value_name = "N")]
    parallel: Option<u64>,
    /// Rows of a chunk, about
    #[arg(long, value_name = "N")]
    chunk_rows: Option<u64>,
    /// Memory for rows on their way, such as 64MiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Longest silence of a connection on which data should flow, such as 60s
    #[arg(long, value_name = "TIME")]
    idle_timeout: Option<String>,
    /// Most rows a second
    #[arg(long, value_name = "N/s")]
    limit_rows: Option<String>,
    /// Most bytes a second, such as 50MB
    #[arg(long, value_name = "N/s")]
    limit_bytes: Option<String>,
    /// What happens to a row that the target cannot take
    #[arg(long, value_enum)]
    on_error: Option<Error_>,
    /// How an overwrite is published
    #[arg(long, value_enum)]
    replace: Option<Replace_>,
    /// What happens to rows at the target that the source no longer has, in a merge or while following:
    /// soft notes the time in their column _deleted_at, told deletes only what the source deletes while it is followed
    #[arg(long, value_enum)]
    deletes: Option<Deletes_>,
    /// With --sync follow: what happens when a stream's columns change at the source
    #[arg(long, value_enum)]
    schema_changes: Option<SchemaChanges_>,
    /// With --sync follow: after how long without progress it says so, such as 60s
    #[arg(long, value_name = "TIME")]
    stall_after: Option<String>,
    /// With --sync follow: how much of its log the source may keep, such as 20GB
    #[arg(long, value_name = "SIZE")]
    log_budget: Option<String>,
    /// With --log-budget: what happens when it has to keep more
    #[arg(long, value_enum)]
    over_budget: Option<OverBudget_>,
    /// With --sync follow: what happens to changes that have come through the target's database
    #[arg(long, value_enum)]
    echoes: Option<Echoes_>,
    /// Let an empty source empty a target that has rows
    #[arg(long)]
    allow_empty: bool,
    /// The pipeline's name, in place of one made from the rest
    #[arg(long, value_name = "N")]
    name: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Write {
    Overwrite,
    Append,
    Merge,
}

#[derive(Clone, Copy, ValueEnum)]
enum Deletes_ {
    Ignore,
    Soft,
    Apply,
    Told,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaChanges_ {
    Apply,
    Ignore,
    Stop,
}

#[derive(Clone, Copy, ValueEnum)]
enum OverBudget_ {
    Warn,
    Release,
}

#[derive(Clone, Copy, ValueEnum)]
enum Echoes_ {
    Skip,
    Apply,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sync {
    Full,
    Incremental,
    Follow,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Error_ {
    Stop,
    DeadLetter,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Replace_ {
    Auto,
    InPlace,
}

impl PipelineOptions {
    /// The pipeline from one connection to another.
    pub(crate) fn pipeline(self, from: String, to: String) -> Result<Pipeline> {
        let arguments = CopyArgs {
            from,
            to,
            streams: self.streams,
            write: self.write.map(|write| match write {
                Write::Overwrite => WriteMode::Overwrite,
                Write::Append => WriteMode::Append,
                Write::Merge => WriteMode::Merge,
            }),
            sync: self.sync.map(|sync| match sync {
                Sync::Full => "full".to_owned(),
                Sync::Incremental => "incremental".to_owned(),
                Sync::Follow => "follow".to_owned(),
            }),
            cursor: self.cursor,
            lookback: self.lookback,
            key: self.key,
            columns: self.columns,
            filter: self.filter,
            parallel: self.parallel,
            chunk_rows: self.chunk_rows,
            memory: self.memory,
            idle_timeout: self.idle_timeout,
            limit_rows: self.limit_rows,
            limit_bytes: self.limit_bytes,
            on_error: self.on_error.map(|on_error| match on_error {
                Error_::Stop => OnError::Stop,
                Error_::DeadLetter => OnError::DeadLetter,
            }),
            allow_empty: self.allow_empty,
            schema_changes: self.schema_changes.map(|policy| match policy {
                SchemaChanges_::Apply => SchemaChanges::Apply,
                SchemaChanges_::Ignore => SchemaChanges::Ignore,
                SchemaChanges_::Stop => SchemaChanges::Stop,
            }),
            stall_after: self.stall_after,
            log_budget: self.log_budget,
            over_budget: self.over_budget.map(|action| match action {
                OverBudget_::Warn => OverBudget::Warn,
                OverBudget_::Release => OverBudget::Release,
            }),
            echoes: self.echoes.map(|echoes| match echoes {
                Echoes_::Skip => Echoes::Skip,
                Echoes_::Apply => Echoes::Apply,
            }),
            name: self.name,
            deletes: self.deletes.map(|deletes| match deletes {
                Deletes_::Ignore => Deletes::Ignore,
                Deletes_::Soft => Deletes::Soft,
                Deletes_::Apply => Deletes::Apply,
                Deletes_::Told => Deletes::Told,
            }),
            replace: self.replace.map(|replace| match replace {
                Replace_::Auto => Replace::Auto,
                Replace_::InPlace => Replace::InPlace,
            }),
        };
        arguments.pipeline(&ProcessSecrets)
    }

    /// Whether nothing is said.
    fn is_empty(&self) -> bool {
        let texts = [
            &self.filter,
            &self.memory,
            &self.idle_timeout,
            &self.limit_rows,
            &self.limit_bytes,
            &self.name,
            &self.cursor,
            &self.lookback,
        ];
        self.streams.is_empty()
            && self.key.is_empty()
            && self.columns.is_empty()
            && texts.iter().all(|text| text.is_none())
            && self.write.is_none()
            && self.sync.is_none()
            && self.parallel.is_none()
            && self.chunk_rows.is_none()
            && self.on_error.is_none()
            && self.replace.is_none()
            && self.deletes.is_none()
            && !self.allow_empty
            && self.schema_changes.is_none()
            && self.stall_after.is_none()
            && self.log_budget.is_none()
            && self.over_budget.is_none()
            && self.echoes.is_none()
    }
}

/// `FILE [PIPELINE]...`, or `FROM TO` with options.
pub(crate) fn resolve(arguments: Vec<String>, options: PipelineOptions) -> Result<Vec<Pipeline>> {
    if !arguments.first().is_some_and(|first| is_connection(first)) {
        if !options.is_empty() {
            return Err(Error::new(&codes::BAD_USAGE, "use options", "beside a file")
                .because("what a pipeline does is said in the file")
                .hint("Write them into the file, or name two connections in its place"));
        }
        return of_file(arguments);
    }
    match <[String; 2]>::try_from(arguments) {
        Ok([from, to]) => options.pipeline(from, to).map(|pipeline| vec![pipeline]),
        Err(_) => Err(Error::new(&codes::BAD_USAGE, "read", "the command line")
            .because("after a connection comes just one more, the target")
            .hint("Write FROM TO, as in sqlite:shop.db postgres://me@host/shop")),
    }
}

/// `FILE [PIPELINE]...`
pub(crate) fn of_file(arguments: Vec<String>) -> Result<Vec<Pipeline>> {
    let mut arguments = arguments.into_iter();
    let file = arguments.next().unwrap_or_default();
    let names: Vec<String> = arguments.collect();
    File::read(Path::new(&file))?.pipelines(&names, &ProcessSecrets)
}
