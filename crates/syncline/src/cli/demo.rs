//! `syncline demo`: a tour that needs no server. Every step is a command that is shown, run as a
//! process of its own, and can be repeated by hand afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use rusqlite::{Connection, Transaction, params};
use syncline_types::{Error, Result, codes};

use super::{Ended, Global, STATE};
use crate::{
    logging::LogFormat,
    output::{Output, bytes, count, duration},
};

#[derive(Args)]
pub(crate) struct DemoCommand {
    /// The folder to make the demo's files in
    #[arg(default_value = "syncline-demo")]
    folder: PathBuf,
}

const FILE: &str = "syncline.yaml";
/// The exit code of a command that was stopped by Ctrl-C, which goes to all of them at once.
const INTERRUPTED: i32 = 130;

/// The pipeline file of the demo. It goes slowly enough to be interrupted.
const PIPELINES: &str = r#"# The demo's pipeline: a shop, copied for people who must not see who its customers are.
connections:
  shop:     { url: "sqlite:shop.db" }
  analysts: { url: "sqlite:analysts.db" }
  lake:     { url: "file:lake?format=parquet" }
  sheets:   { url: "file:sheets?format=csv" }

# A real key comes from the environment: mask_key: ${SYNCLINE_MASK_KEY}
mask_key: only-for-the-demo

pipelines:
  shop:
    from: shop
    to: analysts
    chunk_rows: 2500
    limits: { rows_per_second: 20000 }
    streams:
      - products
      - name: customers
        steps: &masked
          - mask: { email: hash, phone: redact }   # equal addresses stay equal, and are not addresses
          - drop: [password]
      - name: orders
        steps: &orders
          - filter: "status <> 'void'"
          - set: { year: "extract(year from placed_at)" }
      - order_items

  # Only orders that have been placed since the last run.
  news:
    from: shop
    to: analysts
    sync: incremental
    cursor: placed_at
    streams:
      - name: orders
        steps: *orders

  # The same masked customers, as files for others.
  lake:
    from: shop
    to: lake
    streams:
      - name: customers
        steps: *masked
      - products
  sheets:
    from: shop
    to: sheets
    streams:
      - name: customers
        steps: *masked
"#;

const CUSTOMERS: i64 = 3_000;
const PRODUCTS: i64 = 500;
const ORDERS: i64 = 12_000;
const ITEMS: i64 = 24_000;

/// The run is killed once so many rows have arrived.
const KILL_AFTER_ROWS: u64 = 10_000;
const WAIT_MAX: Duration = Duration::from_secs(20);

impl DemoCommand {
    pub(crate) fn run(self, global: &Global) -> Result<Ended> {
        let began = Instant::now();
        if global.output == Output::Json || global.state != Path::new(STATE) {
            return Err(Error::new(&codes::BAD_USAGE, "show", "the demo")
                .because("it is for people, and keeps its state in its own folder")
                .hint("Leave --output and --state away"));
        }
        let format = match global.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let log = ["--log-level", &global.log_level, "--log-format", format].map(str::to_owned);
        let tour = Tour { folder: self.folder, log };
        tour.prepare()?;
        tour.make_shop()?;
        tour.say("What would happen? `plan` shows it and changes nothing.");
        tour.command(&["plan", FILE, "shop"], 0)?;
        tour.say("Now the copy. In the middle of it the process is killed, as by a power cut.");
        tour.run_and_kill()?;
        tour.say("What is left? The chunks that are done are kept; nobody sees a half-filled table.");
        tour.command(&["status"], 0)?;
        tour.say("The same command goes on where it stopped: what is done is not read again.");
        tour.command(&["run", FILE, "shop"], 0)?;
        tour.say("Do both ends agree? The masks and the filter are applied to the source's rows first.");
        tour.command(&["verify", FILE, "shop"], 0)?;
        tour.show_masked()?;
        tour.say("The masked customers as Parquet and CSV files, which appear when they are whole.");
        tour.command(&["run", FILE, "lake", "sheets"], 0)?;
        tour.show_files()?;
        tour.say(
            "From now on only what is new. The first such run has nothing to go by, and takes all orders.",
        );
        tour.command(&["run", FILE, "news"], 0)?;
        let placed = tour.place_orders()?;
        tour.say(&format!("{placed}. The next run reads just these, and the last one of before again, as others may share its time."));
        tour.command(&["run", FILE, "news"], 0)?;
        let changed = tour.change_behind_its_back()?;
        tour.say(&format!(
            "Somebody changes the copy by hand: {changed}. Exit code 3 says that `verify` has noticed."
        ));
        tour.command(&["verify", FILE, "shop"], 3)?;
        tour.say("`--repair` reads just those rows again, and looks a second time.");
        tour.command(&["verify", FILE, "shop", "--repair"], 0)?;
        tour.farewell(began);
        Ok(Ended::Well)
    }
}

struct Tour {
    folder: PathBuf,
    /// How each command is to log.
    log: [String; 4],
}

fn failed(operation: &str, object: impl std::fmt::Display, reason: impl std::fmt::Display) -> Error {
    Error::new(&codes::STATE_FAILED, operation, object)
        .because(reason)
        .hint("Name another folder: syncline demo DIR")
}

fn interrupted() -> Error {
    Error::new(&codes::INTERRUPTED, "show", "the demo").hint("The same command shows it from the beginning")
}

impl Tour {
    fn say(&self, text: &str) {
        Output::Text.line(format!("\n## {text}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A folder of an earlier tour is made anew; any other that holds something is left alone.
    fn prepare(&self) -> Result<()> {
        let shown = self.folder.display();
        let mine = self.path("shop.db").exists() && self.path(FILE).exists();
        if mine {
            fs::remove_dir_all(&self.folder).map_err(|error| failed("empty the folder", shown, error))?;
        } else if self.folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(failed("make the demo in", shown, "the folder is not empty"));
        }
        fs::create_dir_all(&self.folder)
            .map_err(|error| failed("make the folder", self.folder.display(), error))?;
        fs::write(self.path(FILE), PIPELINES)
            .map_err(|error| failed("write", self.path(FILE).display(), error))
    }

    fn make_shop(&self) -> Result<()> {
        let path = self.path("shop.db");
        make_shop(&path).map_err(|error| failed("make", path.display(), error))?;
        self.say(&format!(
            "A small shop is in {}: {} customers, {} products, {} orders, {} order items.",
            path.display(),
            count(CUSTOMERS.unsigned_abs()),
            count(PRODUCTS.unsigned_abs()),
            count(ORDERS.unsigned_abs()),
            count(ITEMS.unsigned_abs())
        ));
        Output::Text
            .line(format!("The pipeline to copy it is in {}:\n\n{PIPELINES}", self.path(FILE).display()));
        Ok(())
    }

    fn program(&self, arguments: &[&str]) -> Result<Command> {
        let program = std::env::current_exe().map_err(|error| failed("find", "this program", error))?;
        let mut command = Command::new(program);
        command.args(arguments).args(&self.log);
        command.current_dir(&self.folder).stdin(Stdio::null());
        Ok(command)
    }

    /// Shows a command and runs it.
    fn command(&self, arguments: &[&str], expected: i32) -> Result<()> {
        let line = format!("syncline {}", arguments.join(" "));
        Output::Text.line(format!("$ {line}"));
        let status = self.program(arguments)?.status().map_err(|error| failed("run", &line, error))?;
        match status.code() {
            Some(code) if code == expected => Ok(()),
            Some(INTERRUPTED) => Err(interrupted()),
            code => Err(Error::new(&codes::BROKEN_INVARIANT, "run", format!("`{line}`"))
                .because(format!("it should have ended with {expected}, and ended with {code:?}"))),
        }
    }

    fn run_and_kill(&self) -> Result<()> {
        Output::Text.line(format!("$ syncline run {FILE}"));
        let child = self.program(&["run", FILE])?.stderr(Stdio::null()).spawn();
        let mut child = child.map_err(|error| failed("run", "syncline", error))?;
        let rows = self.wait_for_rows(&mut child);
        child.kill().and_then(|()| child.wait()).map_err(|error| failed("stop", "syncline", error))?;
        Output::Text.line(format!("killed after {} rows", count(rows?)));
        Ok(())
    }

    /// Looks into the state until enough rows have arrived.
    fn wait_for_rows(&self, child: &mut Child) -> Result<u64> {
        let began = Instant::now();
        let state = self.path(".syncline").join("state.db");
        loop {
            let rows = rows_done(&state).unwrap_or(0);
            if rows >= KILL_AFTER_ROWS {
                return Ok(rows);
            }
            let ended = child.try_wait().map_err(|error| failed("watch", "syncline", error))?;
            if ended.is_some_and(|status| status.code() == Some(INTERRUPTED)) {
                return Err(interrupted());
            }
            if ended.is_some() || began.elapsed() > WAIT_MAX {
                return Err(Error::new(&codes::BROKEN_INVARIANT, "interrupt", "the demo's run")
                    .because("it ended before it could be interrupted"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// One customer at both ends.
    fn show_masked(&self) -> Result<()> {
        self.say("Customer 5 in the shop, and what the analysts get of the same row:");
        for (file, columns) in
            [("shop.db", "name, email, phone, password"), ("analysts.db", "name, email, phone")]
        {
            let path = self.path(file);
            let row = customer(&path, columns).map_err(|error| failed("read", path.display(), error))?;
            Output::Text.line(format!("  {file:<12} {row}"));
        }
        Ok(())
    }

    /// What an export has written.
    fn show_files(&self) -> Result<()> {
        for folder in ["lake/customers", "lake/products", "sheets/customers"] {
            let path = self.path(folder);
            let read = || -> std::io::Result<Vec<(String, u64)>> {
                let mut files = vec![];
                for entry in fs::read_dir(&path)? {
                    let entry = entry?;
                    files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
                }
                files.sort();
                Ok(files)
            };
            for (name, size) in read().map_err(|error| failed("list", path.display(), error))? {
                if !name.starts_with('.') {
                    Output::Text.line(format!("  {:<54} {}", format!("{folder}/{name}"), bytes(size)));
                }
            }
        }
        Ok(())
    }

    /// A day's orders.
    fn place_orders(&self) -> Result<String> {
        let path = self.path("shop.db");
        let place = || -> rusqlite::Result<usize> {
            Connection::open(&path)?.execute(
                "INSERT INTO orders SELECT id + 20000, customer_id, 'new', '2026-06-01 12:00:00.' || printf('%06d', id),
                 total, 0 FROM orders WHERE id <= 25",
                [],
            )
        };
        let placed = place().map_err(|error| failed("change", path.display(), error))?;
        Ok(format!("{placed} orders are placed"))
    }

    fn change_behind_its_back(&self) -> Result<&'static str> {
        let path = self.path("analysts.db");
        let change = || -> rusqlite::Result<()> {
            Connection::open(&path)?.execute_batch(
                "UPDATE orders SET total = '0.01' WHERE id = 17;
                 DELETE FROM products WHERE id = 42;
                 INSERT INTO customers SELECT 999999, name, email, phone, joined, note FROM customers WHERE id = 1;",
            )
        };
        change().map_err(|error| failed("change", path.display(), error))?;
        Ok("one order's total, one product deleted, one customer too many")
    }

    fn farewell(&self, began: Instant) {
        self.say(&format!(
            "That was {}. Everything is still in {}.",
            duration(began.elapsed().as_secs_f64()),
            self.folder.display()
        ));
        Output::Text.line(format!(
            "To try next:
  cd {}
  syncline run {FILE} shop                  replaces the copy, all at once
  syncline copy 'file:lake' sqlite:third.db        files are a source too
  syncline copy sqlite:shop.db postgres://USER@HOST/DATABASE --stream orders
  syncline plan sqlite:shop.db sqlite:other.db --where \"total > 100\" --stream orders
  syncline connectors sqlite                what SQLite can do, and its options",
            self.folder.display()
        ));
    }
}

fn rows_done(state: &Path) -> Option<u64> {
    let connection = Connection::open_with_flags(state, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let sql =
        "SELECT coalesce(sum(json_extract(progress, '$.rows')), 0) FROM split WHERE progress IS NOT NULL";
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

fn customer(path: &Path, columns: &str) -> rusqlite::Result<String> {
    let sql = format!("SELECT {columns} FROM customers WHERE id = 5");
    Connection::open(path)?.query_row(&sql, [], |row| {
        let fields: rusqlite::Result<Vec<String>> =
            (0..columns.split(',').count()).map(|at| row.get::<_, String>(at)).collect();
        Ok(fields?.join(" | "))
    })
}

fn make_shop(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, phone TEXT,
            password TEXT NOT NULL, joined DATE NOT NULL, note TEXT);
         CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price DECIMAL_TEXT(10,2) NOT NULL,
            attributes JSON_TEXT, picture BLOB);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers,
            status TEXT NOT NULL, placed_at TIMESTAMP NOT NULL, total DECIMAL_TEXT(12,2) NOT NULL, paid BOOLEAN NOT NULL);
         CREATE TABLE order_items (order_id INTEGER NOT NULL REFERENCES orders, line INTEGER NOT NULL,
            product_id INTEGER NOT NULL REFERENCES products, quantity INTEGER NOT NULL,
            PRIMARY KEY (order_id, line)) WITHOUT ROWID;",
    )?;
    fill_shop(&transaction)?;
    transaction.commit()
}

/// Values that are easy to get wrong somewhere between here and there.
const NASTY: &[&str] = &[
    "",
    "O'Brien \"Bob\"",
    "line\nbreak\ttab",
    "e\u{301}clair 🚀",
    "NULL",
    "\\N",
    "Robert'); DROP TABLE orders;--",
    "ÿ\u{0}ÿ",
];

fn fill_shop(shop: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = shop.prepare("INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for id in 1..=CUSTOMERS {
        // A few share an address: hashed, they still do.
        let email = format!("customer{}@example.com", id % 2_900);
        let phone = (id % 7 != 0).then(|| format!("+49 30 {:07}", id * 7_919 % 9_999_999));
        let note = (id % 5 == 0).then(|| NASTY[(id / 5) as usize % NASTY.len()]);
        let joined = format!("20{:02}-{:02}-{:02}", 10 + id % 15, 1 + id % 12, 1 + id % 28);
        statement.execute(params![
            id,
            format!("Customer {id} Müller"),
            email,
            phone,
            format!("secret{id}"),
            joined,
            note
        ])?;
    }
    let mut statement = shop.prepare("INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for id in 1..=PRODUCTS {
        let attributes = format!("{{\"size\": {}, \"serial\": 9007199254740993}}", id % 50);
        let picture: Vec<u8> = (0..id % 40).map(|at| ((id * 31 + at * 17) % 256) as u8).collect();
        let price = format!("{}.{:02}", id * 37 % 900, id * 13 % 100);
        statement.execute(params![id, format!("Product {id} №{}", id % 9), price, attributes, picture])?;
    }
    let mut statement = shop.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for id in 1..=ORDERS {
        let status = ["new", "paid", "shipped", "void"][(id % 13 % 4) as usize];
        let placed_at = format!(
            "20{:02}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}",
            20 + id % 6,
            1 + id % 12,
            1 + id % 28,
            id % 24,
            id % 60,
            id % 59,
            id * 97 % 1_000_000
        );
        let total = format!("{}.{:02}", id * 7_919 % 100_000, id % 100);
        statement.execute(params![id, 1 + id % CUSTOMERS, status, placed_at, total, id % 3 == 0])?;
    }
    let mut statement = shop.prepare("INSERT INTO order_items VALUES (?1, ?2, ?3, ?4)")?;
    for item in 0..ITEMS {
        statement.execute(params![1 + item / 2, 1 + item % 2, 1 + item * 31 % PRODUCTS, 1 + item % 9])?;
    }
    Ok(())
}
