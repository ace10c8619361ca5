//! What a role may not do: `plan` names the missing grant, a run changes nothing.

use syncline_testkit::servers::postgres::shared;

use super::{PASSWORD, SECRET};
use crate::tables::{Pair, content};

/// A pair whose ends are reached as a role of few rights.
struct Poor {
    pair: Pair,
    role: String,
    from: String,
    to: String,
}

impl Poor {
    fn new() -> Option<Self> {
        let pair = Pair::new()?;
        let role = format!("poor_{}", pair.to.name());
        pair.from.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, '{SECRET}' FROM generate_series(1, 100) g;
             CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"
        ));
        let url = |name: &str| shared().url_as(&role, PASSWORD, name);
        let (from, to) = (url(pair.from.name()), url(pair.to.name()));
        Some(Poor { pair, role, from, to })
    }

    /// Plan and copy both fail with the grant that is missing, and change nothing. Then it is granted.
    fn lacks(&self, options: &[&str], grant: &str, at_target: bool) {
        let before = content(&self.pair.to);
        let ends = ["--stream", "t", "--chunk-rows", "10"];
        let arguments =
            |command| [&[command, self.from.as_str(), self.to.as_str()], &ends[..], options].concat();
        let grant = format!("{grant} TO \"{}\"", self.role);
        let plan = self.pair.desk.run(&arguments("plan")).expect_code(1);
        assert_eq!(plan.last()["hint"], format!("Run: {grant}"), "{}", plan.finished);
        let text = self.pair.desk.text(&arguments("plan")).expect_code(1);
        assert!(text.stdout.contains(&grant) || text.stderr.contains(&grant), "{text}");
        self.pair.desk.run(&arguments("copy")).failed(1, "SYN-2003").names(&[&grant]);
        assert_eq!(content(&self.pair.to), before);
        if at_target { &self.pair.to } else { &self.pair.from }.sql(&grant);
        self.pair.desk.never_said(SECRET);
        self.pair.desk.never_said(PASSWORD);
    }

    fn copies(&self, options: &[&str]) {
        self.pair
            .desk
            .run(&[&["copy", self.from.as_str(), self.to.as_str(), "--stream", "t"], options].concat())
            .done();
        self.pair.same("t");
    }
}

impl Drop for Poor {
    fn drop(&mut self) {
        let sql = format!("DROP OWNED BY {0} CASCADE", self.role);
        let _ = (self.pair.from.try_sql(&sql), self.pair.to.try_sql(&sql));
        let _ = self.pair.to.try_sql(&format!("DROP ROLE {}", self.role));
    }
}

#[test]
fn a_table_that_may_not_be_read_names_the_grant() {
    let Some(poor) = Poor::new() else { return };
    poor.pair.to.sql(&format!("GRANT CREATE ON SCHEMA public TO {}", poor.role));
    poor.lacks(&[], "GRANT SELECT ON \"public\".\"t\"", false);
    poor.copies(&[]);
}

#[test]
fn a_schema_where_nothing_may_be_made_names_the_grant() {
    let Some(poor) = Poor::new() else { return };
    poor.pair.from.sql(&format!("GRANT SELECT ON t TO {}", poor.role));
    poor.lacks(&[], "GRANT USAGE, CREATE ON SCHEMA \"public\"", true);
    poor.copies(&[]);
}

#[test]
fn a_table_of_others_that_may_not_be_written_names_the_grant() {
    for (write, grants) in [
        ("append", &["SELECT", "INSERT"][..]),
        ("merge", &["SELECT", "INSERT", "UPDATE"]),
        ("overwrite", &["SELECT", "INSERT", "DELETE"]),
    ] {
        let Some(poor) = Poor::new() else { return };
        poor.pair.from.sql(&format!("GRANT SELECT ON t TO {}", poor.role));
        poor.pair.to.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v text); GRANT CREATE ON SCHEMA public TO {}",
            poor.role
        ));
        for grant in grants {
            poor.lacks(&["--write", write], &format!("GRANT {grant} ON \"public\".\"t\""), true);
        }
        poor.copies(&["--write", write]);
    }
}
