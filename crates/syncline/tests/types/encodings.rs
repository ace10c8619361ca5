//! Databases that keep their texts in another encoding, and texts that have none.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::{File, Kept},
    matrix::UNREADABLE,
    ran::{Rejected, Route, Verdict},
};

/// A fresh database of this encoding.
fn database(encoding: &str) -> Database {
    let server = postgres::shared();
    let name = format!("{}_{}", server.create_database(), encoding.to_lowercase());
    let sql = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
    server.database("postgres").sql(&sql);
    server.database(&name)
}

#[test]
fn texts_are_carried_between_encodings() {
    if left_out("postgres") {
        return;
    }
    let desk = Desk::new();
    let (from, to, back) = (database("LATIN1"), database("UTF8"), database("LATIN1"));
    let file = File::new(desk.path(), "middle.db");
    from.sql(
        "CREATE TYPE mood AS ENUM ('übel'); CREATE TABLE \"größe\" (id int PRIMARY KEY, v text, \"ä\" mood, a text[]);
         INSERT INTO \"größe\" VALUES (1, 'é ß ÿ ', 'übel', '{ñ}')",
    );
    for (from, to) in [(from.url(), to.url()), (to.url(), &file.url()), (&file.url(), back.url())] {
        let route = Route { desk: &desk, from, to, glob: "größe" };
        assert_eq!(
            (route.copy(&[]), route.verify().remove("größe")),
            (Rejected::new(), Some(Verdict::EQUAL))
        );
    }
    for database in [&from, &to, &back] {
        assert_eq!(database.sql("SELECT v, \"ä\", a FROM \"größe\""), "é ß ÿ |übel|{ñ}");
    }
    assert_eq!(file.row("SELECT v FROM größe"), [Kept::Text("é ß ÿ ".into())]);
    // A character that the target's encoding lacks: the row is rejected, the others arrive.
    to.sql("INSERT INTO \"größe\" VALUES (2, '🦀', 'übel', NULL), (3, 'a', NULL, NULL)");
    let route = Route { desk: &desk, from: to.url(), to: back.url(), glob: "größe" };
    let rejected = route.copy(&["--write", "overwrite"]);
    assert_eq!(rejected["größe"].values().sum::<u64>(), 1, "{rejected:?}");
    assert_eq!(back.sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM \"größe\""), "1 3");
    assert_eq!(route.verify()["größe"].missing, 1);
}

/// A database of no encoding takes any bytes as text; what is no UTF-8 cannot be carried.
#[test]
fn a_text_without_an_encoding_is_rejected_alone() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database("SQL_ASCII"), database("UTF8"));
    from.sql(
        "CREATE TABLE t (id int PRIMARY KEY, v text, a text[]);
         INSERT INTO t VALUES (1, 'plain', '{a}'), (2, E'\\xff', NULL), (3, NULL, ARRAY[E'a\\xc3']), (4, E'\\xc3\\xa9', NULL)",
    );
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t" };
    let rejected = route.copy(&[]);
    assert_eq!(rejected["t"].get(UNREADABLE), Some(&2), "{rejected:?}");
    assert_eq!(to.sql("SELECT id, v, a FROM t ORDER BY id"), "1|plain|{a}\n4|é|");
    assert_eq!(route.verify()["t"], Verdict { unreadable: 2, ..Verdict::EQUAL });
}
