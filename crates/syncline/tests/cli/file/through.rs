//! Tables through files and back: two runs give what one gives.

use serde_json::Value;
use syncline_testkit::servers::left_out;

use super::Folder;
use crate::{
    desk::{Desk, sum},
    ends::Ends,
    lite::Lite,
};

const FORMATS: &[&str] = &[
    "?format=csv",
    "?format=csv&compression=gzip&delimiter=%3B&null=\\N&binary=hex",
    "?format=csv&header=false&compression=zstd",
    "?format=jsonl",
    "?format=jsonl&compression=gzip",
    "?format=parquet",
    "?format=parquet&compression=none",
];

const SHAPE: &str = "SELECT column_name, data_type, is_nullable, character_maximum_length, numeric_precision, \
                     numeric_scale, column_default FROM information_schema.columns WHERE table_name = 't' \
                     ORDER BY ordinal_position";

#[test]
fn postgres_through_files_is_postgres() {
    if left_out("postgres") {
        return;
    }
    let ends = Ends::new(("postgres", "postgres")).expect("PostgreSQL is there");
    ends.from.sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, small smallint NOT NULL, price numeric(12,2), any_number numeric, \
         name varchar(40), note text DEFAULT 'x', fixed char(5), raw bytea, day date, clock time(3), at timestamp(6), \
         seen timestamptz(3), span interval, doc json, tree jsonb, key uuid, flags bit(4), list int[], ok boolean, \
         ratio double precision, little real);
         INSERT INTO t VALUES
         (1, 1, 1.50, 12345678901234567890.123456789, 'a', '', 'ab', '\\x00ff', '2026-01-31', '12:00:00.5', \
          '2026-01-31 12:00:00.123456', '2026-01-31 12:00:00+02', '1 mon 2 days 00:00:03', '{\"a\": 1}', '{\"b\": [null]}', \
          'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'1010', '{1,NULL,3}', true, 'NaN', '-Infinity'),
         (2, -1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
         (3, 0, 0, 0, E'line\\nbreak, \"quote\" and \\\\N', E'\\r\\n', '', '', '0001-01-01', '24:00', '9999-12-31 23:59:59', \
          '1969-12-31 23:59:59Z', '-1 years', 'null', 'null', '00000000-0000-0000-0000-000000000000', B'0000', '{}', false, \
          1e300, 1e-30)",
    );
    ends.run(&["--stream", "t"]).done();
    let direct = (ends.to.sql(SHAPE), ends.to.sql("SELECT * FROM t ORDER BY id"));
    for query in FORMATS {
        let folder = Folder::at(ends.desk.path().join("through"));
        ends.to.sql("DROP TABLE t");
        ends.desk
            .run(&["copy", &ends.from.url(), &folder.url(query), "--stream", "t", "--chunk-rows", "2"])
            .done();
        folder.nothing_left();
        ends.desk.run(&["verify", &ends.from.url(), &folder.url(query), "--stream", "t"]).expect_code(0);
        ends.desk.run(&["copy", &folder.url(""), &ends.to.url(), "--stream", "t"]).done();
        let back = (ends.to.sql(SHAPE), ends.to.sql("SELECT * FROM t ORDER BY id"));
        assert_eq!(back, direct, "{query}");
        std::fs::remove_dir_all(folder.path()).expect("the folder is ours");
    }
}

#[test]
fn sqlite_through_files_is_sqlite() {
    let desk = Desk::new();
    let from = Lite::at(desk.path().join("from.db"));
    from.sql(
        "CREATE TABLE \"a/b: c\" (id INTEGER PRIMARY KEY, price DECIMAL(8,2), name VARCHAR(20) NOT NULL, raw BLOB, at DATETIME);
         INSERT INTO \"a/b: c\" VALUES (1, 1.5, 'ä', x'00ff', '2026-01-31 12:00:00'), (2, NULL, '', NULL, NULL);
         CREATE TABLE empty (id INTEGER PRIMARY KEY, v TEXT)",
    );
    for query in FORMATS {
        let folder = Folder::at(desk.path().join("through"));
        let back = Lite::at(desk.path().join("back.db"));
        desk.run(&["copy", &from.url(), &folder.url(query)]).done();
        assert!(folder.manifest("a%2Fb%3A c").is_some(), "the folder's name is encoded");
        desk.run(&["copy", &folder.url(""), &back.url()]).done();
        for table in ["a/b: c", "empty"] {
            let query = format!("SELECT * FROM \"{table}\"");
            assert_eq!(from.typed(&query), back.typed(&query), "{table}");
        }
        std::fs::remove_dir_all(folder.path()).expect("the folder is ours");
        std::fs::remove_file(back.path()).expect("the file is ours");
    }
}

#[test]
fn verify_tells_a_folder_from_its_source_and_repairs_it() {
    let desk = Desk::new();
    let from = Lite::at(desk.path().join("from.db"));
    from.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    );
    let folder = Folder::at(desk.path().join("to"));
    let to = folder.url("?format=csv");
    desk.run(&["copy", &from.url(), &to]).done();
    from.sql("UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (4, 'd')");
    let ran = desk.run(&["verify", &from.url(), &to]).expect_code(3);
    let stream: &Value = &ran.last()["streams"][0];
    assert_eq!(
        (&stream["missing"], &stream["different"], &stream["extra"]),
        (&1.into(), &1.into(), &1.into()),
        "{stream}"
    );
    desk.run(&["verify", &from.url(), &to, "--repair"]).expect_code(0);
    assert_eq!(folder.lines("t").expect("there is a manifest"), ["1,a", "2,B", "4,d"]);
    folder.nothing_left();
}

#[test]
fn rows_of_strangers_that_cannot_be_read_become_dead_letters() {
    let desk = Desk::new();
    desk.file("in.csv", "id,v\n1,a\n2\n3,c\n");
    let (from, to) =
        (format!("file:{}", desk.path().join("in.csv").display()), Lite::at(desk.path().join("to.db")));
    desk.run(&["copy", &from, &to.url()]).failed(1, "SYN-4002").names(&["in.csv", "line 3"]);
    let summary = desk.run(&["copy", &from, &to.url(), "--on-error", "dead_letter", "--restart"]).done();
    assert_eq!((sum(&summary, "rows"), sum(&summary, "rejected")), (2, 1));
    assert_eq!(to.sql("SELECT id, v FROM \"in\" ORDER BY 1"), "1|a\n3|c");
}
