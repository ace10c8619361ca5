//! The bulk example from end to end, against servers that it starts itself: a night, a day with
//! changes, an hourly run, and the proof that both ends agree.
//!
//! `cargo x example bulk` shows it; the tests run it too.

#![allow(clippy::print_stdout, reason = "it tells what it does")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use syncline_testkit::servers::{
    mysql::{self, Mysql, Product},
    postgres::{self, Postgres},
};

/// What the commands need to know; a real installation has it in its environment.
struct Example {
    shop: Mysql,
    warehouse: Postgres,
    folder: PathBuf,
    binary: PathBuf,
}

const SHOP: &str = "shop";
const WAREHOUSE: &str = "warehouse";
const PASSWORD: &str = "only-for-the-example";
/// Files of the example that its commands read.
const FILES: [&str; 2] = ["syncline.yaml", "order.json"];

const TABLES: &str = "
CREATE TABLE customers (
  id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(120) NOT NULL,
  phone VARCHAR(40), password VARCHAR(80) NOT NULL, vip TINYINT(1) NOT NULL DEFAULT 0,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), KEY (updated_at))
  DEFAULT CHARSET utf8mb4;
CREATE TABLE orders (
  id BIGINT UNSIGNED PRIMARY KEY, customer_id INT UNSIGNED NOT NULL, status VARCHAR(10) NOT NULL,
  total DECIMAL(12,2) NOT NULL, note TEXT, placed_at DATETIME(3) NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), KEY (updated_at))
  DEFAULT CHARSET utf8mb4;
CREATE TABLE order_items (
  order_id BIGINT UNSIGNED NOT NULL, line SMALLINT NOT NULL, product VARCHAR(60) NOT NULL, quantity INT NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  PRIMARY KEY (order_id, line), KEY (updated_at)) DEFAULT CHARSET utf8mb4;";

/// Rows with what is easily lost on the way through a CSV file. One order's total breaks the schema.
const ROWS: &str = "
INSERT INTO customers (name, email, phone, password, vip, updated_at)
  SELECT CONCAT('Customer ', seq, ' M\u{fc}ller'), CONCAT('customer', seq, '@example.com'),
    IF(seq % 7 = 0, NULL, CONCAT('+49 30 ', 1000000 + seq)), MD5(seq), seq % 50 = 0, NOW(6) - INTERVAL 1 DAY
  FROM seq_1_to_5000;
INSERT INTO orders SELECT seq, 1 + seq % 5000, ELT(1 + seq % 5, 'new', 'paid', 'shipped', 'void', 'draft'), seq * 1.37,
    ELT(1 + seq % 6, NULL, '', 'NULL', '\\\\N', 'two\\nlines, \"quoted\"', '\u{1F680}'), '2026-01-01' + INTERVAL seq MINUTE,
    NOW(6) - INTERVAL 1 DAY
  FROM seq_1_to_40000;
UPDATE orders SET total = -1, updated_at = NOW(6) - INTERVAL 1 DAY WHERE id = 77;
INSERT INTO order_items SELECT 1 + seq DIV 3, seq % 3, CONCAT('Product ', seq % 300), 1 + seq % 9, NOW(6) - INTERVAL 1 DAY
  FROM seq_0_to_119999;";

/// What a day brings: new and changed rows, one order corrected, one deleted.
const CHANGES: &str = "
UPDATE customers SET phone = '+49 40 999' WHERE id IN (7, 14, 21);
UPDATE orders SET status = 'paid' WHERE id % 400 = 0;
UPDATE orders SET total = 77 WHERE id = 77;
INSERT INTO orders (id, customer_id, status, total, placed_at) SELECT 40000 + seq, seq, 'new', seq, NOW(3) FROM seq_1_to_500;
INSERT INTO order_items (order_id, line, product, quantity) SELECT 40000 + seq, 0, 'Product 1', 1 FROM seq_1_to_500;
DELETE FROM order_items WHERE order_id = 3000;
DELETE FROM orders WHERE id = 3000;";

impl Example {
    fn start(binary: PathBuf) -> Self {
        // The made-up rows use MariaDB's sequences; the pipeline file is the same for MySQL.
        let shop = Mysql::start(Product::Mariadb, mysql::Options::new());
        shop.sql(
            "mysql",
            &format!(
                "CREATE DATABASE {SHOP}; CREATE USER reader@'%' IDENTIFIED BY '{PASSWORD}';
                 GRANT SELECT, LOCK TABLES ON {SHOP}.* TO reader@'%'; GRANT RELOAD ON *.* TO reader@'%'"
            ),
        );
        shop.sql(SHOP, TABLES);
        shop.sql(SHOP, ROWS);
        let warehouse = Postgres::start(postgres::Options::new());
        warehouse.psql("postgres", &format!("CREATE ROLE loader LOGIN PASSWORD '{PASSWORD}'"));
        warehouse.psql("postgres", &format!("CREATE DATABASE {WAREHOUSE} OWNER loader"));
        let folder = env::temp_dir().join(format!("syncline-example-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the example can be made");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("bulk");
        for file in FILES {
            fs::copy(here.join(file), folder.join(file)).expect("a file of the example can be copied");
        }
        Example { shop, warehouse, folder, binary }
    }

    /// Shows a command and runs it; it must end with this code.
    fn syncline(&self, arguments: &str, expected: i32) {
        println!("$ syncline {arguments}");
        let status = Command::new(&self.binary)
            .args(arguments.split(' '))
            .current_dir(&self.folder)
            .env("SHOP_PORT", self.shop.port().to_string())
            .env("SHOP_PASSWORD", PASSWORD)
            .env("WAREHOUSE_PORT", self.warehouse.port().to_string())
            .env("WAREHOUSE_PASSWORD", PASSWORD)
            .env("SYNCLINE_MASK_KEY", PASSWORD)
            .status()
            .expect("the program can be started");
        assert_eq!(status.code(), Some(expected), "`syncline {arguments}` has not ended as it should");
    }

    /// What a query finds in the warehouse.
    fn warehouse_has(&self, sql: &str, expected: &str) {
        let found = self.warehouse.psql(WAREHOUSE, sql);
        assert_eq!(found.trim(), expected, "{sql}");
    }

    fn run(&self) {
        say("At night: MySQL to CSV files, masked and checked, and from there into PostgreSQL.");
        self.syncline("run syncline.yaml export load", 0);
        self.warehouse_has("SELECT count(*) FROM customers", "5000");
        self.warehouse_has(
            "SELECT count(*), count(*) FILTER (WHERE note = ''), count(note) FROM orders",
            "31999|5334|26666",
        );
        say("The order that breaks its schema is set aside, with the reason.");
        self.syncline("dlq list export", 0);

        say("During the day rows come, change and go; every hour they follow.");
        self.shop.sql(SHOP, CHANGES);
        self.syncline("run syncline.yaml hourly", 0);
        self.warehouse_has("SELECT total FROM orders WHERE id = 77", "77.00");
        self.warehouse_has("SELECT count(*) FROM orders WHERE id = 3000 OR id > 40000", "500");
        self.warehouse_has("SELECT count(*) FROM order_items", "120497");
        say("An hour without changes reads next to nothing.");
        self.syncline("run syncline.yaml hourly", 0);

        say("Do both ends agree, masks and filters applied?");
        self.syncline("verify syncline.yaml hourly", 0);
        say("Somebody changes the warehouse by hand, and it is repaired.");
        self.warehouse.psql(
            WAREHOUSE,
            "UPDATE orders SET total = 0 WHERE id IN (5, 6); DELETE FROM customers WHERE id = 9",
        );
        self.syncline("verify syncline.yaml hourly --repair", 0);
        self.syncline("verify syncline.yaml hourly", 0);
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn say(text: &str) {
    println!("\n## {text}");
}

/// The program beside this one: `cargo x example` and the tests have built it.
fn binary() -> Option<PathBuf> {
    let here = env::current_exe().ok()?;
    let binary = here.parent()?.join("syncline");
    binary.exists().then_some(binary)
}

fn main() -> ExitCode {
    let Some(binary) = binary() else {
        println!("Build the program first, or say `cargo x example bulk`");
        return ExitCode::FAILURE;
    };
    Example::start(binary).run();
    println!("\nThat was all; the servers are gone again.");
    ExitCode::SUCCESS
}
