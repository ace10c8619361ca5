//! What stands in the way: names, decisions, columns and keys.

use syncline_connect::{ColumnPlan, Finding, Target, TargetPlan, Task, WriteMode};
use syncline_sql::{Fit, Way, bookkeeping, key_problem, reconcile};
use syncline_types::{Column, Error, LogicalType, codes};

use super::{
    Seen, Shape, blocker,
    shape::{KEY_BYTES_MAX, can_be_key},
};
use crate::{
    dialect::NAME,
    schema::MysqlColumn,
    types::{base, is_geometry},
};

/// The longest name that the servers have.
const NAME_CHARS_MAX: usize = 64;

/// InnoDB's own limit.
const COLUMNS_MAX: usize = 1_017;

pub(super) fn names(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let columns = &target.schema.columns;
    let taken = |name: &str, reason: String| {
        Error::new(&codes::NAME_TAKEN, "use the name", format!("`{name}`"))
            .because(reason)
            .hint("Give it another one with `rename`, or the stream with `to`")
    };
    for name in columns.iter().map(|column| &column.name).chain([&target.name.table]) {
        let reason = match name {
            name if name.chars().count() > NAME_CHARS_MAX => {
                format!("MySQL's names have {NAME_CHARS_MAX} characters at most")
            }
            name if name.is_empty() || name.ends_with(' ') => {
                "MySQL's names are not empty and do not end with a blank".to_owned()
            }
            name if name.chars().any(|c| c == '\0' || c > '\u{FFFF}') => {
                "it holds a character that MySQL's names cannot have".to_owned()
            }
            _ => continue,
        };
        blocker(plan, taken(name, reason));
    }
    for (at, column) in columns.iter().enumerate() {
        let same = |other: &str| other != column.name && other.to_lowercase() == column.name.to_lowercase();
        let twice = columns[..at].iter().any(|other| same(&other.name));
        let there = seen.table.iter().flat_map(|table| &table.columns);
        let other = there.map(|there| &there.column.name).find(|name| same(name));
        match other {
            Some(other) => {
                blocker(
                    plan,
                    taken(
                        &column.name,
                        format!("the target calls it `{other}`, which MySQL takes for the same name"),
                    ),
                );
            }
            None if twice => {
                let reason = "another column's name differs only in its case, which MySQL takes for the same";
                blocker(plan, taken(&column.name, reason.to_owned()));
            }
            None => {}
        }
    }
    let count_error = |reason: String| {
        Error::new(&codes::UNSUPPORTED, "write to", format!("`{}`", target.name)).because(reason)
    };
    if columns.len() > COLUMNS_MAX {
        let reason =
            format!("a table of MySQL has at most {COLUMNS_MAX} columns, and these are {}", columns.len());
        blocker(plan, count_error(reason).hint("Leave some out with a `drop` step"));
    } else if columns.is_empty() {
        blocker(plan, count_error("a table of MySQL has at least one column".to_owned()));
    }
    if bookkeeping::is_ours(&target.name.table) {
        blocker(
            plan,
            Error::new(&codes::NAME_TAKEN, "write to", format!("`{}`", target.name))
                .because("names that begin with `_syncline` are Syncline's own"),
        );
    }
}

/// Rows can only be changed where there are some.
pub(super) fn needs_table(target: &Target, plan: &mut TargetPlan) {
    blocker(
        plan,
        Error::new(&codes::STREAM_MISSING, "change rows of", format!("`{}`", target.name))
            .because("there is no such table")
            .hint("Copy it first"),
    );
}

/// What only the user can decide.
pub(super) fn decisions(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let Some(table) = &seen.table else { return };
    if table.is_view {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "write to", format!("`{}`", target.name))
                .because("it is a view")
                .hint("Name another target with `to`"),
        );
        return;
    }
    if target.write == WriteMode::Overwrite && seen.has_rows && !seen.ours && !target.overwrite_said {
        blocker(plan, needs_decision(target, "it has rows and was not made by Syncline"));
    }
    let way = seen.way(target);
    if matches!(way, Way::InPlace | Way::InPlaceByKey) && !seen.attached.cascades.is_empty() {
        blocker(
            plan,
            Error::new(&codes::TARGET_IN_USE, "overwrite table", format!("`{}`", target.name))
                .because(format!(
                    "rows of other tables would be deleted or changed with its rows, by foreign key {}",
                    seen.attached.cascades.join(", ")
                ))
                .hint("Use --write merge, or change the foreign key to ON DELETE NO ACTION"),
        );
    }
    if !seen.can_take_back(target) {
        let (name, engine) = (&target.name, &table.engine);
        plan.findings.push(Finding::warning(format!(
            "`{name}` is stored by {engine}, which takes nothing back: after a crash some rows may be there twice, \
             or changed in part. To have each once, run: ALTER TABLE {name} ENGINE = InnoDB"
        )));
    }
}

/// The error of rows that would go without anybody having said so.
pub(crate) fn needs_decision(target: &Target, reason: &str) -> Error {
    Error::new(&codes::NEEDS_DECISION, "overwrite table", format!("`{}`", target.name))
        .because(reason)
        .hint("Say --write overwrite (write: overwrite) if they are to go, or choose append or merge")
}

/// Holds the stream's columns against the table's.
pub(super) fn columns(target: &Target, seen: &Seen, shape: &Shape, plan: &mut TargetPlan) {
    let name = &target.name;
    let made = |column: &Column| shape.of(target, &column.name);
    let Some(table) = seen.table.as_ref().filter(|_| !seen.new_shape(target)) else {
        for column in &target.schema.columns {
            let Some(made) = made(column) else { continue };
            warn_of_text(target, column, plan);
            if let Some(note) = &made.note {
                plan.findings.push(Finding::warning(format!("column `{}` of `{name}`: {note}", column.name)));
            }
            plan.columns.push(ColumnPlan::new(column, made.type_name.clone(), made.note.clone()));
        }
        return;
    };
    let there = table.schema();
    let reconciled = reconcile(&target.schema, &there);
    for (column, at_target, fit) in &reconciled.common {
        let Some(at_target) = table.column(&at_target.name) else { continue };
        let same_type =
            target.schema.dialect == NAME && column.native.as_deref() == Some(at_target.type_name());
        let fit = if same_type { Fit::Exact } else { by_native(column, at_target, *fit) };
        let target_type = at_target.type_name().to_owned();
        let note = match fit {
            _ if at_target.column.generated => Some("computed by the target, not written".to_owned()),
            Fit::Exact => None,
            Fit::Widened => Some("widened".to_owned()),
            Fit::Narrowed | Fit::Foreign => Some("does not fit".to_owned()),
        };
        if matches!(fit, Fit::Narrowed | Fit::Foreign) && !at_target.column.generated {
            let source_type = column.native.clone().unwrap_or_else(|| column.logical.to_string());
            blocker(
                plan,
                Error::new(&codes::TYPE_MISMATCH, "write column", format!("`{name}.{}`", column.name))
                    .because(format!(
                        "its values are {source_type}, and the target's column is {target_type}"
                    ))
                    .hint(format!(
                        "Add a step `cast: {{ {}: \"{}\" }}`, or change the target",
                        column.name,
                        cast_type(at_target)
                    )),
            );
        }
        plan.columns.push(ColumnPlan::new(column, target_type, note));
    }
    if target.task == Task::Delete {
        // Its keys are looked for, and no row is made.
        return;
    }
    for column in &reconciled.missing {
        if target.write == WriteMode::Overwrite {
            blocker(
                plan,
                Error::new(&codes::COLUMN_MISSING, "write column", format!("`{name}.{}`", column.name))
                    .because("the target has no such column, and the table is not one that Syncline made")
                    .hint(format!(
                        "Add the column to the target, or leave it out with `drop: [{}]`",
                        column.name
                    )),
            );
        }
        warn_of_text(target, column, plan);
        let target_type = made(column).map(|made| made.type_name.clone()).unwrap_or_default();
        plan.columns.push(ColumnPlan::new(column, target_type, Some("added".to_owned())));
    }
    let unfilled = reconciled.unfilled.iter().filter(|_| target.task == Task::Load);
    for column in unfilled {
        blocker(
            plan,
            Error::new(&codes::COLUMN_MISSING, "fill column", format!("`{name}.{}`", column.name))
                .because("it may not be NULL, has no default, and the stream has no such column")
                .hint("Give it a default, or add it with `set`"),
        );
    }
}

/// A type that only its own system knows loses its meaning here. One of MySQL that this server lacks
/// has a note of its own.
fn warn_of_text(target: &Target, column: &Column, plan: &mut TargetPlan) {
    if column.logical == LogicalType::Opaque && target.schema.dialect != NAME {
        plan.findings.push(Finding::warning(format!(
            "column `{}` of `{}`: MySQL has nothing like {}, so it is kept as the text that its source writes",
            column.name,
            target.name,
            column.native.as_deref().unwrap_or("its type")
        )));
    }
}

/// What to cast to, so that values fit a column.
fn cast_type(there: &MysqlColumn) -> String {
    match there.type_name() {
        // Characters may have four bytes.
        native @ ("tinytext" | "text" | "mediumtext") => format!("varchar({})", bytes_max(native) / 4),
        native if matches!(base(native), "char" | "varchar") => native.to_owned(),
        _ => there.column.logical.to_string(),
    }
}

/// Types that mean the same to us may still differ in what they take.
pub(super) fn by_native(column: &Column, at_target: &MysqlColumn, fit: Fit) -> Fit {
    use LogicalType as L;
    let native = at_target.type_name();
    let wide = |fits: bool| if fits { Fit::Widened } else { Fit::Narrowed };
    let length = argument(native);
    match (base(native), column.logical) {
        // Texts that are none of the labels may still be the number of one.
        ("enum" | "set", L::Text { .. }) => {
            let fits = column.labels.as_ref().zip(at_target.column.labels.as_ref());
            wide(fits.is_some_and(|(labels, allowed)| labels.iter().all(|label| allowed.contains(label))))
        }
        ("enum" | "set", _) => Fit::Foreign,
        // A year is not any number.
        ("year", _) => Fit::Narrowed,
        // Digits behind the point, as in `float(7,2)`, are rounded without a word.
        ("float" | "double", _) if native.contains('(') => Fit::Narrowed,
        ("decimal" | "float" | "double", _) if native.contains(" unsigned") && !is_unsigned(column) => {
            Fit::Narrowed
        }
        ("mediumint", _) if fit == Fit::Exact => Fit::Narrowed,
        ("bit", L::Bits { length: bits, varying: false }) => {
            if bits.map(u64::from) == length {
                Fit::Exact
            } else {
                Fit::Narrowed
            }
        }
        ("char" | "varchar", L::Uuid) => wide(length >= Some(UUID_CHARS)),
        ("char" | "varchar", L::Text { length: Some(chars), padded: true }) => {
            wide(length >= Some(chars.into()))
        }
        // So many bytes, where our own type knows no limit.
        ("tinytext" | "text" | "mediumtext", L::Text { length, .. }) => {
            wide(length.is_some_and(|length| u64::from(length) * 4 <= bytes_max(native)))
        }
        ("tinytext" | "text" | "mediumtext", _) if fit != Fit::Foreign => Fit::Narrowed,
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob", L::Binary) => {
            let from = column.native.as_deref().unwrap_or_default();
            // Those of a fixed number are filled up with zeros.
            wide(base(native) != "binary" && bytes_max(from) <= bytes_max(native))
        }
        (name, L::Binary) if is_geometry(name) => {
            wide(name == "geometry" && column.native.as_deref().map(base).is_some_and(is_geometry))
        }
        ("time", L::Time { precision }) => wide(u64::from(precision) <= length.unwrap_or(0)),
        ("time", L::Interval) => {
            let from = column.native.as_deref().unwrap_or_default();
            wide(base(from) == "time" && argument(from) <= length)
        }
        (_, L::Opaque) if at_target.column.logical == L::Opaque => Fit::Foreign,
        _ => fit,
    }
}

/// The characters of a UUID with its dashes.
const UUID_CHARS: u64 = 36;

fn is_unsigned(column: &Column) -> bool {
    let by_name = column.native.as_deref().is_some_and(|native| native.contains(" unsigned"));
    by_name
        || matches!(
            column.logical,
            LogicalType::UInt8 | LogicalType::UInt16 | LogicalType::UInt32 | LogicalType::UInt64
        )
}

/// The most bytes that a type of texts or bytes holds.
fn bytes_max(native: &str) -> u64 {
    match base(native) {
        "tinytext" | "tinyblob" => 255,
        "text" | "blob" => 65_535,
        "mediumtext" | "mediumblob" => (1 << 24) - 1,
        "binary" | "varbinary" => argument(native).unwrap_or(1),
        _ => u64::MAX,
    }
}

/// The first number in brackets.
fn argument(native: &str) -> Option<u64> {
    let (_, inside) = native.split_once('(')?;
    inside.split([',', ')']).next()?.parse().ok()
}

pub(super) fn key(target: &Target, seen: &Seen, plan: &mut TargetPlan) {
    let has_key = seen.table.as_ref().map(|table| table.has_key(&target.key));
    plan.findings.extend(key_problem(target, has_key).map(Finding::blocker));
}

/// A table that is made has the stream's key, and not every type can have one.
pub(super) fn key_types(target: &Target, seen: &Seen, shape: &Shape, plan: &mut TargetPlan) {
    if seen.table.is_some() && !seen.new_shape(target) {
        return;
    }
    let error = || Error::new(&codes::UNMAPPED_TYPE, "create key of", format!("`{}`", target.name));
    let mut can_be = true;
    for name in &target.key {
        let Some(made) = shape.of(target, name) else { continue };
        if !can_be_key(&made.type_name) {
            can_be = false;
            let reason = format!(
                "`{name}` becomes {}, and MySQL has no keys over texts without a length",
                made.type_name
            );
            let hint =
                format!("Add a step `cast: {{ {name}: varchar(255) }}`, or name another key with --key");
            blocker(plan, error().because(reason).hint(hint));
        }
    }
    let bytes = shape.key_bytes(target);
    if can_be && bytes > KEY_BYTES_MAX {
        let reason = format!("its columns may take {bytes} bytes, and a key has {KEY_BYTES_MAX} at most");
        let hint = "Shorten its columns with a `cast` step, or name another key with --key";
        blocker(plan, error().because(reason).hint(hint));
    }
}
