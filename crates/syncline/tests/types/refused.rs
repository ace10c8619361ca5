//! What does not fit a target that is there is refused by the plan, for the whole matrix.

use syncline_testkit::servers::{
    left_out,
    postgres::{self, Database},
};

use crate::{
    desk::Desk,
    lite::File,
    matrix::{Case, Fate, REFUSED, cases},
    own,
    ran::{Route, Verdict},
};

fn database() -> Database {
    postgres::shared().database(&postgres::shared().create_database())
}

/// A column type at the target, and the tables whose values all belong in it.
enum Takes {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Takes {
    fn takes(&self, case: &Case) -> bool {
        match self {
            Takes::Only(tables) => tables.contains(&case.name),
            Takes::AllBut(tables) => !tables.contains(&case.name),
        }
    }
}

const WHOLE: &[&str] = &["t_int2", "t_int4", "t_int8", "t_oid", "t_domain_int"];

#[test]
fn a_column_of_sqlite_takes_what_is_of_its_type_or_the_plan_refuses() {
    if left_out("postgres") {
        return;
    }
    let (cases, from) = (cases(), database());
    own::fill(&from, &cases);
    for (declared, takes) in [
        ("INTEGER", Takes::Only(WHOLE)),
        ("BLOB", Takes::Only(&["t_bytea"])),
        ("TEXT", Takes::AllBut(&["t_bytea"])),
        ("DATE", Takes::Only(&["t_date"])),
        ("JSON_TEXT", Takes::Only(&["t_json", "t_jsonb"])),
    ] {
        let desk = Desk::new();
        let file = File::new(desk.path(), "target.db");
        for Case { name, .. } in &cases {
            file.sql(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY, v {declared})"));
        }
        let route = Route { desk: &desk, from: from.url(), to: &file.url(), glob: "t_*" };
        refuses(&route, &cases, &takes, declared);
    }
}

#[test]
fn a_column_of_postgres_takes_what_is_of_its_type_or_the_plan_refuses() {
    if left_out("postgres") {
        return;
    }
    let (cases, from) = (cases(), database());
    own::fill(&from, &cases);
    for (declared, takes) in [
        ("smallint", Takes::Only(&["t_int2"])),
        ("bigint", Takes::Only(WHOLE)),
        ("text", Takes::AllBut(&["t_bytea"])),
        ("integer[]", Takes::Only(&["t_ints"])),
        (
            "numeric(12,2)",
            Takes::Only(&["t_int2", "t_int4", "t_oid", "t_domain_int", "t_numeric_12_2", "t_domain_numeric"]),
        ),
    ] {
        let (desk, to) = (Desk::new(), database());
        let tables = cases
            .iter()
            .map(|case| format!("CREATE TABLE {} (id int PRIMARY KEY, v {declared});", case.name));
        to.sql(&tables.collect::<String>());
        let route = Route { desk: &desk, from: from.url(), to: to.url(), glob: "t_*" };
        refuses(&route, &cases, &takes, declared);
    }
}

/// The plan refuses what is not taken; what is taken arrives, and is verified as equal.
fn refuses(route: &Route<'_>, cases: &[Case], takes: &Takes, declared: &str) {
    let blocked = route.blocked("SYN-3003");
    let mut wrong = vec![];
    let mut taken = vec![];
    for case in cases {
        match (takes.takes(case), blocked.contains(case.name)) {
            (true, false) => taken.push(case.name),
            (false, true) => {}
            (true, true) => wrong.push(format!("{} into {declared} is refused", case.name)),
            (false, false) => wrong.push(format!("{} into {declared} is not refused", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let glob = format!("{{{}}}", taken.join(","));
    let route = Route { glob: &glob, ..*route };
    let rejected = route.copy(&["--write", "append"]);
    for (table, verdict) in route.verify() {
        let count = |code: &str| rejected.get(&table).and_then(|codes| codes.get(code)).copied().unwrap_or(0);
        let case = cases.iter().find(|case| case.name == table).expect("it is one of them");
        let beyond = case.count(|fate| matches!(fate, Fate::Unreadable));
        let refused = count(REFUSED);
        assert!(
            refused <= case.count(|fate| matches!(fate, Fate::Refused)),
            "{table} into {declared}: {refused}"
        );
        assert_eq!(
            verdict,
            Verdict { missing: refused, unreadable: beyond, wrong: 0 },
            "{table} into {declared}"
        );
    }
}

/// PostgreSQL names a line of what it was sent, which rows that were left out before it are not in.
#[test]
fn rows_left_out_do_not_shift_the_blame_of_others() {
    if left_out("postgres") {
        return;
    }
    let (desk, to) = (Desk::new(), database());
    let file = File::new(desk.path(), "from.db");
    file.sql(
        "CREATE TABLE r (id INTEGER PRIMARY KEY, t TEXT, j JSON);
         INSERT INTO r VALUES (1, 'a', '1'), (2, 'a' || char(0), '2'), (3, 'b', '3'), (4, 'c', '{a: 1}'), (5, 'd', '5'),
           (6, char(0), '6'), (7, 'e', '{'), (8, 'f', '8')",
    );
    let route = Route { desk: &desk, from: &file.url(), to: to.url(), glob: "r" };
    assert_eq!(route.copy(&[])["r"][REFUSED], 4);
    assert_eq!(to.sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM r"), "1,3,5,8");
}
