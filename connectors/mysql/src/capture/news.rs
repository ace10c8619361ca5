//! What the records of a stream say before any row is looked at: which they are, and whether rows are gone
//! of which there is none.

use syncline_sql::Dialect;
use syncline_types::Result;

use super::{
    batch::OPS,
    install::{INSERTED, Names, ROWS_COUNTED_MAX, key_column},
    told::Range,
};
use crate::{
    client::Client,
    dialect::{Mysql, qualified},
    schema::Table,
};

/// Records that one look passes over later on, in ranges. What is beyond is told again.
const RANGES_MAX: usize = 20_000;

/// Untold records of a stream.
#[derive(Debug, Default)]
pub(super) struct News {
    /// In the order of their numbers.
    pub(super) ranges: Vec<Range>,
    /// Whether these are all.
    pub(super) are_all: bool,
    /// When the last of them was written, in microseconds since 1970.
    pub(super) micros: Option<i64>,
    /// How many tell of rows that are new.
    inserted: u64,
    /// Whether some were written by whoever says what they have come through.
    is_marked: bool,
}

/// A stream, its records, and which of these are not told.
pub(super) struct Recorded<'a> {
    pub(super) names: &'a Names,
    pub(super) table: &'a Table,
    pub(super) key: &'a [String],
    /// The condition for them.
    pub(super) untold: &'a str,
}

impl Recorded<'_> {
    pub(super) fn changes(&self) -> String {
        self.names.changes(&self.table.listed.name)
    }

    fn object(&self) -> String {
        self.table.listed.name.to_string()
    }

    /// Reads which records there are.
    pub(super) async fn news(&self, client: &mut Client) -> Result<News> {
        let sql = format!(
            "SELECT MIN(number), MAX(number), CAST(UNIX_TIMESTAMP(MAX(at)) * 1000000 AS SIGNED), SUM(op = {INSERTED}), COUNT(origin)
             FROM (SELECT number, at, op, origin, number - ROW_NUMBER() OVER (ORDER BY number) AS island FROM {} WHERE {}) records
             GROUP BY island ORDER BY 1 LIMIT {}",
            self.changes(),
            self.untold,
            RANGES_MAX + 1
        );
        let rows = client.texts_long(&sql, "read changes of table", &self.object()).await?;
        let mut news = News { are_all: rows.len() <= RANGES_MAX, ..News::default() };
        for row in rows.iter().take(RANGES_MAX) {
            let number =
                |at: usize| row.get(at).and_then(Option::as_deref).and_then(|text| text.parse::<u64>().ok());
            let (Some(from), Some(to)) = (number(0), number(1)) else { continue };
            news.ranges.push((from, to));
            news.micros = news.micros.max(number(2).and_then(|micros| i64::try_from(micros).ok()));
            news.inserted += number(3).unwrap_or(0);
            news.is_marked |= number(4) != Some(0);
        }
        if !news.are_all {
            (news.inserted, news.is_marked) = (u64::MAX, true);
        }
        Ok(news)
    }

    /// What records have come through, as it is written: nothing first, where they were made here.
    pub(super) async fn origins(&self, client: &mut Client, news: &News) -> Result<Vec<String>> {
        if !news.is_marked {
            return Ok(vec![String::new()]);
        }
        let sql = format!(
            "SELECT DISTINCT COALESCE(origin, '') AS origin FROM {} WHERE {} ORDER BY origin",
            self.changes(),
            self.untold
        );
        let rows = client.texts_long(&sql, "read changes of table", &self.object()).await?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Whether rows may have gone that no record tells of, as a truncation does it; and how many rows there are,
    /// where that is counted. `before` is how many there were before the first of these records.
    ///
    /// A row that is there and was not inserted meanwhile has outlived everything. Where there is none, every row
    /// that there was before has to be among the records.
    pub(super) async fn emptied(
        &self,
        client: &mut Client,
        news: &News,
        before: Option<u64>,
    ) -> Result<(bool, Option<u64>)> {
        if news.ranges.is_empty() {
            return match before {
                // Nobody has inserted a row.
                Some(0) => Ok((false, before)),
                _ => match self.count(client, 1).await? {
                    0 => Ok((true, Some(0))),
                    _ => Ok((false, before)),
                },
            };
        }
        let limit = news.inserted.saturating_add(1).max(ROWS_COUNTED_MAX);
        let there = self.count(client, limit).await?;
        let counted = (there < limit && news.are_all).then_some(there);
        if there > news.inserted {
            return Ok((false, counted));
        }
        let keys = self.keys();
        let inserted = format!(
            "SELECT COUNT(*) FROM (SELECT DISTINCT {keys} FROM {} WHERE {} AND op = {INSERTED}) r JOIN {} t ON {}",
            self.changes(),
            self.untold,
            qualified(&self.table.listed.name, ""),
            self.same("r")
        );
        if there > self.number(client, &inserted).await? {
            return Ok((false, counted));
        }
        // Those whose first record tells of no insertion were there before.
        let known = format!(
            "SELECT COUNT(*) FROM (SELECT MIN(number * {OPS} + op) % {OPS} AS first FROM {} WHERE {} GROUP BY {keys}) r
             WHERE first <> {INSERTED}",
            self.changes(),
            self.untold
        );
        let known = self.number(client, &known).await?;
        Ok((before.is_none_or(|before| known < before), counted))
    }

    async fn count(&self, client: &mut Client, limit: u64) -> Result<u64> {
        let table = qualified(&self.table.listed.name, "");
        let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {table} LIMIT {limit}) t");
        self.number(client, &sql).await
    }

    async fn number(&self, client: &mut Client, sql: &str) -> Result<u64> {
        let rows = client.texts_long(sql, "count rows of table", &self.object()).await?;
        let number = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
    }

    fn keys(&self) -> String {
        (0..self.key.len()).map(key_column).collect::<Vec<_>>().join(", ")
    }

    /// That a row of the table `t` has the key of a record.
    fn same(&self, of: &str) -> String {
        let parts = self.key.iter().enumerate();
        let parts = parts.map(|(at, name)| format!("t.{} = {of}.{}", Mysql.quote(name), key_column(at)));
        parts.collect::<Vec<_>>().join(" AND ")
    }
}
