//! Defaults of SQLite, which need not be values of their column's type.

use syncline_testkit::servers::{left_out, mysql::Product, postgres};

use crate::{
    desk::Desk,
    lite::File,
    my,
    ran::{Rejected, Route, Verdict},
};

/// Each column's type and default there, and its default in PostgreSQL.
const COLUMNS: &[(&str, &str, Option<&str>)] = &[
    ("INTEGER", "-5", Some("'-5'::bigint")),
    ("INTEGER", "'7'", Some("'7'::bigint")),
    ("INTEGER", "''", None),
    ("INTEGER", "1.5", None),
    ("INTEGER", "9223372036854775808", None),
    ("INTEGER", "'abc'", None),
    ("BOOLEAN", "1", Some("true")),
    ("BOOLEAN", "FALSE", Some("false")),
    ("BOOLEAN", "2", None),
    ("BOOLEAN", "''", None),
    ("REAL", "0.5", Some("'0.5'::double precision")),
    ("REAL", "''", None),
    ("DECIMAL(5,2)", "1.5", Some("1.5::numeric(5,2)")),
    ("DECIMAL(5,2)", "1000", None),
    ("DECIMAL(5,2)", "1.555", None),
    ("DECIMAL(5,2)", "''", None),
    ("NUMERIC", "1e2", Some("'100'::numeric")),
    ("TEXT", "''", Some("''::text")),
    ("TEXT", "'it''s'", Some("'it''s'::text")),
    ("TEXT", "5", Some("'5'::text")),
    ("TEXT", "1.50", None),
    ("TEXT", "TRUE", None),
    ("INTEGER", "TRUE", None),
    ("BLOB", "'abc'", None),
    ("BLOB", "x'00'", None),
    ("DATE", "'2024-02-29'", Some("'2024-02-29'::date")),
    ("DATE", "''", None),
    ("DATE", "'now'", None),
    ("DATE", "0", None),
    ("DATETIME", "CURRENT_TIMESTAMP", None),
    ("DATETIME", "'2024-02-29T10:00'", Some("'2024-02-29 10:00:00'::timestamp without time zone")),
    ("DATETIME", "'0000-00-00 00:00:00'", None),
    ("TIME", "'10:00'", Some("'10:00:00'::time without time zone")),
    ("JSON", "'{}'", Some("'{}'::json")),
    ("JSON", "''", None),
    ("UUID", "''", None),
    ("TEXT", "NULL", None),
];

#[test]
fn only_defaults_that_are_values_of_the_type_come_along() {
    if left_out("postgres") {
        return;
    }
    let desk = Desk::new();
    let to = postgres::shared().database(&postgres::shared().create_database());
    let file = File::new(desk.path(), "from.db");
    let columns: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, (declared, default, _))| format!("c{at} {declared} DEFAULT {default}"))
        .collect();
    file.sql(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, {})", columns.join(", ")));
    let route = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "t" };
    assert_eq!((route.copy(&[]), route.verify().remove("t")), (Rejected::new(), Some(Verdict::EQUAL)));
    let mut wrong = vec![];
    for (at, (declared, default, expected)) in COLUMNS.iter().enumerate() {
        let found = to.sql(&format!(
            "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = 't'::regclass AND a.attname = 'c{at}'"
        ));
        if found != expected.unwrap_or_default() {
            wrong.push(format!("{declared} DEFAULT {default}: {found}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What MySQL and MariaDB give to a row in which nothing is said, of the columns above. Floats and texts
/// without a length have no defaults there.
const IN_MYSQL: &[(&str, &str, &str)] = &[
    ("INTEGER", "-5", "-5"),
    ("INTEGER", "'7'", "7"),
    ("BOOLEAN", "1", "1"),
    ("BOOLEAN", "FALSE", "0"),
    ("DECIMAL(5,2)", "1.5", "1.50"),
    ("DATE", "'2024-02-29'", "2024-02-29"),
    ("DATETIME", "'2024-02-29T10:00'", "2024-02-29 10:00:00.000000"),
    ("TIME", "'10:00'", "10:00:00.000000"),
];

#[test]
fn only_defaults_that_are_values_of_the_type_come_along_to_mysql() {
    for product in Product::ALL.into_iter().filter(|product| !left_out(product.name())) {
        let (desk, to) = (Desk::new(), my::database(product));
        let file = File::new(desk.path(), "from.db");
        let columns = COLUMNS.iter().enumerate();
        let columns =
            columns.map(|(at, (declared, default, _))| format!("c{at} {declared} DEFAULT {default}"));
        let columns: Vec<String> = columns.collect();
        file.sql(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, {})", columns.join(", ")));
        let route = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "t" };
        assert_eq!((route.copy(&[]), route.verify().remove("t")), (Rejected::new(), Some(Verdict::EQUAL)));
        my::run(&to, "INSERT INTO t (id) VALUES (1)");
        let names: Vec<String> = (0..COLUMNS.len()).map(|at| format!("c{at}")).collect();
        let row = my::run(&to, &format!("SELECT {} FROM t", names.join(", ")));
        let expected = COLUMNS.iter().map(|(declared, default, _)| {
            let of_column = |(of, said, _): &&(&str, &str, &str)| (of, said) == (declared, default);
            IN_MYSQL.iter().find(of_column).map_or("NULL", |(.., value)| value)
        });
        assert_eq!(row.split('\t').collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{product:?}");
    }
}
