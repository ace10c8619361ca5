//! The tour that needs no server.

use std::fs;

use syncline_testkit::process::{Finished, Program};
use tempfile::TempDir;

use crate::lite::Lite;

/// What it is promised to take at most, built for development or not.
const SECONDS_MAX: f64 = 60.0;

fn demo(at: &TempDir, arguments: &[&str]) -> Finished {
    Program::new(env!("CARGO_BIN_EXE_syncline")).arg("demo").args(arguments).dir(at.path()).run()
}

#[test]
fn the_demo_is_interrupted_goes_on_verifies_and_finds_what_was_changed() {
    let at = TempDir::new().expect("there is a temporary folder");
    // A second tour in the same folder begins again.
    for _ in 0..2 {
        let tour = demo(&at, &[]);
        assert_eq!(tour.code, Some(0), "{tour}");
        assert!(tour.seconds < SECONDS_MAX, "{tour}");
        for part in [
            "step: mask email by hash, phone by redact",
            "killed after",
            "shop: unfinished",
            "The same command goes on with it",
            "main.products: missing {\"id\":42}",
            "main.customers: extra {\"id\":999999}",
            "main.orders: different {\"id\":17}",
            "lake/customers/part-",
            "sheets/customers/_manifest.json",
            "25 orders are placed",
            "Everything is still in syncline-demo",
        ] {
            assert!(tour.stdout.contains(part), "no `{part}` in {tour}");
        }
        assert!(tour.stderr.contains("more than one snapshot"), "it was resumed: {tour}");
        let (shop, copy) =
            (at.path().join("syncline-demo/shop.db"), at.path().join("syncline-demo/analysts.db"));
        let (shop, copy) = (Lite::at(shop), Lite::at(copy));
        copy.nothing_left();
        let kept = "SELECT id, customer_id, status, rtrim(placed_at, '0'), total, paid FROM orders WHERE status <> 'void' ORDER BY id";
        let (kept, there) = (shop.sql(kept), copy.sql(&kept.replace(" WHERE status <> 'void'", "")));
        // What was changed by hand is repaired, and what came later has arrived.
        assert_eq!(kept, there);
        assert_eq!(copy.sql("SELECT count(*) FROM orders WHERE id > 20000"), "25");
        assert_eq!(copy.sql("SELECT count(*) FROM products WHERE id = 42"), "1");
        // Nasty values arrive as they are, and secrets do not arrive at all.
        let notes = "SELECT id, hex(note) FROM customers WHERE note IS NOT NULL ORDER BY id";
        assert_eq!(shop.sql(notes), copy.sql(notes));
        assert_eq!(
            copy.sql("SELECT count(*) FROM customers WHERE email LIKE '%@%' OR phone LIKE '%9%'"),
            "0"
        );
        assert_eq!(
            copy.sql("SELECT count(*) FROM pragma_table_info('customers') WHERE name = 'password'"),
            "0"
        );
        let addresses = "SELECT count(DISTINCT email) FROM customers";
        assert_eq!(shop.sql(addresses), copy.sql(addresses));
    }
}

#[test]
fn the_demo_leaves_a_folder_of_somebody_else_alone() {
    let at = TempDir::new().expect("there is a temporary folder");
    fs::write(at.path().join("notes.txt"), "mine").expect("the folder can be written");
    let refused = demo(&at, &["."]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(
        refused.stderr.contains("the folder is not empty") && refused.stderr.contains("SYN-"),
        "{refused}"
    );
    assert_eq!(fs::read_dir(at.path()).expect("it is still there").count(), 1);
    // What it could not do is refused, and not ignored.
    for option in [["--output", "json"], ["--state", "elsewhere"]] {
        let refused = demo(&at, &option);
        assert_eq!(refused.code, Some(2), "{refused}");
    }
}
