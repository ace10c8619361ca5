//! From MySQL or MariaDB into files, and from a CSV file into PostgreSQL.

use std::{fs, path::PathBuf};

use super::{mysql, postgres::into_target};
use crate::{
    measure::{Candidate, compare},
    servers::{End, SHOP, Servers, pipe},
};

/// What there is to write into: its title, its options, and what the baseline is called and does to the
/// client's lines on their way into its file.
const FORMATS: [(&str, &str, &str, &str); 4] = [
    ("CSV", "format=csv", PLAIN, ""),
    ("CSV gzip", "format=csv&compression=gzip", "mariadb --quick -B, gzip", "| gzip"),
    ("JSON Lines", "format=jsonl", PLAIN, ""),
    ("Parquet", "format=parquet", PLAIN, ""),
];
const PLAIN: &str = "mariadb --quick -B into a file";

fn folder(servers: &Servers) -> PathBuf {
    servers.folder().join("files")
}

fn clear(servers: &Servers) {
    let _ = fs::remove_dir_all(folder(servers));
}

/// The rows that a manifest says its parts hold.
fn arrived(servers: &Servers) -> u64 {
    let path = folder(servers).join("orders/_manifest.json");
    let text = fs::read_to_string(path).expect("a finished export has a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("a manifest is JSON");
    manifest["rows"].as_u64().expect("it says how many rows there are")
}

pub(super) fn from_mysql(servers: &Servers) {
    let rows = servers.in_mysql("orders");
    let file = servers.folder().join("orders.tsv");
    for (title, options, name, packed) in FORMATS {
        let write = |name, parallel: &'static str| Candidate {
            name,
            is_pipe: false,
            prepare: Box::new(|| clear(servers)),
            command: Box::new(move || {
                let to = format!("file:{}?{options}", folder(servers).display());
                servers.copy(&servers.mysql(End::Source).url(SHOP), &to, "orders", parallel)
            }),
        };
        let baseline = |count: bool| if count { rows } else { arrived(servers) };
        compare(
            &format!("{} -> {title} orders", mysql::title(servers)),
            rows,
            mysql::bytes(servers, "orders"),
            &[
                Candidate {
                    name,
                    is_pipe: true,
                    prepare: Box::new(|| clear(servers)),
                    command: Box::new(|| {
                        let out = mysql::reader(servers, "orders", "", "");
                        pipe(&format!("{out} {packed} > {0} && sync {0}", file.display()))
                    }),
                },
                write("syncline, one connection", "1"),
                write("syncline, four (default)", "4"),
            ],
            // The baseline writes no manifest.
            &|| baseline(!folder(servers).exists()),
        );
    }
}

/// Writes orders into CSV files of so many rows, and returns their URL and the files.
fn csv(servers: &Servers, name: &str, chunk_rows: u64) -> (String, Vec<PathBuf>) {
    let folder = servers.folder().join(name);
    let to = format!("file:{}?format=csv&binary=hex&part_bytes=4000000000", folder.display());
    let rows = servers.in_postgres("orders");
    let from = format!("generate:orders?rows={rows}");
    let chunks = chunk_rows.to_string();
    servers.syncline(&["copy", &from, &to, "--chunk-rows", &chunks]).run().expect_code(0);
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("orders"))
        .expect("the files are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    files.sort();
    (format!("file:{}?format=csv&binary=hex", folder.display()), files)
}

pub(super) fn csv_into_postgres(servers: &Servers) {
    let rows = servers.in_postgres("orders");
    let (one, files) = csv(servers, "one", 10_000_000);
    let (several, _) = csv(servers, "several", rows.div_ceil(8));
    let file = files.first().expect("there is a file");
    assert_eq!(files.len(), 1, "all rows are in one file");
    let bytes = fs::metadata(file).expect("the file is there").len();
    compare(
        "CSV -> PG orders",
        rows,
        bytes,
        &[
            Candidate {
                name: "COPY csv from the file",
                is_pipe: true,
                prepare: Box::new(|| servers.empty_like("orders")),
                command: Box::new(|| {
                    let into = servers.psql(End::Target, "copy orders from stdin (format csv, header)");
                    pipe(&format!("{into} < {}", file.display()))
                }),
            },
            into_target(servers, "syncline, one file", &one, "orders", "1"),
            into_target(servers, "syncline, eight files, four connections", &several, "orders", "4"),
        ],
        &|| servers.arrived("orders"),
    );
}
