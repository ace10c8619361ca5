//! Values of the largest sizes, over every route, compared by the server's own checksum.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::{File, Kept},
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
