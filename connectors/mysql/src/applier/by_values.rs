//! How rows are found that have no key: by a hash of all their values, and before by a quick sum of them.
//!
//! The servers have no name for a row but its key, so that of several that are equal some can only be deleted by
//! a limit. Those of which all go are deleted together, and the table is read once to count them and once to
//! delete them; then once for each of the others.

use syncline_connect::Target;
use syncline_sql::Dialect;
use syncline_types::{Error, Result, codes};

use super::{APPLY, MysqlApplier, landing::Landing};
use crate::dialect::Mysql;

/// The values of a row of `of`, in a form of which the text is all of them.
fn values<'a>(landing: &'a Landing, of: &'a str) -> impl Iterator<Item = String> + 'a {
    landing.columns.iter().map(move |column| {
        let name = format!("{of}{}", Mysql.quote(column));
        // The text of a FLOAT has six digits; as a DOUBLE it has all of them.
        if landing.floats.contains(column) { format!("{name} + 0e0") } else { name }
    })
}

/// A hash of the values of a row, as their texts have them, which is as exact as they are.
fn whole(landing: &Landing, of: &str) -> String {
    let all: Vec<String> =
        values(landing, of).map(|value| format!("IFNULL(SHA2({value}, 256), '-')")).collect();
    format!("UNHEX(SHA2(CONCAT({}), 256))", all.join(", "))
}

/// A number that is the same for equal rows, and mostly another one for others.
fn quick(landing: &Landing, of: &str) -> String {
    let sums = (0_u64..).zip(values(landing, of));
    let sums = sums.map(|(place, value)| format!("IFNULL(CRC32({value}), 1) * {}", 2 * place + 1));
    sums.collect::<Vec<_>>().join(" + ")
}

/// The condition for a row `t` to be one of those of a table `w`. Only of those with its sum the hash is made: as an
/// equality the server would take it for the better way to find them.
fn is_it(landing: &Landing) -> String {
    format!("w.quick = {} AND NOT (w.whole <> {})", quick(landing, "t."), whole(landing, "t."))
}

impl MysqlApplier {
    /// Takes away as many of the rows of the target as wait; returns how many were there.
    pub(super) async fn take_away(&mut self, target: &Target, landing: &Landing) -> Result<u64> {
        let table = self.shared.quoted(&target.name);
        let (stage, name) = (&landing.table, landing.name.clone());
        let beside = |what: &str| format!("{}_{what}`", stage.trim_end_matches('`'));
        let (waits, there) = (beside("waits"), beside("there"));
        let columns = "whole BINARY(32) NOT NULL, quick BIGINT NOT NULL, copies BIGINT NOT NULL";
        let make = [
            // A call that was broken off may have made them already.
            format!("DROP TEMPORARY TABLE IF EXISTS {waits}, {there}"),
            format!(
                "CREATE TEMPORARY TABLE {waits} ({columns}, KEY quick (quick)) ENGINE = InnoDB
                 SELECT {} AS whole, {} AS quick, COUNT(*) AS copies FROM {stage} AS s GROUP BY 1, 2",
                whole(landing, "s."),
                quick(landing, "s.")
            ),
            format!(
                "CREATE TEMPORARY TABLE {there} ({columns}, found BIGINT NOT NULL, KEY quick (quick)) ENGINE = InnoDB
                 SELECT w.whole AS whole, w.quick AS quick, w.copies AS copies, COUNT(*) AS found
                 FROM {table} AS t STRAIGHT_JOIN {waits} AS w FORCE INDEX (quick) ON {}
                 GROUP BY w.whole, w.quick, w.copies",
                is_it(landing)
            ),
        ];
        for sql in make {
            self.client.run_long(&sql, APPLY, &name).await?;
        }
        let all = format!(
            "DELETE t FROM {table} AS t STRAIGHT_JOIN {there} AS w FORCE INDEX (quick) ON {} WHERE w.found <= w.copies",
            is_it(landing)
        );
        let mut gone = self.client.run_long(&all, APPLY, &name).await?.affected;
        let some = format!("SELECT HEX(whole), quick, copies FROM {there} WHERE found > copies");
        for row in self.client.texts_long(&some, APPLY, &name).await? {
            let [Some(hash), Some(sum), Some(copies)] = row.as_slice() else {
                return Err(Error::new(&codes::BAD_BYTES, APPLY, format!("`{name}`"))
                    .because("an answer is not of the form asked for"));
            };
            let sql = format!(
                "DELETE FROM {table} WHERE {} = {sum} AND {} = X'{hash}' LIMIT {copies}",
                quick(landing, ""),
                whole(landing, "")
            );
            gone += self.client.run_long(&sql, APPLY, &name).await?.affected;
        }
        let clear = format!("DROP TEMPORARY TABLE {waits}, {there}");
        self.client.run_long(&clear, "clear away after table", &name).await?;
        Ok(gone)
    }
}
