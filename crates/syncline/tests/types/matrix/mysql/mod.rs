//! MySQL's and MariaDB's own types: what is declared, and what becomes of it elsewhere.

mod numbers;
mod special;
mod texts;
mod times;

use syncline_testkit::servers::mysql::Product;

use super::{Class, REFUSED, UNREADABLE};

/// A column type of MySQL and MariaDB.
pub(crate) struct MysqlType {
    /// The column's name.
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    /// The product that has it, where only one does.
    only: Option<Product>,
    /// Its type in PostgreSQL.
    pub(crate) postgres: &'static str,
    /// Its declared type in SQLite.
    pub(crate) sqlite: &'static str,
    /// What SQLite keeps its values as.
    pub(crate) class: Class,
    /// What the other product makes of it, where it has no such type; the plan warns of that.
    pub(crate) crossed: Option<&'static str>,
    /// What the plan warns of when SQLite is to keep it.
    pub(crate) warned: Option<&'static str>,
    pub(crate) values: Vec<MysqlValue>,
}

/// A value of MySQL.
pub(crate) struct MysqlValue {
    /// As an SQL expression, in a session in UTC.
    pub(crate) sql: String,
    /// PostgreSQL's text of it, or the code by which its row is rejected.
    pub(crate) postgres: Result<String, &'static str>,
    /// The same of SQLite, its text read as the type's class.
    pub(crate) sqlite: Result<String, &'static str>,
    /// What another server gets, where that is not the very same.
    pub(crate) elsewhere: Elsewhere,
}

/// What becomes of a value in another server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elsewhere {
    /// It is the same everywhere.
    Same,
    /// Its row is rejected, whatever the other server is.
    Rejected(&'static str),
    /// The other product gets this, or rejects it.
    Crossed(Result<&'static str, &'static str>),
}

/// All types of a product.
pub(crate) fn mysql_types(product: Product) -> Vec<MysqlType> {
    let all = [numbers::types(), texts::types(), times::types(), special::types()];
    all.into_iter().flatten().filter(|one| one.only.is_none_or(|only| only == product)).collect()
}

impl MysqlType {
    fn new(
        name: &'static str,
        declared: &'static str,
        postgres: &'static str,
        (sqlite, class): (&'static str, Class),
    ) -> Self {
        MysqlType {
            name,
            declared,
            only: None,
            postgres,
            sqlite,
            class,
            crossed: None,
            warned: None,
            values: vec![],
        }
    }

    /// A type that only these servers know: its text travels, and the plan says so.
    fn opaque(name: &'static str, declared: &'static str) -> Self {
        let warned = Some("is kept as the text that its source writes");
        MysqlType { warned, ..MysqlType::new(name, declared, "text", ("TEXT", Class::Text)) }
    }

    fn on(mut self, product: Product) -> Self {
        self.only = Some(product);
        self
    }

    /// The other product gets it as another type.
    fn crossed(mut self, declared: &'static str) -> Self {
        self.crossed = Some(declared);
        self
    }

    fn value(
        mut self,
        sql: &str,
        postgres: Result<&str, &'static str>,
        sqlite: Result<&str, &'static str>,
    ) -> Self {
        let (postgres, sqlite) = (postgres.map(str::to_owned), sqlite.map(str::to_owned));
        self.values.push(MysqlValue { sql: sql.to_owned(), postgres, sqlite, elsewhere: Elsewhere::Same });
        self
    }

    /// Values, and their text in both.
    fn arrive(self, values: &[(&str, &str)]) -> Self {
        values.iter().fold(self, |one, (sql, text)| one.value(sql, Ok(text), Ok(text)))
    }

    /// Values, PostgreSQL's text of each, and what SQLite keeps.
    fn kept(self, values: &[(&str, &str, &str)]) -> Self {
        values.iter().fold(self, |one, (sql, text, kept)| one.value(sql, Ok(text), Ok(kept)))
    }

    /// Values that are not of their column's type, so that their source cannot hand them out.
    fn unreadable(mut self, values: &[&str]) -> Self {
        for sql in values {
            self =
                self.value(sql, Err(UNREADABLE), Err(UNREADABLE)).elsewhere(Elsewhere::Rejected(UNREADABLE));
        }
        self
    }

    /// No other server gets the value before.
    fn stays(self) -> Self {
        self.elsewhere(Elsewhere::Rejected(REFUSED))
    }

    /// What the other product gets of the value before.
    fn crossing(self, crossed: Result<&'static str, &'static str>) -> Self {
        self.elsewhere(Elsewhere::Crossed(crossed))
    }

    fn elsewhere(mut self, elsewhere: Elsewhere) -> Self {
        self.values.last_mut().expect("there is a value before").elsewhere = elsewhere;
        self
    }
}
