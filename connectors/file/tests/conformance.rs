//! The connector against what it claims, on real folders, in every format.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
use async_trait::async_trait;
use serde_json::{Value, json};
use syncline_connect::{Connector, Context, Memory, Sink, Source};
use syncline_file::{CompressionName, FileConfig, Files, FormatName};
use syncline_format::{
    Compression, CsvOptions, Format, Input, JsonLinesOptions, Limits, ParquetOptions, Step,
};
use syncline_testkit::conformance::{Fixture, Row, prove};
use syncline_types::{Column, LogicalType, TableSchema};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

/// Rows of a part, so that a filled table has several.
const PART_ROWS: usize = 60;

/// A folder in which Syncline's own streams are made by this test, in one format.
struct Folder {
    folder: TempDir,
    format: FormatName,
    compression: CompressionName,
    made: AtomicU32,
}

impl Folder {
    fn new(format: FormatName, compression: CompressionName) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        Folder { folder, format, compression, made: AtomicU32::new(0) }
    }

    fn number(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    fn config(&self) -> FileConfig {
        FileConfig {
            path: self.folder.path().display().to_string(),
            format: Some(self.format),
            compression: Some(self.compression),
            part_bytes: 64 << 10,
            merge_keys_max: 1_000,
            ..FileConfig::default()
        }
    }

    fn format(&self) -> Format {
        match self.format {
            FormatName::Csv => Format::Csv(CsvOptions::default()),
            FormatName::Jsonl => Format::JsonLines(JsonLinesOptions::default()),
            FormatName::Parquet => Format::Parquet(ParquetOptions::default()),
        }
    }

    fn compression(&self) -> Compression {
        match self.compression {
            _ if self.format == FormatName::Parquet => Compression::None,
            CompressionName::None => Compression::None,
            CompressionName::Gzip => Compression::Gzip,
            CompressionName::Zstd => Compression::Zstd,
        }
    }

    fn path(&self, table: &str) -> PathBuf {
        self.folder.path().join(table)
    }

    fn manifest(&self, table: &str) -> Option<Value> {
        let text = fs::read(self.path(table).join("_manifest.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("a manifest is JSON"))
    }

    fn save(&self, table: &str, manifest: &Value) {
        let draft = self.path(table).join("draft");
        fs::write(&draft, manifest.to_string()).expect("the folder can be written");
        fs::rename(&draft, self.path(table).join("_manifest.json")).expect("the folder can be written");
    }

    /// Writes a part and returns its entry in the manifest.
    fn part(&self, table: &str, rows: &[Row]) -> Value {
        let extension = if self.format == FormatName::Csv { "csv" } else { "parquet" };
        let name = format!("part-other-1-0-{}.{extension}", self.number());
        let path = self.path(table).join(&name);
        let out = File::create(&path).expect("the folder can be written");
        let (ids, values): (Vec<i64>, Vec<Option<i64>>) = rows.iter().copied().unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(ids)), Arc::new(Int64Array::from(values))];
        let batch =
            RecordBatch::try_new(schema(true).arrow(), columns).expect("the columns are the schema's");
        let mut writer =
            syncline_format::writer(&self.format(), self.compression(), &schema(true), &name, out)
                .expect("a part begins");
        assert!(writer.write(&batch).expect("rows are written").is_empty());
        drop(writer.finish().expect("a part ends"));
        let bytes = fs::read(&path).expect("the part is there");
        json!({"file": name, "rows": rows.len(), "bytes": bytes.len(),
               "checksum": format!("xxh3-128:{:032x}", xxh3_128(&bytes))})
    }

    fn read(&self, path: &Path) -> Vec<Row> {
        let input =
            Input::file(path.display().to_string(), File::open(path).expect("a listed part is there"));
        let wanted = ["id".to_owned(), "value".to_owned()];
        let mut reader =
            syncline_format::reader(&self.format(), self.compression(), &schema(true), &wanted, input)
                .expect("a part can be read");
        let mut rows = vec![];
        loop {
            match reader.next(Limits { rows: 1_000, bytes: 1 << 20 }).expect("a part can be read") {
                Step::End => return rows,
                Step::Needs(bytes) => panic!("two numbers need {bytes} bytes"),
                Step::Rows(read) => {
                    assert!(read.rejects.is_empty(), "{:?}", read.rejects);
                    let column = |index: usize| read.batch.column(index).as_primitive::<Int64Type>().clone();
                    let (ids, values) = (column(0), column(1));
                    let row = |row| (ids.value(row), values.is_valid(row).then(|| values.value(row)));
                    rows.extend((0..read.batch.num_rows()).map(row));
                }
            }
        }
    }
}

fn schema(keyed: bool) -> TableSchema {
    let columns =
        vec![Column::new("id", LogicalType::Int64).required(), Column::new("value", LogicalType::Int64)];
    let key: &[&str] = if keyed { &["id"] } else { &[] };
    TableSchema::new("test", columns).with_key(key.iter().copied())
}

fn context() -> Context {
    Context::new(Memory::new(32 << 20), Duration::from_secs(20))
}

#[async_trait]
impl Fixture for Folder {
    async fn create(&self, keyed: bool) -> String {
        let table = format!("t{}", self.number());
        fs::create_dir(self.path(&table)).expect("the folder can be written");
        let schema = serde_json::to_value(schema(keyed)).expect("a schema serialises");
        let manifest = json!({
            "made_by": "syncline", "version": 1, "run": "other",
            "layout": {"format": self.format, "compression": self.compression},
            "rows": 0, "bytes": 0, "schema": schema, "parts": [],
        });
        self.save(&table, &manifest);
        table
    }

    async fn insert(&self, table: &str, rows: &[Row]) {
        let mut manifest = self.manifest(table).expect("the table was created");
        for rows in rows.chunks(PART_ROWS) {
            let part = self.part(table, rows);
            for total in ["rows", "bytes"] {
                let sum = |value: &Value| value[total].as_u64().expect("a number");
                manifest[total] = (sum(&manifest) + sum(&part)).into();
            }
            manifest["parts"].as_array_mut().expect("a list").push(part);
        }
        self.save(table, &manifest);
    }

    async fn rows(&self, table: &str) -> Option<Vec<Row>> {
        let manifest = self.manifest(table)?;
        let parts = manifest["parts"].as_array().expect("a list");
        let files = parts.iter().map(|part| part["file"].as_str().expect("a name"));
        let mut rows: Vec<Row> = files.flat_map(|file| self.read(&self.path(table).join(file))).collect();
        assert_eq!(manifest["rows"], rows.len(), "the manifest counts right");
        rows.sort_unstable();
        Some(rows)
    }

    /// Hidden files, parts that no manifest lists, folders without one.
    async fn leftovers(&self) -> Vec<String> {
        let mut left = vec![];
        for entry in fs::read_dir(self.folder.path()).expect("the folder is there").flatten() {
            let name = entry.file_name().into_string().expect("a name of ours");
            let Some(manifest) = self.manifest(&name) else {
                left.push(name);
                continue;
            };
            let listed: BTreeSet<&str> = manifest["parts"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|part| part["file"].as_str())
                .collect();
            for file in fs::read_dir(entry.path()).expect("a folder").flatten() {
                let file = file.file_name().into_string().expect("a name of ours");
                if !listed.contains(file.as_str()) && !file.starts_with('_') {
                    left.push(format!("{name}/{file}"));
                }
            }
        }
        left
    }

    async fn source(&self) -> Option<Box<dyn Source>> {
        if fs::read_dir(self.folder.path()).expect("the folder is there").next().is_none() {
            self.create(true).await;
        }
        Some(Files::source(self.config(), context()).await.expect("the folder can be read"))
    }

    async fn sink(&self) -> Option<Box<dyn Sink>> {
        Some(Files::sink(self.config(), context()).await.expect("the folder can be written"))
    }

    fn outlives_snapshot(&self, _: bool) -> bool {
        true
    }

    fn keeps_keys_unique(&self) -> bool {
        false
    }
}

async fn every_claim_holds(format: FormatName, compression: CompressionName) {
    prove(&Folder::new(format, compression), Files::CAPABILITIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds_in_csv() {
    every_claim_holds(FormatName::Csv, CompressionName::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds_in_csv_with_gzip() {
    every_claim_holds(FormatName::Csv, CompressionName::Gzip).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds_in_json_lines() {
    every_claim_holds(FormatName::Jsonl, CompressionName::Zstd).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_claim_holds_in_parquet() {
    every_claim_holds(FormatName::Parquet, CompressionName::Zstd).await;
}
