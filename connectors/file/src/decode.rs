//! One file's rows: that it is the file it should be, before and after; its columns as asked for, with
//! NULL for those that it lacks.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::SchemaRef;
use syncline_connect::Reservation;
use syncline_format::{Input, Limits, PartReader, Rows, Step};
use syncline_types::{Error, Result, TableSchema, codes};

use crate::{
    client::Identity,
    error::{Explain, shown},
    manifest::{Checksum, Manifest, Part},
    types::Layout,
};

/// A batch ends after so many rows or bytes, whichever comes first: large enough that nothing is
/// paid per batch, small enough to stay in the processor's caches.
pub(crate) const BATCH_ROWS: usize = 8_192;
pub(crate) const BATCH_BYTES: u64 = 2 << 20;

/// A file that is to be read.
#[derive(Clone, Debug)]
pub(crate) struct FileSpec {
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    /// Of its rows.
    pub(crate) schema: TableSchema,
    pub(crate) expected: Expected,
}

/// What a file has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A part, as its manifest describes it.
    Part { bytes: u64, checksum: String },
    /// Somebody else's file, as it was when it was looked at.
    File(Identity),
}

impl FileSpec {
    /// A part of ours.
    pub(crate) fn part(folder: &Path, manifest: &Manifest, part: &Part) -> Self {
        FileSpec {
            path: folder.join(&part.file),
            layout: manifest.layout.clone(),
            schema: manifest.schema_of(part),
            expected: Expected::Part { bytes: part.bytes, checksum: part.checksum.clone() },
        }
    }

    /// Opens the file, if it is what it should be.
    ///
    /// # Errors
    /// When it is gone, or another than expected.
    pub(crate) fn open(&self) -> Result<File> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(self.gone()),
            Err(error) => return Err(error).explain("read", &self.path),
        };
        self.must_be_same(&file)?;
        Ok(file)
    }

    fn gone(&self) -> Error {
        match self.expected {
            Expected::Part { .. } => Error::new(&codes::BAD_BYTES, "read", shown(&self.path))
                .because("the manifest lists it, and it is not there")
                .hint("If somebody has just published into the folder, run again; else restore the file"),
            Expected::File(_) => self.changed("it was there when the run was planned, and is no more"),
        }
    }

    fn changed(&self, reason: &str) -> Error {
        Error::new(&codes::SCHEMA_CHANGED, "read", shown(&self.path))
            .because(reason)
            .hint("Wait until nobody writes to it, and begin again with --restart")
    }

    /// Whether an open file is the one that is meant, as far as can be told without reading it.
    pub(crate) fn must_be_same(&self, file: &File) -> Result<()> {
        let found = file.metadata().explain("look at", &self.path)?;
        match &self.expected {
            Expected::Part { bytes, .. } if found.len() == *bytes => Ok(()),
            Expected::Part { bytes, .. } => Err(Error::new(&codes::BAD_BYTES, "read", shown(&self.path))
                .because(format!("it has {} bytes, and by its manifest it should have {bytes}", found.len()))
                .hint("Restore the file, or copy the stream again")),
            Expected::File(planned) => {
                let now = Identity::of(&found);
                match now {
                    now if now == *planned => Ok(()),
                    now if now.number != planned.number => {
                        Err(self.changed("another file has taken its place since the run was planned"))
                    }
                    now if now.bytes > planned.bytes => {
                        Err(self.changed("it has grown since the run was planned"))
                    }
                    now if now.bytes < planned.bytes => {
                        Err(self.changed("it has become shorter since the run was planned"))
                    }
                    _ => Err(self.changed("it was written to since the run was planned")),
                }
            }
        }
    }
}

/// A file being read.
pub(crate) struct Opened {
    spec: FileSpec,
    /// The same file, to look at when it is read.
    file: File,
    reader: Box<dyn PartReader>,
    /// For each column asked for, where it stands among those that are read.
    columns: Vec<Option<usize>>,
    schema: SchemaRef,
}

/// What there is.
pub(crate) enum Chunk {
    Rows(Rows, Reservation),
    End,
    /// There is no memory for more, nor will be.
    Stopped,
}

impl Opened {
    /// Begins to read columns, whose schema is `schema`, from a file that is open already. It is the
    /// only one to use the file's position.
    pub(crate) fn begin(spec: &FileSpec, mut file: File, schema: &TableSchema) -> Result<Self> {
        spec.must_be_same(&file)?;
        if let Expected::Part { checksum, .. } = &spec.expected {
            let found = Checksum::of(&mut file).explain("read", &spec.path)?;
            if found != *checksum {
                return Err(Error::new(&codes::BAD_BYTES, "read", shown(&spec.path))
                    .because("its bytes are not those that its manifest speaks of")
                    .hint("Restore the file, or copy the stream again"));
            }
        }
        file.seek(SeekFrom::Start(0)).explain("read", &spec.path)?;
        let mut wanted: Vec<String> = vec![];
        let mut columns = vec![];
        for column in &schema.columns {
            columns.push(spec.schema.index(&column.name).map(|_| wanted.len()));
            if columns.last().is_some_and(Option::is_some) {
                wanted.push(column.name.clone());
            }
        }
        if wanted.is_empty() {
            // Something has to tell how many rows there are.
            wanted.extend(spec.schema.columns.first().map(|column| column.name.clone()));
        }
        let name = spec.path.display().to_string();
        let reading = file.try_clone().explain("read", &spec.path)?;
        let reader = syncline_format::reader(
            &spec.layout.format(),
            spec.layout.compression(),
            &spec.schema,
            &wanted,
            Input::file(name, reading),
        )?;
        Ok(Opened { spec: spec.clone(), file, reader, columns, schema: schema.arrow() })
    }

    /// Passes over records.
    pub(crate) fn skip(&mut self, records: u64) -> Result<()> {
        self.reader.skip(records)
    }

    /// The next rows, with the memory that they take, for which `reserve` waits. Nothing else is held
    /// meanwhile.
    ///
    /// # Errors
    /// When the file cannot be read, or is not the same any more.
    pub(crate) fn next(&mut self, reserve: &mut dyn FnMut(u64) -> Option<Reservation>) -> Result<Chunk> {
        let mut bytes = BATCH_BYTES;
        loop {
            let Some(memory) = reserve(bytes) else { return Ok(Chunk::Stopped) };
            match self.reader.next(Limits { rows: BATCH_ROWS, bytes })? {
                Step::Rows(rows) => {
                    let batch = self.complete(&rows.batch)?;
                    return Ok(Chunk::Rows(Rows { batch, ..rows }, memory));
                }
                Step::Needs(more) => bytes = more.max(bytes + 1),
                Step::End => {
                    self.must_still_be_same()?;
                    return Ok(Chunk::End);
                }
            }
        }
    }

    fn must_still_be_same(&self) -> Result<()> {
        self.spec.must_be_same(&self.file)?;
        match self.spec.expected {
            // Whoever publishes removes what is not listed any more; what was opened stays whole.
            Expected::Part { .. } => Ok(()),
            Expected::File(_) => self.spec.open().map(drop),
        }
    }

    /// The columns asked for.
    fn complete(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .zip(self.schema.fields())
            .map(|(place, field)| match place.and_then(|place| batch.columns().get(place)) {
                Some(array) => Arc::clone(array),
                None => new_null_array(field.data_type(), rows),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|error| {
            Error::new(&codes::BROKEN_INVARIANT, "read", shown(&self.spec.path)).because(error)
        })
    }
}
