//! Every type as a key: chunks of one row, whose bounds go to the server and come back as texts.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::File,
    matrix::{Case, Fate, cases},
    own,
    ran::{Rejected, Route, Verdict},
};

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// Types that PostgreSQL itself cannot have as a key.
const NO_KEY: &[&str] = &[
    "t_json",
    "t_xml",
    "t_jsonpath",
    "t_composite_nested",
    "t_jsons",
    "t_point",
    "t_line",
    "t_lseg",
    "t_box",
    "t_path",
    "t_polygon",
    "t_circle",
    "t_boxes",
    "t_snapshot",
    "t_txid_snapshot",
    "t_xid",
    "t_refcursor",
    "t_aclitem",
];

#[test]
fn a_key_of_any_type_cuts_a_table_into_chunks() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database(), database());
    let mut cases = cases();
    for case in &mut cases {
        case.values.retain(|value| !matches!(value.fate, Fate::Unreadable));
    }
    own::fill(&from, &cases);
    to.sql(&own::types(&cases));
    let keyed = |case: &Case| {
        let name = case.name;
        // Of values that are equal, as 0 and -0, only one can be in a key.
        let sql = format!(
            "DELETE FROM {name} WHERE num_nulls(v) = 1; DELETE FROM {name} WHERE id NOT IN (SELECT max(id) FROM {name} GROUP BY v);
             ALTER TABLE {name} DROP COLUMN id, ADD PRIMARY KEY (v), ADD id serial"
        );
        from.try_sql(&sql)
    };
    for case in &cases {
        match (keyed(case), NO_KEY.contains(&case.name)) {
            (Ok(_), false) => {}
            (Err(_), true) => _ = from.sql(&format!("DROP TABLE {}", case.name)),
            (made, _) => panic!("{}: {made:?}", case.name),
        }
    }
    let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t_*" };
    for options in [&["--write", "overwrite", "--chunk-rows", "1"][..], &["--write", "merge"]] {
        assert_eq!(route.copy(options), Rejected::new());
        let verdicts = route.verify();
        for (case, verdict) in &verdicts {
            assert_eq!(*verdict, Verdict::EQUAL, "{case}");
        }
        assert_eq!(verdicts.len(), cases.len() - NO_KEY.len());
        assert_eq!(own::columns(&from), own::columns(&to));
    }
    // In SQLite they are keys of other types, by which its file is cut on the way back.
    let (file, back) = (File::new(desk.path(), "middle.db"), database());
    let there = Route { desk: &desk, from: from.url(), to: &file.url(), glob: "t_*" };
    let refused: u64 = there.copy(&["--chunk-rows", "2"]).values().flat_map(|codes| codes.values()).sum();
    assert_eq!(
        refused,
        cases.iter().map(|case| case.count(|fate| matches!(fate, Fate::Refused))).sum::<u64>()
    );
    // PostgreSQL has no keys of json, which is what SQLite's JSON becomes there; the plan says so.
    let all = Route { desk: &desk, from: &file.url(), to: back.url(), glob: "t_*" };
    assert_eq!(all.blocked("SYN-3007").into_iter().collect::<Vec<_>>(), ["t_jsonb"]);
    let route = Route { glob: "t_{[!j],j[!s]}*", ..all };
    assert_eq!(route.copy(&["--chunk-rows", "1"]), Rejected::new());
    for (case, verdict) in route.verify() {
        assert_eq!(verdict, Verdict::EQUAL, "{case}");
    }
}

/// A domain's check that its own values do not pass makes the server refuse the bounds of chunks.
#[test]
fn a_table_that_cannot_be_cut_stops_no_other() {
    if left_out("postgres") {
        return;
    }
    let (desk, from, to) = (Desk::new(), database(), database());
    let tables = ["b", "c", "d", "e"];
    from.sql(
        "CREATE DOMAIN positive AS int; CREATE TABLE a (k positive PRIMARY KEY); INSERT INTO a SELECT g FROM generate_series(-50, 50) g;
         ALTER DOMAIN positive ADD CHECK (VALUE > 0) NOT VALID",
    );
    for table in tables {
        from.sql(&format!(
            "CREATE TABLE {table} (k int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, 50)"
        ));
    }
    let ran = desk.run(&["copy", from.url(), to.url(), "--chunk-rows", "10"]).expect_code(1);
    let failed: Vec<_> = ran.of("stream_failed").iter().map(|failed| failed["stream"].to_string()).collect();
    assert_eq!(failed, ["\"public.a\""], "{}", ran.finished);
    for table in tables {
        assert_eq!(to.sql(&format!("SELECT count(*) FROM {table}")), "50");
    }
}
