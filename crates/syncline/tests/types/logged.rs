//! Every type through the source's log: what a target gets of rows that came after the copy is what a copy of
//! them gives, and what is rejected there is rejected here.

use std::collections::BTreeMap;

use syncline_testkit::servers::mysql::Product;

use crate::{
    carried::same,
    desk::Desk,
    files::{SYSTEMS, System},
    ran::Route,
    routes::Wrong,
    wide::{Place, TABLE},
};

/// Rows move to keys that none has, and back.
const MOVES: [&str; 2] = ["id + 5000000", "id - 5000000"];

/// Texts whose letters the log does not tell, so that they are refused before anything is copied.
const REFUSED: [&str; 2] = ["m_sjis", "m_gbk"];

/// What such columns of SQLite hold is seen by their rows, of which there are none when following begins.
const SAMPLED: &str = "n_any";

type Letters = BTreeMap<String, u64>;

fn followed(desk: &Desk, from: &Place, to: &Place) -> Letters {
    let (from, to) = (from.url(), to.url());
    let route = Route { desk, from: &from, to: &to, glob: TABLE };
    route.follow().remove(TABLE).unwrap_or_default()
}

fn one_way(from: System, to: System) {
    if from.is_left_out() || to.is_left_out() {
        return;
    }
    let (desk, mut columns) = (Desk::new(), from.columns());
    let is_left_out = |name: &str| REFUSED.contains(&name) || name.starts_with(SAMPLED);
    columns.retain(|column| !is_left_out(&column.name));
    let (source, target) = (from.empty(&desk, "from.db"), to.empty(&desk, "followed.db"));
    source.create(&columns);
    let mut wrong = Wrong::default();
    let letters = followed(&desk, &source, &target);
    wrong.unless(letters.is_empty(), || format!("nothing is there yet, and rejected are {letters:?}"));
    source.insert(&columns);
    let letters = followed(&desk, &source, &target);

    let (copying, copied) = (Desk::new(), to.empty(&desk, "copied.db"));
    let (from_url, to_url) = (source.url(), copied.url());
    let direct = Route { desk: &copying, from: &from_url, to: &to_url, glob: TABLE };
    let expected = direct.copy(&[]).remove(TABLE).unwrap_or_default();
    let held = copied.held(TABLE);
    assert!(held.rows > columns.len() as u64, "{from:?}: {} rows", held.rows);
    wrong.unless(letters == expected, || format!("rejected are {letters:?}, not {expected:?}"));
    wrong.within("inserted", |wrong| same(&target.held(TABLE), &held, wrong));
    for moved in MOVES {
        source.run(&format!("UPDATE {TABLE} SET id = {moved};"));
        followed(&desk, &source, &target);
    }
    wrong.within("moved", |wrong| same(&target.held(TABLE), &held, wrong));
    source.run(&format!("DELETE FROM {TABLE} WHERE id > 0;"));
    followed(&desk, &source, &target);
    let left = target.held(TABLE).rows;
    wrong.unless(left == 1, || format!("{left} rows are left"));
    let mut all = Wrong::default();
    all.within(&format!("{from:?} to {to:?}"), |told| *told = wrong);
    all.end();
}

/// What the log cannot tell is said before.
fn refused(from: System) {
    let columns = from.columns().into_iter().filter(|column| REFUSED.contains(&column.name.as_str()));
    for column in columns.filter(|_| !from.is_left_out()) {
        let desk = Desk::new();
        let (source, target) = (from.empty(&desk, "from.db"), System::Sqlite.empty(&desk, "to.db"));
        source.fill(&[column]);
        let arguments = ["copy", &source.url(), &target.url(), "--sync", "follow", "--until-caught-up"];
        desk.run(&arguments).failed(1, "SYN-6002").names(&["character set"]);
    }
}

fn from(system: System) {
    refused(system);
    SYSTEMS.into_iter().for_each(|target| one_way(system, target));
}

#[test]
fn every_type_of_postgres_comes_through_the_log() {
    from(System::Postgres);
}

#[test]
fn every_type_of_sqlite_comes_through_its_triggers() {
    from(System::Sqlite);
}

#[test]
fn every_type_of_mysql_comes_through_the_log() {
    from(System::Mysql(Product::Mysql));
}

#[test]
fn every_type_of_mariadb_comes_through_the_log() {
    from(System::Mysql(Product::Mariadb));
}
