//! A MySQL or MariaDB end: a database of a server with odd settings, and what its tables hold in the
//! server's own text.

use std::{collections::BTreeMap, sync::OnceLock};

use syncline_testkit::servers::mysql::{self, Database, Product};

use crate::{own::text_of, wide::Held};

/// A text or number by its bytes, so that the client's escapes and line ends take no part.
const ALL_IN_UTF8: &str = "HEX(CONVERT({} USING utf8mb4))";

/// What the servers take at once.
const PACKET_BYTES: u32 = 128 << 20;

/// A column of a table.
#[derive(Clone, Debug)]
struct Column {
    /// Its type in one form for all servers: without the width that a number is shown with.
    declared: String,
    /// Character set and collation, of a text.
    collation: String,
}

/// What texts have by default, in either product.
const DEFAULT_COLLATIONS: &[&str] = &["utf8mb4_0900_ai_ci", "utf8mb4_general_ci"];

impl Column {
    /// Its type, with character set and collation where they are not the default.
    fn shown(&self) -> String {
        match self.collation.split_once(' ') {
            Some((_, collation)) if !DEFAULT_COLLATIONS.contains(&collation) => {
                format!("{} {}", self.declared, self.collation)
            }
            _ => self.declared.clone(),
        }
    }
}

/// An empty database of the product's server. What the server takes for the time zone, and how it
/// reads statements, is not what anybody would expect.
pub(crate) fn database(product: Product) -> Database {
    static ODD: [OnceLock<()>; 2] = [OnceLock::new(), OnceLock::new()];
    let server = mysql::shared(product);
    ODD[usize::from(product == Product::Mariadb)].get_or_init(|| {
        let modes = "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES";
        // MariaDB's own limit is below the largest values here.
        server.sql(
            "mysql",
            &format!(
                "SET GLOBAL time_zone = '-07:30', GLOBAL sql_mode = '{modes}', GLOBAL max_allowed_packet = {PACKET_BYTES}"
            ),
        );
    });
    server.database(&server.create_database())
}

/// Runs statements in UTC, where what is no day may be stored.
pub(crate) fn run(database: &Database, sql: &str) -> String {
    database.sql(&format!("SET time_zone = '+00:00', sql_mode = '';\n{sql}"))
}

/// What a table holds, but for its column `id`: the values that are not NULL, as the server's own text.
pub(crate) fn held(database: &Database, table: &str) -> Held {
    let is_mariadb = database.sql("SELECT VERSION() LIKE '%MariaDB%'") == "1";
    let columns = columns(database, table, is_mariadb);
    let mut held = Held::default();
    for (name, column) in &columns {
        held.columns.insert(name.clone(), (column.shown(), BTreeMap::new()));
    }
    let reads = columns.iter().map(|(name, Column { declared, .. })| {
        let shown = shown(name, declared, is_mariadb);
        format!("SELECT '{name}', id, {shown} FROM {table} WHERE {name} IS NOT NULL;\n")
    });
    let told = run(database, &format!("SELECT COUNT(*) FROM {table};\n{}", reads.collect::<String>()));
    let (rows, told) = told.split_once('\n').unwrap_or((told.as_str(), ""));
    held.rows = rows.parse().expect("a count is a number");
    for line in told.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, id, value] = fields[..] else { panic!("three columns were asked for: {line}") };
        let (_, values) = held.columns.get_mut(name).expect("it was asked for");
        let id = id.parse().expect("every table has numbers for its rows");
        let value = in_one_form(&columns[name].declared, text_of(value));
        assert!(values.insert(id, value).is_none(), "{line} is there twice");
    }
    held
}

fn columns(database: &Database, table: &str, is_mariadb: bool) -> BTreeMap<String, Column> {
    let (schema, collation) =
        (database.name(), "COALESCE(CONCAT(CHARACTER_SET_NAME, ' ', COLLATION_NAME), '')");
    // MariaDB's JSON is a text with a condition.
    let json = if is_mariadb {
        format!(
            "COLUMN_NAME IN (SELECT CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS
             WHERE CONSTRAINT_SCHEMA = '{schema}' AND TABLE_NAME = '{table}' AND CHECK_CLAUSE LIKE 'json_valid(%')"
        )
    } else {
        "FALSE".to_owned()
    };
    let sql = format!(
        "SELECT COLUMN_NAME, HEX(COLUMN_TYPE), {collation}, {json} FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = '{table}' AND COLUMN_NAME <> 'id'"
    );
    let told = run(database, &sql);
    let column = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, declared, collation, json] = fields[..] else {
            panic!("four columns were asked for: {line}")
        };
        let column = match json {
            "1" => Column { declared: "json".to_owned(), collation: String::new() },
            _ => Column { declared: one_form(&text_of(declared)), collation: collation.to_owned() },
        };
        (name.to_owned(), column)
    };
    told.lines().map(column).collect()
}

/// What makes a text of a column's values that tells all of them apart.
fn shown(name: &str, declared: &str, is_mariadb: bool) -> String {
    let base = declared.split(['(', ' ']).next().unwrap_or_default();
    let expression = match base {
        // Six digits are not all of a `float`.
        "float" => format!("CAST({name} AS DOUBLE)"),
        "bit" => format!("LPAD(BIN({name}), {}, '0')", declared.trim_matches(|c: char| !c.is_ascii_digit())),
        // Without the zeros in front that some are shown with.
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => format!("{name} + 0"),
        "vector" if is_mariadb => format!("VEC_ToText({name})"),
        "vector" => format!("VECTOR_TO_STRING({name})"),
        _ if is_bytes(base) => return format!("CONCAT(HEX('\\\\x'), HEX(LOWER(HEX({name}))))"),
        _ => name.to_owned(),
    };
    ALL_IN_UTF8.replace("{}", &expression)
}

fn is_bytes(base: &str) -> bool {
    let shapes =
        ["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"];
    base.ends_with("blob") || base.ends_with("binary") || shapes.contains(&base) || base.starts_with("geom")
}

/// Without the zeros that only fill a fraction up, and floats in the shortest form.
fn in_one_form(declared: &str, text: String) -> String {
    match declared.split(['(', ' ']).next().unwrap_or_default() {
        "datetime" | "timestamp" | "time" if text.contains('.') => {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        "float" | "double" => format!("{:?}", text.parse::<f64>().expect("the server writes a float")),
        _ => text,
    }
}

fn one_form(declared: &str) -> String {
    let Some((name, rest)) = declared.split_once('(') else { return declared.to_owned() };
    let (_, after) = rest.split_once(')').unwrap_or_default();
    match name {
        "tinyint" if declared == "tinyint(1)" => declared.to_owned(),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => {
            format!("{name}{}", after.replace(" zerofill", ""))
        }
        _ => declared.to_owned(),
    }
}
