//! What types of PostgreSQL and of SQLite are in MySQL and MariaDB, and what comes back.

use syncline_testkit::servers::mysql::Product;

use super::{Case, Fate, Native, NativeValue, REFUSED, UNREADABLE, Value};

/// What a column type becomes in MySQL and MariaDB. A value meets the fate there that it meets in
/// SQLite, where nothing else is said.
pub(crate) struct Abroad {
    pub(crate) declared: &'static str,
    /// The type in PostgreSQL that it comes back as.
    pub(crate) back: &'static str,
    odd: Vec<Odd>,
}

/// A value that fares otherwise in MySQL.
struct Odd {
    literal: String,
    /// The product that it is about; `None`: both.
    only: Option<Product>,
    /// What is kept of it, or that it is refused.
    kept: Result<String, &'static str>,
    /// What PostgreSQL gets back, where that is not what it had, or what is kept, where that is a text.
    back: Option<Back>,
}

/// PostgreSQL's text of a value that comes back, or the code by which its row is rejected there.
pub(crate) type Back = Result<String, &'static str>;

/// The text of a value, or the code by which its row is rejected.
type Told<'a> = Result<&'a str, &'static str>;

/// What becomes of a value in MySQL: its text there, and what comes back; or the code by which its row
/// is rejected.
pub(crate) type Stay = Result<(String, Option<Back>), &'static str>;

impl Default for Abroad {
    /// Text, as of everything that only its source knows.
    fn default() -> Self {
        Abroad { declared: "longtext", back: "text", odd: vec![] }
    }
}

impl Case {
    /// What it is in MySQL and MariaDB, and in PostgreSQL when it comes back from there.
    pub(super) fn mysql(mut self, declared: &'static str, back: &'static str) -> Self {
        (self.mysql.declared, self.mysql.back) = (declared, back);
        self
    }

    fn odd(
        mut self,
        only: Option<Product>,
        literal: &str,
        kept: Result<&str, &'static str>,
        back: Option<Back>,
    ) -> Self {
        self.mysql.odd.push(Odd { literal: literal.to_owned(), only, kept: kept.map(str::to_owned), back });
        self
    }

    /// Values that MySQL has no place for.
    pub(super) fn mysql_refuses(self, literals: &[&str]) -> Self {
        literals.iter().fold(self, |case, literal| case.odd(None, literal, Err(REFUSED), None))
    }

    /// Values that MySQL keeps as this, and what comes back.
    pub(super) fn mysql_keeps(self, values: &[(&str, &str, &str)]) -> Self {
        let back = |back: &str| Some(Ok(back.to_owned()));
        values.iter().fold(self, |case, (literal, kept, text)| case.odd(None, literal, Ok(kept), back(text)))
    }

    /// Documents that MySQL, but not MariaDB, writes in its own way or refuses.
    pub(super) fn json_of_mysql(self, values: &[(&str, Told<'_>, Told<'_>)]) -> Self {
        values.iter().fold(self, |case, (literal, kept, back)| {
            case.odd(Some(Product::Mysql), literal, *kept, Some(back.map(str::to_owned)))
        })
    }

    /// A zero whose sign MariaDB drops.
    pub(super) fn unsigned_in_mariadb(self, literal: &str) -> Self {
        self.odd(Some(Product::Mariadb), literal, Ok("0"), Some(Ok("0".to_owned())))
    }

    /// What becomes of a value in MySQL.
    pub(crate) fn stay(&self, value: &Value, product: Product) -> Stay {
        let odd = self
            .mysql
            .odd
            .iter()
            .find(|odd| odd.literal == value.literal && odd.only.is_none_or(|only| only == product));
        if let Some(Odd { kept, back, .. }) = odd {
            return Ok((kept.clone()?, back.clone()));
        }
        match &value.fate {
            Fate::Kept(kept) => Ok((kept.clone(), None)),
            // Here everything is kept that only SQLite alters.
            Fate::Altered { .. } => Ok((value.literal.clone(), None)),
            Fate::Refused => Err(REFUSED),
            Fate::Unreadable => Err(UNREADABLE),
        }
    }
}

/// What MySQL makes of a column of SQLite that PostgreSQL makes this of.
const OF_SQLITE: &[(&str, &str)] = &[
    ("bigint", "bigint"),
    ("double precision", "double"),
    ("real", "float"),
    ("text", "longtext"),
    ("bytea", "longblob"),
    ("boolean", "tinyint(1)"),
    ("numeric", "longtext"),
    ("numeric(10,2)", "decimal(10,2)"),
    ("numeric(30,2)", "decimal(30,2)"),
    ("json", "json"),
    ("uuid", "char(36) ascii ascii_bin"),
    ("bit(3)", "bit(3)"),
    ("interval", "longtext"),
    ("date", "date"),
    ("timestamp without time zone", "datetime(6)"),
    ("timestamp(3) without time zone", "datetime(3)"),
    ("timestamp with time zone", "timestamp(6)"),
    ("time without time zone", "time(6)"),
];

/// Values of SQLite that MySQL keeps otherwise than PostgreSQL: type, value, and what it keeps.
const ODD_OF_SQLITE: &[(&str, &str, Result<&str, &str>)] = &[
    ("n_real", "9e999", Err(REFUSED)),
    ("n_real", "-9e999", Err(REFUSED)),
    ("n_text", "'a' || char(0) || 'b'", Ok("a\0b")),
    // Text, as it is read.
    ("n_any_numbers", "1e300", Ok("1e300")),
    ("n_numeric", "12345678901234567890", Ok("1.2345678901234567e19")),
    ("n_numeric", "1e-7", Ok("1e-7")),
    ("n_interval", "'P1Y2M3DT4H5M6.5S'", Ok("P1Y2M3DT4H5M6.5S")),
    ("n_interval", "'PT0S'", Ok("PT0S")),
    ("n_interval", "'P2W'", Ok("P14D")),
];

/// Documents of SQLite that MySQL, but not MariaDB, writes in its own way or refuses.
const JSON_OF_SQLITE: &[(&str, Result<&str, &str>)] =
    &[("'{\"b\": 1,  \"a\":1.10}'", Ok("{\"a\": 1.1, \"b\": 1}")), ("'[1e400]'", Err(REFUSED))];

impl Native {
    /// Its type in MySQL and MariaDB.
    pub(crate) fn mysql(&self) -> &'static str {
        let found = OF_SQLITE.iter().find(|(postgres, _)| *postgres == self.postgres);
        found.unwrap_or_else(|| panic!("{} is in no table", self.postgres)).1
    }

    /// What they keep of a value, or the code by which its row is rejected.
    pub(crate) fn stay(&self, value: &NativeValue, product: Product) -> Result<&'static str, &'static str> {
        let json = JSON_OF_SQLITE.iter().find(|(sql, _)| *sql == value.sql);
        if let Some((_, kept)) = json.filter(|_| self.postgres == "json" && product == Product::Mysql) {
            return *kept;
        }
        let odd = ODD_OF_SQLITE.iter().find(|(name, sql, _)| (*name, *sql) == (self.name, value.sql));
        match (odd, value.postgres) {
            (Some((_, _, kept)), _) => *kept,
            (None, Ok("t")) if self.postgres == "boolean" => Ok("1"),
            (None, Ok("f")) if self.postgres == "boolean" => Ok("0"),
            (None, postgres) => postgres,
        }
    }
}
