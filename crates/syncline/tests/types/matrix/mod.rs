//! The table of types: what a value is at each end.
//!
//! A [`Case`] is a column type of PostgreSQL and what becomes of it in the others; a [`Native`] is a
//! declared type of SQLite and what becomes of it in PostgreSQL, a [`MysqlType`] one of MySQL or MariaDB and
//! what becomes of it in both. A connector that comes later adds an
//! [`End`] to each case (`.at(...)`) and its own native types.

mod abroad;
mod mysql;
mod native;
mod numbers;
mod special;
mod texts;
mod times;

pub(crate) use abroad::Abroad;
pub(crate) use mysql::{Elsewhere, MysqlType, MysqlValue, mysql_types};
pub(crate) use native::natives;

/// The code of a value that a target cannot hold.
pub(crate) const REFUSED: &str = "SYN-4001";
/// The code of a value that its source cannot hand out.
pub(crate) const UNREADABLE: &str = "SYN-4002";

/// What SQLite keeps a value as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Integer,
    Real,
    Text,
    Blob,
}

/// A column type of PostgreSQL.
pub(crate) struct Case {
    /// The table's name.
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    /// What makes the types it needs.
    pub(crate) preamble: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) sqlite: End,
    pub(crate) mysql: Abroad,
}

/// What a column type becomes elsewhere.
pub(crate) struct End {
    pub(crate) declared: &'static str,
    pub(crate) class: Class,
    /// The type in PostgreSQL that it comes back as.
    pub(crate) back: &'static str,
    /// What the plan warns of.
    pub(crate) warned: Option<&'static str>,
}

/// A value of a case.
pub(crate) struct Value {
    /// As PostgreSQL reads it.
    pub(crate) literal: String,
    pub(crate) fate: Fate,
}

/// What becomes of a value on its way out of PostgreSQL.
pub(crate) enum Fate {
    /// SQLite keeps this, and PostgreSQL gets back what it had.
    Kept(String),
    /// SQLite keeps something that is not quite the same, and PostgreSQL gets this back.
    Altered { kept: String, back: &'static str },
    /// SQLite cannot hold it.
    Refused,
    /// It cannot leave PostgreSQL at all.
    Unreadable,
}

impl Case {
    fn new(
        name: &'static str,
        declared: &'static str,
        (at_sqlite, class): (&'static str, Class),
        back: &'static str,
    ) -> Self {
        let sqlite = End { declared: at_sqlite, class, back, warned: None };
        let mysql = Abroad::default();
        Case { name, declared, preamble: "", values: vec![], sqlite, mysql }
    }

    /// A type that only PostgreSQL knows: its text travels, and the plan says so.
    fn opaque(name: &'static str, declared: &'static str, texts: &[&str]) -> Self {
        let mut case = Case::new(name, declared, ("TEXT", Class::Text), "text").same(texts);
        case.sqlite.warned = Some("is kept as the text that its source writes");
        case
    }

    fn with(mut self, preamble: &'static str) -> Self {
        self.preamble = preamble;
        self
    }

    fn value(mut self, literal: &str, fate: Fate) -> Self {
        self.values.push(Value { literal: literal.to_owned(), fate });
        self
    }

    /// Values that SQLite keeps as they are written here.
    fn same(self, literals: &[&str]) -> Self {
        literals.iter().fold(self, |case, literal| case.value(literal, Fate::Kept((*literal).to_owned())))
    }

    /// Values, and what SQLite keeps of each.
    fn kept(self, values: &[(&str, &str)]) -> Self {
        values.iter().fold(self, |case, (literal, kept)| case.value(literal, Fate::Kept((*kept).to_owned())))
    }

    fn altered(self, literal: &str, kept: &str, back: &'static str) -> Self {
        self.value(literal, Fate::Altered { kept: kept.to_owned(), back })
    }

    fn refused(self, literals: &[&str]) -> Self {
        literals.iter().fold(self, |case, literal| case.value(literal, Fate::Refused))
    }

    fn unreadable(self, literals: &[&str]) -> Self {
        literals.iter().fold(self, |case, literal| case.value(literal, Fate::Unreadable))
    }

    /// Its values as they are written here.
    pub(crate) fn literals(&self) -> Vec<String> {
        self.values.iter().map(|value| value.literal.clone()).collect()
    }

    /// How many of its values meet this fate.
    pub(crate) fn count(&self, of: impl Fn(&Fate) -> bool) -> u64 {
        self.values.iter().filter(|value| of(&value.fate)).count() as u64
    }
}

/// All column types of PostgreSQL.
pub(crate) fn cases() -> Vec<Case> {
    [numbers::cases(), texts::cases(), times::cases(), special::cases()].into_iter().flatten().collect()
}

/// A column type of SQLite.
pub(crate) struct Native {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    /// What follows the columns, as in `STRICT`.
    pub(crate) suffix: &'static str,
    /// Its type in PostgreSQL.
    pub(crate) postgres: &'static str,
    /// Its declared type in another SQLite file, where that is not the same.
    pub(crate) copied: Option<&'static str>,
    /// What the plan warns of.
    pub(crate) warned: Option<&'static str>,
    pub(crate) values: Vec<NativeValue>,
}

/// A value of SQLite.
pub(crate) struct NativeValue {
    /// As an SQL expression.
    pub(crate) sql: &'static str,
    /// PostgreSQL's text of it, or the code by which its row is rejected.
    pub(crate) postgres: Result<&'static str, &'static str>,
    /// What another SQLite file gets.
    pub(crate) sqlite: Copied,
}

/// What another SQLite file gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// The same, to the storage class.
    Same,
    /// The same value, written as in this expression.
    As(&'static str),
    /// Nothing: the row is rejected.
    Rejected(&'static str),
}

impl Native {
    fn new(name: &'static str, declared: &'static str, postgres: &'static str) -> Self {
        Native { name, declared, suffix: "", postgres, copied: None, warned: None, values: vec![] }
    }

    /// Its values as they are written here.
    pub(crate) fn literals(&self) -> Vec<String> {
        self.values.iter().map(|value| value.sql.to_owned()).collect()
    }

    fn suffix(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    /// Another file gets it as another type.
    fn copied(mut self, declared: &'static str) -> Self {
        self.copied = Some(declared);
        self
    }

    fn warned(mut self, words: &'static str) -> Self {
        self.warned = Some(words);
        self
    }

    fn value(
        mut self,
        sql: &'static str,
        postgres: Result<&'static str, &'static str>,
        sqlite: Copied,
    ) -> Self {
        self.values.push(NativeValue { sql, postgres, sqlite });
        self
    }

    /// Values that arrive, and PostgreSQL's text of each.
    fn arrive(self, values: &[(&'static str, &'static str)]) -> Self {
        values.iter().fold(self, |native, (sql, text)| native.value(sql, Ok(text), Copied::Same))
    }

    /// A value that arrives, and how another file writes it.
    fn rewritten(self, sql: &'static str, text: &'static str, copied: &'static str) -> Self {
        self.value(sql, Ok(text), Copied::As(copied))
    }

    /// Values that are not of their column's type.
    fn unreadable(self, values: &[&'static str]) -> Self {
        values
            .iter()
            .fold(self, |native, sql| native.value(sql, Err(UNREADABLE), Copied::Rejected(UNREADABLE)))
    }
}
