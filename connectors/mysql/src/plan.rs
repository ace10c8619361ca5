//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod check;
mod evolve;
mod seen;
pub(crate) mod shape;
mod steps;
pub(crate) mod table;

use syncline_connect::{Existing, Finding, Target, TargetPlan, Task};
use syncline_types::{Error, Result};

pub(crate) use self::{
    check::needs_decision,
    evolve::evolve,
    seen::{Seen, see},
    shape::Shape,
    steps::{NUMBER, Step},
};
use crate::client::Client;

/// Everything about one target.
pub(crate) async fn plan(client: &mut Client, target: &Target, local_infile: bool) -> Result<TargetPlan> {
    let seen = see(client, target).await?;
    let collations = collations(client).await?;
    let shape = shape::shape(target, &client.server, &collations);
    let mut plan = TargetPlan {
        existing: seen.table.as_ref().map(|table| Existing {
            has_rows: seen.has_rows,
            rows_estimate: table.rows_estimate,
            ours: seen.ours,
        }),
        columns: vec![],
        before: vec![],
        publish: vec![],
        findings: vec![],
    };
    check::names(target, &seen, &mut plan);
    if seen.table.is_none() && target.task != Task::Load {
        check::needs_table(target, &mut plan);
        return Ok(plan);
    }
    check::decisions(target, &seen, &mut plan);
    check::columns(target, &seen, &shape, &mut plan);
    check::key(target, &seen, &mut plan);
    check::key_types(target, &seen, &shape, &mut plan);
    let way = seen.way(target);
    steps::prepare(client, target, &seen, &shape, way, &mut plan);
    steps::publish(target, &seen, way, &mut plan);
    if !local_infile {
        plan.findings.push(Finding::note(
            "the server takes no LOAD DATA LOCAL, so rows go by INSERT, which is slower; SET GLOBAL local_infile = 1 allows it",
        ));
    }
    Ok(plan)
}

/// The collations that the server has.
async fn collations(client: &mut Client) -> Result<Vec<String>> {
    let sql = "SELECT collation_name FROM information_schema.collations";
    let rows = client.texts(sql, "look up the collations of", "the server").await?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

fn blocker(plan: &mut TargetPlan, error: Error) {
    plan.findings.push(Finding::blocker(error));
}
