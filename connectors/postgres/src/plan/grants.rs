//! What the user may do at the target.

use std::collections::{BTreeMap, BTreeSet};

use syncline_connect::{Target, Task};
use syncline_sql::{Dialect, Way, quote_text};
use syncline_types::{Error, Result, codes};

use super::Seen;
use crate::{client::Client, dialect::Postgres};

/// What the user that connects may do with the schemas and tables of some targets.
pub(super) struct Grants {
    /// Whose they are.
    pub(super) user: String,
    /// Of each schema that is there, whether tables may be made in it.
    schemas: BTreeMap<String, bool>,
    /// What may not be done with which table.
    lacking: BTreeSet<(u32, &'static str)>,
}

/// What has to be allowed for a target's rows to be written to the table that is there.
fn wanted(target: &Target, seen: &Seen) -> impl Iterator<Item = &'static str> {
    let task = match target.task {
        Task::Load => "INSERT",
        Task::Update => "UPDATE",
        Task::Delete => "DELETE",
    };
    let way = match seen.way(target) {
        Way::Rename | Way::Insert | Way::Direct => &[][..],
        Way::InPlace => &["DELETE"][..],
        Way::InPlaceByKey => &["SELECT", "UPDATE", "DELETE"][..],
        Way::Merge => &["SELECT", "UPDATE"][..],
        Way::Update | Way::Delete => &["SELECT"][..],
    };
    [task].into_iter().chain(way.iter().copied())
}

impl Grants {
    /// Asks the server.
    pub(super) async fn look_up(client: &Client, looked_at: &[(&Target, &Seen)]) -> Result<Self> {
        let place = client.config.place();
        let garbled = || {
            Error::new(&codes::BAD_BYTES, "look up the grants on schemas in", &place)
                .because("an answer is not of the form asked for")
        };
        let schema = |(target, _): &(&Target, &Seen)| {
            target.name.namespace.clone().unwrap_or_else(|| client.config.schema.clone())
        };
        let names: BTreeSet<String> = looked_at.iter().map(schema).collect();
        let rows: Vec<String> = names
            .iter()
            .map(|name| format!("({}, {})", quote_text(name), quote_text(&Postgres.quote(name))))
            .collect();
        let sql = format!(
            "SELECT current_user, name, to_regnamespace(quoted) IS NOT NULL,
                    coalesce(has_schema_privilege(to_regnamespace(quoted), 'USAGE, CREATE'), false)
                    AND coalesce(has_schema_privilege(to_regnamespace(quoted), 'CREATE'), false)
             FROM (VALUES {}) asked(name, quoted)",
            rows.join(", ")
        );
        let mut grants = Grants { user: String::new(), schemas: BTreeMap::new(), lacking: BTreeSet::new() };
        for row in client.texts(&sql, "look up the grants on schemas in", &place).await? {
            let [Some(user), Some(name), Some(exists), Some(create)] = row.as_slice() else {
                return Err(garbled());
            };
            grants.user.clone_from(user);
            if exists == "t" {
                grants.schemas.insert(name.clone(), create == "t");
            }
        }
        let there = looked_at
            .iter()
            .filter_map(|(target, seen)| Some((seen.table.as_ref()?.listed.oid, *target, *seen)));
        let asked: Vec<(u32, &'static str)> = there
            .flat_map(|(oid, target, seen)| wanted(target, seen).map(move |privilege| (oid, privilege)))
            .collect();
        if asked.is_empty() {
            return Ok(grants);
        }
        let rows: Vec<String> = (0..)
            .zip(&asked)
            .map(|(number, (oid, privilege)): (usize, _)| format!("({number}, {oid}::oid, '{privilege}')"))
            .collect();
        let sql = format!(
            "SELECT number FROM (VALUES {}) asked(number, oid, privilege)
             WHERE has_table_privilege(oid, privilege) IS NOT TRUE",
            rows.join(", ")
        );
        for row in client.texts(&sql, "look up the grants on tables in", &place).await? {
            let number = row.first().and_then(|number| number.as_deref()?.parse::<usize>().ok());
            let lacking = number.and_then(|number| asked.get(number)).ok_or_else(garbled)?;
            grants.lacking.insert(*lacking);
        }
        Ok(grants)
    }

    /// Whether tables may be made in a schema; `None` where there is no such schema.
    pub(super) fn may_create(&self, schema: &str) -> Option<bool> {
        self.schemas.get(schema).copied()
    }

    /// What is not allowed and would have to be.
    pub(super) fn lacking(&self, target: &Target, seen: &Seen) -> impl Iterator<Item = &'static str> {
        let oid = seen.table.as_ref().map(|table| table.listed.oid);
        wanted(target, seen)
            .filter(move |privilege| oid.is_some_and(|oid| self.lacking.contains(&(oid, *privilege))))
    }
}
