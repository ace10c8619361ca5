//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod check;
mod default;
mod evolve;
mod grants;
mod seen;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use syncline_connect::{Existing, Finding, Target, TargetPlan, Task};
use syncline_sql::quote_text;
use syncline_types::{Column, Error, Result};

use self::{check::NamesTaken, grants::Grants, seen::see_all};
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
    Ok(types_of(target, &labels(client, &[target]).await?))
}

/// The labels of each type that is one here, by the name that the source has for it. Only enumerations have some.
type Labels = BTreeMap<String, Vec<String>>;

/// Looks up the types of all columns of these targets.
async fn labels(client: &Client, targets: &[&Target]) -> Result<Labels> {
    let here = targets.iter().filter(|target| target.schema.dialect == NAME);
    let columns = here.flat_map(|target| &target.schema.columns);
    let names: BTreeSet<&String> = columns.filter_map(|column| column.native.as_ref()).collect();
    if names.is_empty() {
        return Ok(Labels::new());
    }
    let names: Vec<String> = names.into_iter().map(|name| quote_text(name)).collect();
    // A domain over an enumeration has that one's labels.
    let sql = format!(
        "WITH RECURSIVE asked(name) AS (SELECT unnest(ARRAY[{}]::text[])),
           chain(name, oid) AS (
             SELECT name, to_regtype(name)::oid FROM asked
             UNION SELECT chain.name, t.typbasetype FROM chain JOIN pg_type t USING (oid) WHERE t.typtype = 'd')
         SELECT name, (SELECT string_agg(enumlabel, E'\\x01') FROM chain JOIN pg_enum ON enumtypid = chain.oid
                       WHERE chain.name = asked.name)
         FROM asked WHERE to_regtype(name) IS NOT NULL",
        names.join(", ")
    );
    let rows = client.texts(&sql, "look up types in", &client.config.place()).await?;
    let entry = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        let (name, labels) = (row.next().flatten()?, row.next().flatten());
        Some((name, labels.iter().flat_map(|all| all.split('\u{1}')).map(str::to_owned).collect()))
    };
    Ok(rows.into_iter().filter_map(entry).collect())
}

fn types_of(target: &Target, labels: &Labels) -> Types {
    let same_dialect = target.schema.dialect == NAME;
    let entry = |column: &Column| {
        let own = column_type(column);
        let Some(native) = column.native.as_ref().filter(|_| same_dialect) else { return (own, None) };
        let Some(known) = labels.get(native) else {
            let note = format!("there is no type {native} here, so it becomes {own}");
            return (own, Some(note));
        };
        if column.labels.iter().flatten().all(|label| known.contains(label)) {
            return (native.clone(), None);
        }
        let note = format!("{native} lacks a label here, so it becomes {own}");
        (own, Some(note))
    };
    Types(target.schema.columns.iter().map(|column| (column.name.clone(), entry(column))).collect())
}

/// So many targets are asked for together.
const TOGETHER: usize = 200;

/// Everything about these targets, with as few questions as about one.
pub(crate) async fn plan(client: &Client, targets: &[&Target]) -> Result<Vec<TargetPlan>> {
    let mut plans = vec![];
    for some in targets.chunks(TOGETHER) {
        let seen = see_all(client, some).await?;
        let labels = labels(client, some).await?;
        let looked_at: Vec<(&Target, &Seen)> = some.iter().copied().zip(&seen).collect();
        let grants = Grants::look_up(client, &looked_at).await?;
        let taken = check::names_taken(client, &looked_at).await?;
        let one =
            |&(target, seen): &(&Target, &Seen)| plan_one(client, target, seen, &labels, &grants, &taken);
        plans.extend(looked_at.iter().map(one));
    }
    Ok(plans)
}

fn plan_one(
    client: &Client,
    target: &Target,
    seen: &Seen,
    labels: &Labels,
    grants: &Grants,
    taken: &NamesTaken,
) -> TargetPlan {
    let types = types_of(target, labels);
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
        return plan;
    }
    if seen.table.is_none() {
        check::name_is_free(client, target, taken, &mut plan);
    }
    check::rights(client, target, seen, grants, &mut plan);
    check::decisions(target, seen, &mut plan);
    check::columns(target, seen, &types, &mut plan);
    check::key(target, seen, &mut plan);
    check::key_types(target, seen, &types, &mut plan);
    let way = seen.way(target);
    steps::prepare(client, target, seen, &types, way, &mut plan);
    steps::publish(target, seen, way, &mut plan);
    plan
}

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}
