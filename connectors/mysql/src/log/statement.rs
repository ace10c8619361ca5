//! What a statement of the log does to tables, as far as that matters: which it changes in another way
//! than row by row.
//!
//! Statements hold values, so that nothing of their text is told but names that are known.

mod words;

use self::words::{Word, words};

/// A table, by its database where that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) database: Option<String>,
    pub(super) table: String,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// A transaction begins.
    Begin,
    /// It is through.
    Commit,
    /// It is taken back.
    Rollback,
    /// A part of it is taken back.
    RollbackTo,
    /// A transaction that was prepared before is through, or taken back: its name.
    CommitPrepared(String),
    RollbackPrepared(String),
    /// All rows go.
    Truncate(Named),
    /// The columns may be others, and the rows stay.
    Alter {
        table: Named,
        /// Columns that go or get another name, in lower case: where another one has come in the place of such
        /// a one, its values have not. Empty is a name that was not understood.
        lost: Vec<String>,
    },
    /// The tables are others than before, or have lost rows of which the log does not tell.
    Replaced(Vec<Named>),
    /// All tables of a database go.
    DropDatabase(String),
    /// Rows change, which the statement alone tells. Without tables nobody knows whose.
    Change(Vec<Named>),
    /// Nothing that matters here.
    Aside,
}

/// Reads a statement.
pub(super) fn statement(text: &[u8]) -> Statement {
    let text = String::from_utf8_lossy(text);
    let words = words(&text);
    let mut rest = Rest(&words);
    // Settings for this statement alone come first.
    if rest.skip("set") && rest.skip("statement") {
        while !rest.0.is_empty() && !rest.skip("for") {
            rest.step();
        }
    }
    match rest.statement() {
        // The name is not one of words.
        Statement::CommitPrepared(_) => Statement::CommitPrepared(behind(&text, "commit")),
        Statement::RollbackPrepared(_) => Statement::RollbackPrepared(behind(&text, "rollback")),
        statement => statement,
    }
}

/// What follows a word.
fn behind(text: &str, word: &str) -> String {
    let at = text.to_ascii_lowercase().find(word).map_or(text.len(), |at| at + word.len());
    text.get(at..).unwrap_or_default().trim().to_owned()
}

/// What a part of an ALTER does to columns.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Clause {
    Nothing,
    /// They may be others.
    Columns,
    /// This one goes, or gets another name.
    Lost(String),
}

/// The words that are left.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [Word<'a>]);

impl<'a> Rest<'a> {
    fn step(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.0.first(), Some(Word::Plain(plain)) if plain.eq_ignore_ascii_case(word))
    }

    /// Passes a word over, if it is there.
    fn skip(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.step();
        }
        found
    }

    fn skip_any(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.skip(word)) {}
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.0.first() == Some(&Word::Sign(sign));
        if found {
            self.step();
        }
        found
    }

    fn part(&mut self) -> Option<String> {
        let name = match self.0.first()? {
            Word::Plain(name) => (*name).to_owned(),
            Word::Quoted(name) => name.clone(),
            _ => return None,
        };
        self.step();
        Some(name)
    }

    fn name(&mut self) -> Option<Named> {
        let first = self.part()?;
        Some(match self.sign('.').then(|| self.part()).flatten() {
            Some(table) => Named { database: Some(first), table },
            None => Named { database: None, table: first },
        })
    }

    /// Names with commas between them.
    fn names(&mut self) -> Vec<Named> {
        let mut names: Vec<Named> = self.name().into_iter().collect();
        while self.sign(',') {
            names.extend(self.name());
        }
        names
    }

    /// Everything that could be the name of a table.
    fn mentioned(mut self) -> Vec<Named> {
        let mut names = vec![];
        while !self.0.is_empty() {
            match self.name() {
                Some(name) => names.push(name),
                None => self.step(),
            }
        }
        names
    }

    fn has(&self, word: &str) -> bool {
        (0..self.0.len()).any(|at| Rest(&self.0[at..]).is(word))
    }

    fn statement(mut self) -> Statement {
        let Some(Word::Plain(first)) = self.0.first() else { return Statement::Aside };
        let first = first.to_ascii_lowercase();
        self.step();
        match first.as_str() {
            "begin" => Statement::Begin,
            "start" if self.is("transaction") => Statement::Begin,
            "commit" => Statement::Commit,
            "rollback" => {
                self.skip_any(&["work"]);
                if self.is("to") { Statement::RollbackTo } else { Statement::Rollback }
            }
            "xa" if self.is("start") || self.is("begin") => Statement::Begin,
            "xa" if self.is("commit") => Statement::CommitPrepared(String::new()),
            "xa" if self.is("rollback") => Statement::RollbackPrepared(String::new()),
            "truncate" => {
                self.skip("table");
                self.name().map_or(Statement::Aside, Statement::Truncate)
            }
            "drop" => self.drop(),
            "rename" if self.skip("table") || self.skip("tables") => Statement::Replaced(self.mentioned()),
            "create" => self.create(),
            "alter" => self.alter(),
            "insert" | "replace" => {
                self.skip_any(&["low_priority", "high_priority", "delayed", "ignore", "into"]);
                Statement::Change(self.name().into_iter().collect())
            }
            "update" | "delete" | "with" | "load" => Statement::Change(self.mentioned()),
            // What they call may change anything.
            "call" | "do" | "select" => Statement::Change(vec![]),
            _ => Statement::Aside,
        }
    }

    fn drop(mut self) -> Statement {
        if self.skip("temporary") {
            return Statement::Aside;
        }
        if self.skip("table") || self.skip("tables") {
            self.skip_any(&["if", "exists"]);
            return Statement::Replaced(self.names());
        }
        if self.skip("database") || self.skip("schema") {
            self.skip_any(&["if", "exists"]);
            return self.part().map_or(Statement::Aside, Statement::DropDatabase);
        }
        Statement::Aside
    }

    fn create(mut self) -> Statement {
        let replaces = self.skip("or") && self.skip("replace");
        if self.skip("temporary") {
            return Statement::Aside;
        }
        // Where none was before no row of it is followed: one that was there has gone in another way.
        if replaces && self.skip("table") {
            return self.name().map_or(Statement::Aside, |name| Statement::Replaced(vec![name]));
        }
        Statement::Aside
    }

    fn alter(mut self) -> Statement {
        self.skip_any(&["online", "ignore"]);
        if !self.skip("table") {
            return Statement::Aside;
        }
        self.skip_any(&["if", "exists"]);
        let Some(table) = self.name() else { return Statement::Aside };
        let removes = self.has("partition")
            && ["drop", "truncate", "exchange", "convert"].iter().any(|word| self.has(word));
        let removes = removes || self.has("tablespace") && (self.has("discard") || self.has("import"));
        if removes || self.renames() {
            let mut names = self.mentioned();
            names.push(table);
            return Statement::Replaced(names);
        }
        let (mut lost, mut alters) = (vec![], false);
        for clause in self.clauses().into_iter().map(Rest::clause) {
            alters |= clause != Clause::Nothing;
            if let Clause::Lost(name) = clause {
                lost.push(name);
            }
        }
        if alters { Statement::Alter { table, lost } } else { Statement::Aside }
    }

    /// What stands between commas, of which those in brackets do not count.
    fn clauses(self) -> Vec<Rest<'a>> {
        let mut depth = 0_usize;
        let comma = |word: &Word<'_>| {
            match word {
                Word::Sign('(') => depth += 1,
                Word::Sign(')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *word == Word::Sign(',')
        };
        self.0.split(comma).map(Rest).collect()
    }

    /// What a clause of an ALTER does to columns.
    fn clause(mut self) -> Clause {
        const OF_INDEXES: [&str; 11] = [
            "index",
            "key",
            "unique",
            "fulltext",
            "spatial",
            "vector",
            "primary",
            "foreign",
            "constraint",
            "check",
            "partition",
        ];
        let indexes = |rest: &Rest<'_>| OF_INDEXES.iter().any(|word| rest.is(word));
        if self.skip("add") {
            return if indexes(&self) { Clause::Nothing } else { Clause::Columns };
        }
        if self.skip("drop") {
            return if indexes(&self) { Clause::Nothing } else { self.lost() };
        }
        if self.skip("rename") {
            return if self.is("column") { self.lost() } else { Clause::Nothing };
        }
        if self.skip("change") {
            self.skip_any(&["column", "if", "exists"]);
            let (old, new) = (self.part().unwrap_or_default().to_lowercase(), self.part());
            let same = new.is_some_and(|new| old == new.to_lowercase());
            return if same { Clause::Columns } else { Clause::Lost(old) };
        }
        let looked_at = ["modify", "alter", "convert", "character", "charset", "default", "collate"];
        if looked_at.iter().any(|word| self.is(word)) { Clause::Columns } else { Clause::Nothing }
    }

    /// The column that is named next.
    fn lost(mut self) -> Clause {
        self.skip_any(&["column", "if", "exists"]);
        Clause::Lost(self.part().unwrap_or_default().to_lowercase())
    }

    /// Whether the table gets another name; columns and indexes may, too.
    fn renames(&self) -> bool {
        (0..self.0.len()).any(|at| {
            let mut rest = Rest(&self.0[at..]);
            rest.skip("rename") && !["column", "index", "key"].iter().any(|word| rest.is(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Named> {
        names
            .iter()
            .map(|name| match name.split_once('.') {
                Some((database, table)) => Named { database: Some(database.into()), table: table.into() },
                None => Named { database: None, table: (*name).into() },
            })
            .collect()
    }

    fn name(name: &str) -> Named {
        names(&[name]).remove(0)
    }

    #[test]
    fn statements_are_understood() {
        use Statement::{Aside, Change, Replaced, Truncate};
        let alter = |table: &str, lost: &[&str]| {
            let lost = lost.iter().map(|name| (*name).to_owned()).collect();
            Statement::Alter { table: name(table), lost }
        };
        for (text, expected) in [
            ("BEGIN", Statement::Begin),
            ("XA START X'01',X'',1", Statement::Begin),
            ("XA END X'01'", Aside),
            ("XA COMMIT X'01',X'',1", Statement::CommitPrepared("X'01',X'',1".into())),
            ("XA ROLLBACK X'01',X'',1", Statement::RollbackPrepared("X'01',X'',1".into())),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK /* added by replication thread */", Statement::Rollback),
            ("ROLLBACK WORK TO `s`", Statement::RollbackTo),
            ("SAVEPOINT `s`", Aside),
            ("truncate  t", Truncate(name("t"))),
            ("/* why */ TRUNCATE TABLE `a b`.`t``x` -- end", Truncate(name("a b.t`x"))),
            ("DROP TABLE IF EXISTS `t`,`d`.`u` /* generated by server */", Replaced(names(&["t", "d.u"]))),
            ("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `t`", Aside),
            ("DROP DATABASE IF EXISTS shop", Statement::DropDatabase("shop".into())),
            ("DROP INDEX i ON t", Aside),
            ("DROP VIEW t", Aside),
            ("RENAME TABLE t TO old, d.new TO t", Replaced(names(&["t", "TO", "old", "d.new", "TO", "t"]))),
            ("CREATE TABLE t (id int)", Aside),
            ("CREATE TABLE IF NOT EXISTS t (id int)", Aside),
            ("create or replace table d.t (id int)", Replaced(names(&["d.t"]))),
            ("CREATE TEMPORARY TABLE t (id int)", Aside),
            ("CREATE UNIQUE INDEX i ON d.t (a)", Aside),
            ("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = 1", Aside),
            ("ALTER TABLE t ADD COLUMN note varchar(9) DEFAULT 'rename to x'", alter("t", &[])),
            ("ALTER TABLE t ADD (a int, b int)", alter("t", &[])),
            ("ALTER TABLE t ADD x int, ADD INDEX (x, y), DROP KEY k", alter("t", &[])),
            ("ALTER TABLE t ADD INDEX i (a), DROP PRIMARY KEY, ENGINE = InnoDB, COMMENT 'drop a'", Aside),
            ("ALTER TABLE t ADD UNIQUE INDEX i (a), DROP COLUMN b", alter("t", &["b"])),
            ("ALTER TABLE t DROP b, ADD b int, DROP IF EXISTS `C`", alter("t", &["b", "c"])),
            ("ALTER TABLE t CHANGE COLUMN `a` A int NOT NULL", alter("t", &[])),
            ("ALTER TABLE t CHANGE a b int, CHANGE b a int", alter("t", &["a", "b"])),
            ("ALTER TABLE t MODIFY a decimal(10,2) FIRST", alter("t", &[])),
            ("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", alter("t", &[])),
            ("ALTER TABLE t ALTER a SET DEFAULT 5", alter("t", &[])),
            ("ALTER TABLE t RENAME INDEX a TO b", Aside),
            ("ALTER TABLE `t` RENAME COLUMN a TO b", alter("t", &["a"])),
            ("ALTER ONLINE TABLE d.t RENAME TO u", Replaced(names(&["RENAME", "TO", "u", "d.t"]))),
            ("ALTER TABLE t TRUNCATE PARTITION p", Replaced(names(&["TRUNCATE", "PARTITION", "p", "t"]))),
            ("ALTER TABLE t COMMENT \"drop partition\"", Aside),
            ("SET STATEMENT max_statement_time=1 FOR ALTER TABLE t ADD x int", alter("t", &[])),
            ("REPLACE INTO d.sums SELECT 1 FROM t", Change(names(&["d.sums"]))),
            ("UPDATE a, t SET x = 'u'", Change(names(&["a", "t", "SET", "x"]))),
            ("LOAD DATA INFILE 'x' INTO TABLE `t`", Change(names(&["DATA", "INFILE", "INTO", "TABLE", "t"]))),
            ("SELECT `d`.`f`()", Change(vec![])),
            ("GRANT SELECT ON t TO u", Aside),
            ("", Aside),
        ] {
            assert_eq!(statement(text.as_bytes()), expected, "{text}");
        }
    }
}
