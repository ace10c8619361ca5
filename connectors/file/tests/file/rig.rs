//! A folder, and what reads from it and writes into it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use syncline_connect::{
    Batch, Connector, Context, Marking, Memory, Next, ProgressDelta, ProgressRow, Read, Replace, RunRef,
    Selection, Session, Sink, Source, Stream, Target, Task, WriteMode,
};
use syncline_file::{FileConfig, Files, FormatName};
use syncline_types::{
    Column, LogicalType, Progress, Result, Split, SplitId, StreamName, TableSchema, text::Values,
};
use tempfile::TempDir;

pub(crate) struct Rig {
    folder: TempDir,
}

/// What was read: rows as `a|b`, NULL as `~`, and where rejected rows are.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) rows: Vec<String>,
    pub(crate) rejects: Vec<String>,
}

pub(crate) fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

impl Rig {
    pub(crate) fn new() -> Self {
        Rig { folder: tempfile::tempdir().expect("there is a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders it is in.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder can be written");
        fs::write(path, bytes).expect("the folder can be written");
    }

    pub(crate) fn config(&self, path: &str) -> FileConfig {
        FileConfig {
            path: self.path(path).display().to_string(),
            part_bytes: 64 << 10,
            merge_keys_max: 100_000,
            ..FileConfig::default()
        }
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Told> {
        read(self.config(path)).await
    }

    pub(crate) async fn sink(&self, path: &str) -> Box<dyn Sink> {
        self.sink_gathering(path, 0).await
    }

    /// A sink that gathers changes for so long.
    pub(crate) async fn sink_gathering(&self, path: &str, commit_seconds: u64) -> Box<dyn Sink> {
        let config = FileConfig { format: Some(FormatName::Csv), commit_seconds, ..self.config(path) };
        Files::sink(config, context()).await.expect("the folder can be a sink")
    }
}

pub(crate) async fn open(config: FileConfig) -> Result<Box<dyn Source>> {
    Files::source(config, context()).await
}

pub(crate) async fn only_stream(source: &dyn Source) -> Result<Arc<Read>> {
    let mut streams = source.discover(&Selection::Default).await?;
    assert_eq!(streams.len(), 1, "one stream");
    Ok(whole(streams.remove(0)))
}

pub(crate) fn whole(stream: Stream) -> Arc<Read> {
    let columns = stream.schema.columns.iter().map(|column| column.name.clone()).collect();
    Arc::new(Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 1_000 })
}

/// Reads the only stream of a connection whole.
pub(crate) async fn read(config: FileConfig) -> Result<Told> {
    let source = open(config).await?;
    let read = only_stream(source.as_ref()).await?;
    let session = source.begin(std::slice::from_ref(&read), 2).await?;
    let mut told = Told::default();
    for split in splits(session.as_ref(), &read).await? {
        read_split(session.as_ref(), &read, &split, &mut told).await?;
    }
    Ok(told)
}

pub(crate) async fn splits(session: &dyn Session, read: &Arc<Read>) -> Result<Vec<Split>> {
    let mut splitter = session.splitter(read, None).await?;
    let mut splits = vec![];
    while let Some(split) = splitter.next().await? {
        splits.push(split);
    }
    Ok(splits)
}

pub(crate) async fn read_split(
    session: &dyn Session,
    read: &Arc<Read>,
    split: &Split,
    told: &mut Told,
) -> Result<()> {
    let mut reader = session.open(read, split, None).await?;
    loop {
        match reader.next().await? {
            Next::Batch(batch) => take(&batch, &read.schema(), told),
            Next::Idle(_) => {}
            Next::End => return Ok(()),
        }
    }
}

fn take(batch: &Batch, schema: &TableSchema, told: &mut Told) {
    let values: Vec<Values<'_>> = schema
        .columns
        .iter()
        .zip(batch.rows.columns())
        .map(|(column, array)| Values::new(array, column.logical).expect("the array is the column's"))
        .collect();
    for row in 0..batch.rows.num_rows() {
        let cells: Vec<String> =
            values.iter().map(|values| values.text(row).unwrap_or_else(|| "~".into())).collect();
        told.rows.push(cells.join("|"));
    }
    let names = batch.rejects.iter().map(|reject| {
        let place = reject.place.clone().expect("a file names its rows");
        let name = Path::new(&place).file_name().expect("a place is a path");
        name.to_string_lossy().into_owned()
    });
    told.rejects.extend(names);
}

/// A target with columns: whole numbers, or texts where the name begins with `t`.
pub(crate) fn target(table: &str, write: WriteMode, columns: &[&str]) -> Target {
    let columns = columns
        .iter()
        .map(|name| match name.starts_with('t') {
            true => Column::new(*name, LogicalType::TEXT),
            false => Column::new(*name, LogicalType::Int64),
        })
        .collect();
    Target {
        stream: 0,
        source: StreamName::bare(table),
        name: StreamName::bare(table),
        schema: TableSchema::new("test", columns).with_key(["id"]),
        task: Task::Load,
        write,
        key: vec!["id".into()],
        cursor: None,
        staged: true,
        replace: Replace::Auto,
        overwrite_said: true,
    }
}

/// Rows of a target, each column's values with `,` between them; `~` is NULL.
pub(crate) fn batch(target: &Target, rows: &[&str]) -> Batch {
    let cell = |row: &str, index: usize| {
        let cell = row.split(',').nth(index).expect("a cell for each column").to_owned();
        (cell != "~").then_some(cell)
    };
    let columns: Vec<ArrayRef> = (0..target.schema.columns.len())
        .map(|index| {
            let cells = rows.iter().map(|row| cell(row, index));
            match target.schema.columns[index].logical {
                LogicalType::Int64 => {
                    let numbers = cells.map(|cell| cell.map(|cell| cell.parse::<i64>().expect("a number")));
                    Arc::new(numbers.collect::<Int64Array>()) as ArrayRef
                }
                _ => Arc::new(cells.collect::<StringArray>()),
            }
        })
        .collect();
    let rows = RecordBatch::try_new(target.schema.arrow(), columns).expect("the columns are the schema's");
    Batch { bytes: 16 * rows.num_rows() as u64, rows, position: None, rejects: vec![], memory: None }
}

/// Writes rows as a run of their own, each group as a split that is committed.
pub(crate) async fn write(sink: &dyn Sink, run: &str, target: &Target, splits: &[&[&str]]) -> Result<()> {
    let target = Arc::new(target.clone());
    let run = begin(sink, run, &target).await?;
    for (number, rows) in (0..).zip(splits) {
        let mut writer = sink.writer(&run).await?;
        let outcomes = writer.write(&target, SplitId(number), &batch(&target, rows)).await?;
        assert!(outcomes.is_empty(), "{outcomes:?}");
        writer.commit(&[done(number, rows.len() as u64)]).await?;
    }
    sink.finish(&run, &target, Marking::Keep).await?;
    sink.close("p").await
}

/// Begins a run; what stands in its way is an error.
pub(crate) async fn begin(sink: &dyn Sink, run: &str, target: &Arc<Target>) -> Result<RunRef> {
    let plan = sink.plan(std::slice::from_ref(target)).await?.remove(0);
    if let Some(error) = plan.findings.into_iter().find_map(|finding| finding.error) {
        return Err(error);
    }
    let epoch = sink.lock("p", 0).await?;
    let run =
        RunRef { pipeline: "p".into(), run: run.into(), epoch, origin: syncline_connect::Origin::default() };
    for action in &plan.before {
        sink.apply(&run, target, action).await?;
    }
    Ok(run)
}

pub(crate) fn done(split: u32, rows: u64) -> ProgressDelta {
    let row = ProgressRow { progress: Progress::Done, rows, bytes: 0, rejected: 0 };
    ProgressDelta { stream: 0, split: SplitId(split), row }
}

impl Rig {
    /// The rows of a stream that was written, in their order by text.
    pub(crate) async fn rows(&self, stream: &str) -> Vec<String> {
        let mut told = self.read(stream).await.expect("the folder can be read");
        assert_eq!(told.rejects, Vec::<String>::new());
        told.rows.sort_unstable();
        told.rows
    }

    /// The names in a folder, but for the manifest and the schema.
    pub(crate) fn parts(&self, stream: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(stream)).expect("the folder is there").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('_'));
        names.sort_unstable();
        names
    }
}
