//! What the sink would do to a target, and what stands in the way. Changes nothing.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline_connect::{Action, Existing, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::reconcile;
use syncline_types::{Column, Result, TableSchema};

use crate::{
    manifest::{Content, Manifest},
    schema::name::folder_name,
    sink::journal::Landing,
    types::Layout,
};

pub(crate) use check::{column_mismatch, key_missing, needs_decision, other_layout};

/// What there is where a target's rows are to go.
pub(crate) struct Seen {
    /// The name of the folder.
    pub(crate) folder: String,
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

/// What is to be done before the first row, for whoever does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Note that the stream has begun, and where its rows go.
    Begin,
    /// Publish a manifest without parts.
    Create,
}

impl Seen {
    /// Looks at a target's folder.
    ///
    /// # Errors
    /// When it has no name that a folder can have, or cannot be looked at.
    pub(crate) fn of(root: &Path, target: &Target) -> Result<Self> {
        let folder = folder_name(&target.name.table)?;
        let path = root.join(&folder);
        let content = Content::of(&path)?;
        Ok(Seen { folder, path, content })
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        match &self.content {
            Content::Ours(manifest, _) => Some(manifest),
            _ => None,
        }
    }

    /// The manifest whose rows stay.
    pub(crate) fn kept(&self, target: &Target) -> Option<&Manifest> {
        self.manifest().filter(|_| target.write != WriteMode::Overwrite)
    }

    /// Where the rows go, and in which columns: those that arrive, as the folder has them where its rows
    /// stay.
    pub(crate) fn landing(&self, target: &Target, token: String) -> Landing {
        let schema = match self.kept(target) {
            None => TableSchema { key: target.key.clone(), ..target.schema.clone() },
            Some(manifest) => {
                let arrives = |column: &&Column| target.schema.column(&column.name).is_some();
                let known = manifest.schema.columns.iter().filter(arrives).cloned();
                let added = target
                    .schema
                    .columns
                    .iter()
                    .filter(|column| manifest.schema.column(&column.name).is_none());
                TableSchema { columns: known.chain(added.map(as_added)).collect(), ..manifest.schema.clone() }
            }
        };
        Landing { folder: self.folder.clone(), schema, staged: target.staged, token }
    }
}

/// A column that older parts lack is NULL in them.
fn as_added(column: &Column) -> Column {
    Column { nullable: true, identity: false, generated: false, ..column.clone() }
}

/// Everything about one target.
pub(crate) fn plan(root: &Path, layout: &Layout, target: &Target) -> Result<TargetPlan> {
    let mut plan =
        TargetPlan { existing: None, columns: vec![], before: vec![], publish: vec![], findings: vec![] };
    let seen = match Seen::of(root, target) {
        Ok(seen) => seen,
        Err(error) => {
            plan.findings.push(Finding::blocker(error));
            return Ok(plan);
        }
    };
    plan.existing = match &seen.content {
        Content::Ours(manifest, _) => {
            Some(Existing { has_rows: manifest.rows > 0, rows_estimate: Some(manifest.rows), ours: true })
        }
        Content::Foreign(_) | Content::ForeignManifest => {
            Some(Existing { has_rows: true, rows_estimate: None, ours: false })
        }
        Content::Missing | Content::Empty => None,
    };
    check::names(target, &mut plan);
    check::content(target, &seen, layout, &mut plan);
    check::columns(target, &seen, layout, &mut plan);
    check::key(target, &seen, &mut plan);
    prepare(target, &seen, &mut plan);
    publish(target, &seen, layout, &mut plan);
    Ok(plan)
}

/// What is done before the first row.
fn prepare(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let mut act = |verb, object: String, detail: String, step: Step| {
        let statement = serde_json::to_string(&step).expect("a step serialises");
        plan.before.push(Action { verb, object, detail, statement });
    };
    let folder = format!("{}/", seen.path.display());
    let detail = match seen.content {
        Content::Missing => {
            "make the folder; keep the run's progress in a hidden file beside it, until it ends"
        }
        _ => "keep the run's progress in a hidden file beside the folder, until it ends",
    };
    act("create", folder.clone(), detail.into(), Step::Begin);
    if !target.staged && seen.manifest().is_none() {
        let columns = target.schema.columns.len();
        act("create", folder, format!("begin a manifest with {columns} columns and no rows"), Step::Create);
    }
}

/// What is done when all rows have arrived, in words.
fn publish(target: &Target, seen: &Seen, layout: &Layout, plan: &mut TargetPlan) {
    let parts = seen.manifest().map_or(0, |manifest| manifest.parts.len());
    let old = if parts == 1 { "old part".to_owned() } else { format!("{parts} old parts") };
    let format = layout.describe();
    let (verb, detail) = match (target.task, target.write, parts) {
        (Task::Update, ..) => (
            "update",
            format!(
                "parts with rows to update are written anew ({format}), and take the place of the old ones at once"
            ),
        ),
        (Task::Delete, ..) => (
            "delete",
            format!(
                "parts with rows to delete are written anew ({format}), and take the place of the old ones at once"
            ),
        ),
        (Task::Load, WriteMode::Append, _) if !target.staged => {
            ("insert", format!("new parts ({format}) are added to the manifest, commit by commit"))
        }
        (Task::Load, _, 0) => ("create", format!("new parts ({format}) are listed in the manifest at once")),
        (Task::Load, WriteMode::Overwrite, _) => (
            "replace",
            format!("the manifest lists the new parts ({format}) instead of {old}, removed afterwards"),
        ),
        (Task::Load, WriteMode::Append, _) => {
            ("insert", format!("new parts ({format}) are added to the manifest at once"))
        }
        (Task::Load, WriteMode::Merge, _) => (
            "update",
            format!(
                "new parts ({format}) are added to the manifest by ({}), and of {old} those that have a row of \
                 theirs are written anew without it, at once",
                target.key.join(", ")
            ),
        ),
    };
    let object = format!("{}/{}", seen.path.display(), crate::manifest::MANIFEST);
    plan.publish.push(Action { verb, object, detail, statement: String::new() });
    let added: Vec<&str> = seen.kept(target).map_or(vec![], |manifest| {
        reconcile(&target.schema, &manifest.schema)
            .missing
            .iter()
            .map(|column| column.name.as_str())
            .collect()
    });
    if !added.is_empty() && target.task != Task::Delete {
        plan.publish.push(Action {
            verb: "alter",
            object: target.name.to_string(),
            detail: format!("new columns that are NULL in the old parts: {}", added.join(", ")),
            statement: String::new(),
        });
    }
}
