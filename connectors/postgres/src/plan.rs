//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod check;
mod default;
mod evolve;
mod seen;
mod steps;

use std::collections::BTreeMap;

use syncline_connect::{Existing, Finding, Target, TargetPlan, Task};
use syncline_sql::quote_text;
use syncline_types::{Column, Error, Result};

pub(crate) use self::{
    evolve::evolve,
    seen::{Seen, qualified_made, see},
};
use crate::{client::Client, dialect::NAME, types::column_type};

/// The types of a stream's columns here, with what is special about each.
pub(crate) struct Types(BTreeMap<String, (String, Option<String>)>);

impl Types {
    pub(crate) fn of(&self, column: &Column) -> &str {
        self.0.get(&column.name).map_or("text", |(name, _)| name.as_str())
    }

    fn note(&self, column: &Column) -> Option<String> {
        self.0.get(&column.name).and_then(|(_, note)| note.clone())
    }
}

/// Which of the source's type names are types here too; the others get what we have for them.
pub(crate) async fn types(client: &Client, target: &Target) -> Result<Types> {
    let same_dialect = target.schema.dialect == NAME;
    let mut types = BTreeMap::new();
    for column in &target.schema.columns {
        let own = column_type(column);
        let Some(native) = column.native.as_ref().filter(|_| same_dialect) else {
            types.insert(column.name.clone(), (own, None));
            continue;
        };
        let sql = format!(
            "WITH RECURSIVE chain(oid) AS (
               SELECT to_regtype({})::oid
               UNION SELECT t.typbasetype FROM chain JOIN pg_type t USING (oid) WHERE t.typtype = 'd')
             SELECT 1, (SELECT string_agg(enumlabel, E'\\x01') FROM pg_enum WHERE enumtypid IN (SELECT oid FROM chain))
             FROM chain WHERE oid IS NOT NULL LIMIT 1",
            quote_text(native)
        );
        let rows = client.texts(&sql, "look up type", native).await?;
        let entry = match rows.first().map(Vec::as_slice) {
            // A domain over an enumeration has that one's labels.
            Some([_, labels]) => {
                let known: Vec<&str> = labels.as_deref().unwrap_or_default().split('\u{1}').collect();
                let missing = column.labels.iter().flatten().find(|label| !known.contains(&label.as_str()));
                match missing {
                    Some(_) => {
                        (own.clone(), Some(format!("{native} lacks a label here, so it becomes {own}")))
                    }
                    None => (native.clone(), None),
                }
            }
            _ => (own.clone(), Some(format!("there is no type {native} here, so it becomes {own}"))),
        };
        types.insert(column.name.clone(), entry);
    }
    Ok(Types(types))
}

/// Everything about one target.
pub(crate) async fn plan(client: &Client, target: &Target) -> Result<TargetPlan> {
    let seen = see(client, target).await?;
    let types = types(client, target).await?;
    let mut plan = TargetPlan {
        existing: seen.table.as_ref().map(|table| Existing {
            has_rows: seen.has_rows,
            rows_estimate: table.listed.rows_estimate,
            ours: seen.ours,
        }),
        columns: vec![],
        before: vec![],
        publish: vec![],
        findings: vec![],
    };
    check::name(target, &mut plan);
    if seen.table.is_none() && target.task != Task::Load {
        check::needs_table(target, &mut plan);
        return Ok(plan);
    }
    if seen.table.is_none() {
        check::name_is_free(client, target, &mut plan).await?;
    }
    check::rights(client, target, &seen, &mut plan).await?;
    check::decisions(target, &seen, &mut plan);
    check::columns(target, &seen, &types, &mut plan);
    check::key(target, &seen, &mut plan);
    check::key_types(target, &seen, &types, &mut plan);
    let way = seen.way(target);
    steps::prepare(client, target, &seen, &types, way, &mut plan);
    steps::publish(target, &seen, way, &mut plan);
    Ok(plan)
}

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}
