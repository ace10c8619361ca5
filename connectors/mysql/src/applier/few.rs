//! A few changes as statements of constants, all in one message: a temporary table takes the server's answer
//! five times.
//!
//! Nothing here says what is wrong with a change. What does not come to just what is expected, such as a row
//! that is set and not there, is done again through temporary tables, which comes to the same or tells why not.

use arrow_array::RecordBatch;
use syncline_connect::{NetChanges, Target};
use syncline_sql::Dialect;
use syncline_types::Result;

use super::Landing;
use crate::{
    client::{Outcome, Rows},
    dialect::Mysql,
    encode,
};

/// So many rows are set each by a statement of its own, and so many bytes go in one message.
pub(super) const SET_ROWS_MAX: usize = 100;
const BYTES_MAX: usize = 256 << 10;

/// Statements in one message.
#[derive(Default)]
pub(super) struct Few {
    pub(super) sql: Vec<u8>,
    expected: Vec<Expected>,
}

/// What a statement is expected to come to.
#[derive(Clone, Copy)]
enum Expected {
    Anything,
    /// A row is found.
    Found,
    /// So many rows are added.
    Added(usize),
}

/// Where rows of each kind go.
pub(super) struct Shapes<'a> {
    pub(super) keys: Option<&'a Landing>,
    pub(super) rows: Option<&'a Landing>,
}

impl Few {
    /// Changes of one table; `None` where they are too many bytes, or a row cannot be sent or found like that.
    pub(super) fn of(
        target: &Target,
        table: &str,
        changes: &NetChanges,
        shapes: &Shapes<'_>,
    ) -> Result<Option<Self>> {
        let mut few = Few::default();
        if changes.emptied.is_some() {
            few.say(format!("DELETE FROM {table}").as_bytes(), Expected::Anything);
        }
        let known = changes.rows.num_rows() - changes.fresh;
        let (known, new) = (changes.rows.slice(0, known), changes.rows.slice(known, changes.fresh));
        let mut done = true;
        if let Some(shape) = shapes.keys {
            done = few.delete(target, table, shape, &changes.deletes)?;
        }
        if let Some(shape) = shapes.rows {
            done = done && few.set(target, table, shape, &known)? && few.add(shape, &new)?;
        }
        Ok((done && few.sql.len() <= BYTES_MAX).then_some(few))
    }

    fn say(&mut self, sql: &[u8], expected: Expected) {
        if !self.sql.is_empty() {
            self.sql.push(b';');
        }
        self.sql.extend_from_slice(sql);
        self.expected.push(expected);
    }

    fn delete(&mut self, target: &Target, table: &str, shape: &Landing, keys: &RecordBatch) -> Result<bool> {
        if !shape.encoder.finds(&target.key) {
            return Ok(false);
        }
        let mut sql = format!("DELETE FROM {table} WHERE (").into_bytes();
        let mut first = true;
        let whole = each(shape, keys, |rows, row| {
            if !std::mem::take(&mut first) {
                sql.extend_from_slice(b") OR (");
            }
            rows.pairs(row, " AND ", |_| true, &mut sql);
        });
        sql.push(b')');
        self.say(&sql, Expected::Anything);
        whole
    }

    /// Sets rows that are there.
    fn set(&mut self, target: &Target, table: &str, shape: &Landing, rows: &RecordBatch) -> Result<bool> {
        let key = &target.key;
        let others = shape.columns.iter().any(|column| !key.contains(column));
        if rows.num_rows() > 0 && (!others || !shape.encoder.finds(key)) {
            return Ok(false);
        }
        let mut sql = vec![];
        each(shape, rows, |rows, row| {
            sql.clear();
            sql.extend_from_slice(format!("UPDATE {table} SET ").as_bytes());
            rows.pairs(row, ",", |name| !key.contains(name), &mut sql);
            sql.extend_from_slice(b" WHERE ");
            rows.pairs(row, " AND ", |name| key.contains(name), &mut sql);
            // By the collation a key may be that of another row.
            for name in &shape.texts {
                let name = Mysql.quote(name);
                sql.extend_from_slice(format!(" AND CAST({name} AS BINARY) = CAST(").as_bytes());
                rows.value(row, |column| Mysql.quote(column) == name, &mut sql);
                sql.extend_from_slice(b" AS BINARY)");
            }
            self.say(&sql, Expected::Found);
        })
    }

    fn add(&mut self, shape: &Landing, rows: &RecordBatch) -> Result<bool> {
        if rows.num_rows() == 0 {
            return Ok(true);
        }
        let (mut sql, mut rejects) = (shape.straight_insert.clone().into_bytes(), vec![]);
        let taken = shape.encoder.open(rows)?.constants(&mut sql, BYTES_MAX, usize::MAX, &mut rejects);
        self.say(&sql, Expected::Added(taken.len()));
        Ok(rejects.is_empty() && taken.len() == rows.num_rows())
    }

    /// Whether all of it was done as expected.
    pub(super) fn is_done(&self, answers: &[(Outcome, Rows)]) -> bool {
        let as_expected = |(expected, (outcome, _)): (&Expected, &(Outcome, Rows))| {
            outcome.warnings == 0
                && match expected {
                    Expected::Anything => true,
                    Expected::Found => outcome.count("Rows matched") == Some(1),
                    Expected::Added(rows) => outcome.affected == *rows as u64,
                }
        };
        answers.len() == self.expected.len() && self.expected.iter().zip(answers).all(as_expected)
    }
}

/// Does something with each row; false if one of them cannot be sent.
fn each(
    shape: &Landing,
    batch: &RecordBatch,
    mut with: impl FnMut(&encode::Rows<'_>, usize),
) -> Result<bool> {
    let (mut rows, mut rejects) = (shape.encoder.open(batch)?, vec![]);
    while let Some(row) = rows.next_row(&mut rejects) {
        with(&rows, row);
    }
    Ok(rejects.is_empty())
}
