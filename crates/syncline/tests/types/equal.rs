//! Values that a server takes for equal, or for NULL, although they are not the same.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    ran::{Rejected, Route},
};

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// `IS DISTINCT FROM` would leave each of these as it was.
#[test]
fn a_merge_replaces_a_value_by_one_that_is_only_equal() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database(), database());
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t" };
    let shape = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (id int PRIMARY KEY, n numeric, i interval, f float8, f4 real, j jsonb, a numeric[], r numrange, l text COLLATE loose);";
    to.sql(&format!("{shape} INSERT INTO t VALUES (1, 1.0, '1 mon', 0, 0, '1.0', '{{1.0}}', '[1.0,2)', 'a'), (2, 1, '0', 1, 1, '1', '{{}}', 'empty', '')"));
    from.sql(&format!(
        "{shape} INSERT INTO t VALUES (1, 1.00, '30 days', '-0', '-0', '1.00', '{{1.00}}', '[1.00,2)', 'A'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    ));
    assert_eq!(route.copy(&["--write", "merge"]), Rejected::new());
    assert_eq!(
        to.sql("SELECT t FROM t ORDER BY id"),
        "(1,1.00,\"30 days\",-0,-0,1.00,{1.00},\"[1.00,2)\",A)\n(2,,,,,,,,)"
    );
}

/// A row of nothing but NULLs `IS NULL` to PostgreSQL, and is a value all the same.
#[test]
fn a_composite_of_nulls_is_not_null() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database(), database());
    for database in [&from, &to] {
        database.sql("CREATE TYPE pair AS (a int, b text)");
    }
    from.sql("CREATE TABLE t (id int PRIMARY KEY, v pair); INSERT INTO t VALUES (1, '(,)'), (2, NULL), (3, '(1,)')");
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t" };
    assert_eq!(route.copy(&["--where", "v IS NULL"]), Rejected::new());
    assert_eq!(to.sql("SELECT id, num_nulls(v) FROM t ORDER BY id"), "2|1");
    assert_eq!(route.copy(&["--where", "v IS NOT NULL"]), Rejected::new());
    assert_eq!(to.sql("SELECT id, num_nulls(v) FROM t ORDER BY id"), "1|0\n3|0");
}
