//! Values of the largest sizes, over every route, compared by the server's own checksum.

use syncline_testkit::servers::{
    left_out,
    mysql::Product,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::{File, Kept},
    my,
    ran::{Rejected, Route, Verdict},
};

/// Characters of one to four bytes, 16 MiB of them; every byte in 16 MiB; and as many digits as
/// PostgreSQL has, before and behind the point.
const TABLES: &[(&str, &str, &str)] = &[
    ("l_text", "text", "repeat('x漢字é🦀' || E'\\n\\\\', 1118482)"),
    (
        "l_bytea",
        "bytea",
        "(SELECT decode(repeat(string_agg(lpad(to_hex(byte), 2, '0'), ''), 65536), 'hex') FROM generate_series(0, 255) byte)",
    ),
    ("l_numeric", "numeric", "('-' || repeat('9', 131072) || '.' || repeat('7', 16383))::numeric"),
    ("l_numeric_small", "numeric", "('0.' || repeat('0', 16382) || '1')::numeric"),
    ("l_jsonb", "jsonb", "jsonb_build_array(repeat('é', 4000000), 1e1000)"),
    ("l_array", "text[]", "ARRAY[repeat('a\"', 2000000), NULL, repeat(E'\\\\', 2000000)]"),
];

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// Size and checksum of each table's value, and how many rows there are.
fn sums(database: &Database) -> Vec<String> {
    let sum = |(table, _, _): &(&str, &str, &str)| {
        database.sql(&format!(
            "SELECT '{table}', count(*), max(octet_length(v::text)), max(md5(v::text)) FROM {table}"
        ))
    };
    TABLES.iter().map(sum).collect()
}

#[test]
fn the_largest_values_arrive_over_every_route() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to, back) = (Desk::new(), database(), database(), database());
    for (table, declared, value) in TABLES {
        from.sql(&format!("CREATE TABLE {table} (id int PRIMARY KEY, v {declared}); INSERT INTO {table} VALUES (1, {value}), (2, NULL)"));
    }
    let (one, two) = (File::new(desk.path(), "one.db"), File::new(desk.path(), "two.db"));
    let routes = [
        (from.url(), to.url()),
        (from.url(), &one.url()),
        (&one.url(), &two.url()),
        (&two.url(), back.url()),
    ];
    for (from, to) in routes {
        let route = Route { desk: &desk, from, to, glob: "l_*" };
        assert_eq!(route.copy(&[]), Rejected::new(), "{from} to {to}");
        for (table, verdict) in route.verify() {
            assert_eq!(verdict, Verdict::EQUAL, "{table}: {from} to {to}");
        }
    }
    let expected = sums(&from);
    assert!(expected[0].contains("|16777230|") && expected[1].contains("|33554434|"), "{expected:?}");
    assert_eq!(sums(&to), expected);
    assert_eq!(sums(&back), expected);
    let kept = |class: &str, length| vec![Kept::Text(class.into()), Kept::Integer(length)];
    let sql = |table| format!("SELECT typeof(v), length(CAST(v AS BLOB)) FROM {table} WHERE id = 1");
    for file in [&one, &two] {
        assert_eq!(file.row(&sql("l_bytea")), kept("blob", 16 << 20));
        assert_eq!(file.row(&sql("l_numeric")), kept("text", 1 + 131_072 + 1 + 16_383));
    }
}

/// Text of 16 MiB in characters of one to four bytes, and every byte in as much, as MySQL writes them.
const BOTH_IN_MYSQL: &str = "CREATE TABLE l_both (id int PRIMARY KEY, t longtext, b longblob) CHARACTER SET utf8mb4;
    INSERT INTO l_both VALUES (1, REPEAT(_utf8mb4 X'78e6bca2e5ad97c3a9f09fa6800a5c', 1118482), REPEAT(UNHEX('";

/// Over chains in which every system and format is read once in front of another and written once behind
/// another.
#[test]
fn the_largest_texts_and_bytes_arrive_through_all_systems() {
    if left_out("postgres") || Product::ALL.iter().any(|product| left_out(product.name())) {
        return;
    }
    let desk = Desk::new();
    let [mysql, mariadb] = Product::ALL.map(my::database);
    let [first, last] = [database(), database()];
    let [one, two] = ["one.db", "two.db"].map(|name| File::new(desk.path(), name));
    let every_byte: String = (0..=255_u8).map(|byte| format!("{byte:02x}")).collect();
    my::run(&mysql, &format!("{BOTH_IN_MYSQL}{every_byte}'), 65536))"));
    let sums = "SELECT CONCAT_WS(' ', COUNT(*), MAX(LENGTH(t)), SHA2(MAX(t), 256), MAX(LENGTH(b)), SHA2(MAX(b), 256)) FROM l_both";
    let expected = mysql.sql(sums);
    assert!(expected.starts_with("1 16777230 ") && expected.contains(" 16777216 "), "{expected}");
    let file = |name: &str| format!("file:{}", desk.path().join(name).display());
    let [csv, jsonl, parquet] = ["csv", "jsonl", "parquet"].map(file);
    let written = |folder: &str, format: &str| format!("{folder}?format={format}");
    for (from, to) in [
        (mysql.url(), &*written(&csv, "csv")),
        (&csv, first.url()),
        (first.url(), &written(&jsonl, "jsonl")),
        (&jsonl, mariadb.url()),
        (mariadb.url(), &written(&parquet, "parquet")),
        (&parquet, &one.url()),
        (&one.url(), &written(&file("csv2"), "csv")),
        (&file("csv2"), &written(&file("jsonl2"), "jsonl")),
        (&file("jsonl2"), &written(&file("parquet2"), "parquet")),
        (&file("parquet2"), &two.url()),
        (&two.url(), last.url()),
    ] {
        let route = Route { desk: &desk, from, to, glob: "l_both" };
        assert_eq!(route.copy(&[]), Rejected::new(), "{from} to {to}");
    }
    assert_eq!(my::run(&mariadb, sums), expected);
    let sums = "SELECT concat_ws(' ', count(*), max(octet_length(t)), max(encode(sha256(convert_to(t, 'UTF8')), 'hex')), max(octet_length(b)), max(encode(sha256(b), 'hex'))) FROM l_both";
    for database in [&first, &last] {
        assert_eq!(database.sql(sums), expected);
    }
    for (from, to) in [(last.url(), mariadb.url()), (mysql.url(), last.url()), (mysql.url(), mariadb.url())] {
        let verdicts = Route { desk: &desk, from, to, glob: "l_both" }.verify();
        assert_eq!(verdicts.get("l_both"), Some(&Verdict::EQUAL), "{from} and {to}");
    }
}
