//! What is written at the source, and what holds at every moment of it: money only moves, an order's total
//! is that of its items, and each writer's clock goes forward.

use syncline_testkit::seed::Rng;

/// Who writes at the same time. Each has orders, documents and moves of its own.
pub(crate) const WRITERS: u64 = 2;

const ACCOUNTS: u64 = 100;
const BALANCE: u64 = 1_000;
/// Long enough to be kept apart from the row, and not to be told by an update that leaves it alone.
const LONG_BYTES: u64 = 6_000;
/// Added to an order's number when it moves.
const ARCHIVE: u64 = 1_000_000_000;

/// The tables, with the order in which their rows are compared.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("accounts", "id"),
    ("moves", "id"),
    ("orders", "id"),
    ("items", "order_id, number"),
    ("documents", "id"),
    ("scratch", "id"),
    ("clock", "writer"),
];

/// What makes them.
pub(crate) fn tables() -> String {
    let mut sql = "CREATE TABLE accounts (id int NOT NULL PRIMARY KEY, balance bigint NOT NULL, note text);
        CREATE TABLE moves (id bigint NOT NULL PRIMARY KEY, a int NOT NULL, b int NOT NULL, n int NOT NULL);
        CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, items int NOT NULL, total bigint NOT NULL, note varchar(60));
        CREATE TABLE items (order_id bigint NOT NULL, number int NOT NULL, amount int NOT NULL, PRIMARY KEY (order_id, number));
        CREATE TABLE documents (id varchar(40) NOT NULL PRIMARY KEY, version int NOT NULL, body text);
        CREATE TABLE scratch (id int NOT NULL PRIMARY KEY, v varchar(20));
        CREATE TABLE clock (writer int NOT NULL PRIMARY KEY, tick bigint NOT NULL);\n"
        .to_owned();
    let accounts: Vec<String> = (1..=ACCOUNTS).map(|id| format!("({id}, {BALANCE}, NULL)")).collect();
    sql += &format!("INSERT INTO accounts VALUES {};\n", accounts.join(", "));
    let clocks: Vec<String> = (0..WRITERS).map(|writer| format!("({writer}, 0)")).collect();
    sql + &format!("INSERT INTO clock VALUES {};\n", clocks.join(", "))
}

/// One line: what has to be as [`expected`] says, then each writer's clock.
pub(crate) fn invariant() -> String {
    let clocks: Vec<String> =
        (0..WRITERS).map(|writer| format!("(SELECT tick FROM clock WHERE writer = {writer})")).collect();
    format!(
        "SELECT (SELECT sum(balance) FROM accounts), (SELECT count(*) FROM accounts),
           (SELECT coalesce(sum(total), 0) FROM orders) - (SELECT coalesce(sum(amount), 0) FROM items),
           (SELECT coalesce(sum(items), 0) FROM orders) - (SELECT count(*) FROM items), {}",
        clocks.join(", ")
    )
}

/// What [`invariant`] begins with at any moment of the source.
pub(crate) fn expected() -> String {
    format!("{}|{ACCOUNTS}|0|0|", ACCOUNTS * BALANCE)
}

/// Makes up transactions. What they do depends on nothing but the seed, whatever has become of those before.
pub(crate) struct Writer {
    number: u64,
    random: Rng,
    /// Orders, documents and moves so far.
    count: u64,
}

impl Writer {
    pub(crate) fn new(number: u64, random: Rng) -> Self {
        Writer { number, random, count: 0 }
    }

    /// A number that no other writer has and this one never had.
    fn fresh(&mut self) -> u64 {
        self.count += 1;
        self.count * WRITERS + self.number
    }

    /// One of the latest numbers; what had it may be gone.
    fn earlier(&mut self) -> u64 {
        let back = self.random.below(60).min(self.count.saturating_sub(1));
        (self.count - back) * WRITERS + self.number
    }

    fn text(&mut self, bytes: u64) -> String {
        (0..bytes / 16 + 1).map(|_| format!("{:016x}", self.random.next_u64())).collect()
    }

    /// One of each kind.
    pub(crate) fn each(&mut self) -> Vec<String> {
        (0..KINDS).map(|kind| self.transaction(kind, false)).collect()
    }

    /// A random one. It may empty a table at once where that `truncates`.
    pub(crate) fn next(&mut self, truncates: bool) -> String {
        let kind = self.random.below(KINDS);
        // Rows by the thousand are rare, and half of all is money that moves.
        let kind = match kind {
            BIG if !self.random.one_in(10) => TRANSFER,
            _ if self.random.one_in(2) => TRANSFER,
            kind => kind,
        };
        self.transaction(kind, truncates)
    }

    fn transaction(&mut self, kind: u64, truncates: bool) -> String {
        if kind == UNDONE {
            return "BEGIN; UPDATE accounts SET balance = 0; DELETE FROM documents; ROLLBACK;\n".to_owned();
        }
        let sql = match kind {
            ORDER => self.order(),
            ORDER_CHANGED => self.order_changed(),
            ORDER_MOVED => self.order_moved(),
            ORDER_GONE => self.order_gone(),
            DOCUMENT => self.document(),
            DOCUMENT_CHANGED => self.document_changed(),
            SCRATCH => self.scratch(truncates),
            BIG => self.big(),
            _ => self.transfer(),
        };
        format!("BEGIN; {sql} UPDATE clock SET tick = tick + 1 WHERE writer = {}; COMMIT;\n", self.number)
    }

    fn transfer(&mut self) -> String {
        let (id, n) = (self.fresh(), self.random.below(50));
        let (a, b) = (1 + self.random.below(ACCOUNTS), 1 + self.random.below(ACCOUNTS));
        // In one order, so that no two writers wait for each other.
        let mut both = [(a, format!("- {n}")), (b, format!("+ {n}"))];
        both.sort();
        let updates =
            both.map(|(id, by)| format!("UPDATE accounts SET balance = balance {by} WHERE id = {id};"));
        let old = id.saturating_sub(2_000);
        format!(
            "{} INSERT INTO moves VALUES ({id}, {a}, {b}, {n}); DELETE FROM moves WHERE id = {old};",
            updates.concat()
        )
    }

    fn order(&mut self) -> String {
        let (id, count) = (self.fresh(), 1 + self.random.below(6));
        let amounts: Vec<u64> = (0..count).map(|_| self.random.below(1_000)).collect();
        let items: Vec<String> =
            amounts.iter().zip(1..).map(|(amount, number)| format!("({id}, {number}, {amount})")).collect();
        format!(
            "INSERT INTO orders VALUES ({id}, {count}, {}, NULL); INSERT INTO items VALUES {};",
            amounts.iter().sum::<u64>(),
            items.join(", ")
        )
    }

    fn order_changed(&mut self) -> String {
        let (id, more) = (self.earlier(), self.random.below(100));
        format!(
            "UPDATE items SET amount = amount + {more} WHERE order_id = {id} AND number = 1;
             UPDATE orders SET total = total + {more}, note = 'grün {more}' WHERE id = {id};"
        )
    }

    /// Its rows have other keys afterwards.
    fn order_moved(&mut self) -> String {
        let id = self.earlier();
        format!(
            "UPDATE orders SET id = id + {ARCHIVE} WHERE id = {id};
             UPDATE items SET order_id = order_id + {ARCHIVE} WHERE order_id = {id};"
        )
    }

    fn order_gone(&mut self) -> String {
        let id = self.earlier();
        let id = if self.random.one_in(2) { id } else { id + ARCHIVE };
        format!("DELETE FROM items WHERE order_id = {id}; DELETE FROM orders WHERE id = {id};")
    }

    fn document(&mut self) -> String {
        let (id, old, body) = (self.fresh(), self.count.saturating_sub(300), self.text(LONG_BYTES));
        let old = old * WRITERS + self.number;
        format!(
            "INSERT INTO documents VALUES ('d{id}', 1, '{body}');
             DELETE FROM documents WHERE id IN ('d{old}', 'm{old}');"
        )
    }

    /// Long texts stay, change and go, alone and after one another, also under another key.
    fn document_changed(&mut self) -> String {
        let (id, body) = (self.earlier(), self.text(LONG_BYTES));
        let touch = format!("UPDATE documents SET version = version + 1 WHERE id = 'd{id}';");
        match self.random.below(6) {
            0 => touch,
            1 => format!("UPDATE documents SET body = '{body}' WHERE id = 'd{id}'; {touch} {touch}"),
            2 => format!("{touch} UPDATE documents SET body = NULL WHERE id = 'd{id}';"),
            3 => format!("{touch} UPDATE documents SET id = 'm{id}', body = '{body}' WHERE id = 'd{id}';"),
            4 => format!("{touch} UPDATE documents SET id = 'm{id}' WHERE id = 'd{id}'; {touch}"),
            _ => format!(
                "DELETE FROM documents WHERE id = 'd{id}'; INSERT INTO documents VALUES ('d{id}', 0, NULL); {touch}"
            ),
        }
    }

    fn scratch(&mut self, truncates: bool) -> String {
        let empty = if truncates { "TRUNCATE scratch;" } else { "DELETE FROM scratch;" };
        let empty = if self.random.one_in(8) { empty } else { "" };
        let id = self.random.below(30);
        format!(
            "{empty} DELETE FROM scratch WHERE id = {id}; INSERT INTO scratch VALUES ({id}, 'w{}');",
            self.number
        )
    }

    /// Thousands of rows, half of which go again.
    fn big(&mut self) -> String {
        let rows: Vec<String> = (0..2_000).map(|_| format!("({}, 1, 2, 0)", self.fresh())).collect();
        let middle = (self.count - 1_000) * WRITERS;
        format!(
            "INSERT INTO moves VALUES {}; DELETE FROM moves WHERE id > {middle} AND id % {WRITERS} = {};
             UPDATE moves SET n = n + 1 WHERE id > {} AND id % {WRITERS} = {};",
            rows.join(", "),
            self.number,
            middle.saturating_sub(500),
            self.number
        )
    }
}

const TRANSFER: u64 = 0;
const ORDER: u64 = 1;
const ORDER_CHANGED: u64 = 2;
const ORDER_MOVED: u64 = 3;
const ORDER_GONE: u64 = 4;
const DOCUMENT: u64 = 5;
const DOCUMENT_CHANGED: u64 = 6;
const SCRATCH: u64 = 7;
const BIG: u64 = 8;
const UNDONE: u64 = 9;
const KINDS: u64 = 10;
