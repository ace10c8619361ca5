//! The schema of Parquet files: ours, where we wrote them, else what their own types mean.

use ::parquet::file::{metadata::FileMetaData, reader::FileReader};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes};

use super::{
    SCHEMA_KEY,
    read::{nested, open},
    types::stored,
};
use crate::{Compression, Input, Types, error, parse_schema};

/// The schema that all files have.
pub(crate) fn schema(
    compression: Compression,
    types: Types,
    inputs: impl IntoIterator<Item = Result<Input>>,
) -> Result<Option<TableSchema>> {
    let mut first: Option<(String, TableSchema)> = None;
    for input in inputs {
        let (name, found) = of_file(compression, types, input?)?;
        match &mut first {
            None => first = Some((name, found)),
            Some((known, schema)) => merge(schema, &found).map_err(|reason| {
                Error::new(
                    &codes::NEEDS_DECISION,
                    "take files for one stream",
                    format!("`{known}` and `{name}`"),
                )
                .because(reason)
                .hint("Name the files of each stream by a glob of their own")
            })?,
        }
    }
    Ok(first.map(|(_, schema)| schema))
}

/// Makes the schema one for both, where only NULL tells them apart.
fn merge(schema: &mut TableSchema, other: &TableSchema) -> Result<(), String> {
    if let Some(column) = other.columns.iter().find(|column| schema.column(&column.name).is_none()) {
        return Err(format!("only the second has a column `{}`", column.name));
    }
    for column in &mut schema.columns {
        match other.column(&column.name) {
            None => return Err(format!("only the first has a column `{}`", column.name)),
            Some(other) if other.logical != column.logical => {
                let (first, second) = (column.logical, other.logical);
                return Err(format!(
                    "column `{}` is {first} in the first and {second} in the second",
                    column.name
                ));
            }
            Some(other) => column.nullable |= other.nullable,
        }
    }
    Ok(())
}

fn of_file(compression: Compression, types: Types, input: Input) -> Result<(String, TableSchema)> {
    let (name, file) = open(input, compression)?;
    let metadata = file.metadata().file_metadata();
    let mut schema = match ours(metadata, &name)? {
        Some(schema) => schema,
        None => theirs(metadata, &name)?,
    };
    if types == Types::Text {
        for column in &mut schema.columns {
            *column = Column { nullable: column.nullable, ..Column::new(&column.name, LogicalType::TEXT) };
        }
    }
    Ok((name, schema))
}

/// Our schema, if it is there and its columns are the file's.
fn ours(metadata: &FileMetaData, name: &str) -> Result<Option<TableSchema>> {
    let entries = metadata.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let text = entries.iter().find(|entry| entry.key == SCHEMA_KEY).and_then(|entry| entry.value.as_deref());
    let Some(text) = text else { return Ok(None) };
    let schema = parse_schema(text, name)?;
    let fields = metadata.schema_descr().root_schema().get_fields();
    let alike = schema.columns.len() == fields.len()
        && schema.columns.iter().zip(fields).all(|(column, field)| column.name == field.name());
    if alike {
        return Ok(Some(schema));
    }
    Err(error::broken(name, "its columns are not those of the schema in its metadata"))
}

/// What the file's own types mean.
fn theirs(metadata: &FileMetaData, name: &str) -> Result<TableSchema> {
    let descriptor = metadata.schema_descr();
    let mut columns = vec![];
    for index in 0..descriptor.num_columns() {
        let column = descriptor.column(index);
        let [field] = column.path().parts() else {
            return Err(nested(column.path().parts().first().map_or("", String::as_str), name));
        };
        if column.max_rep_level() > 0 {
            return Err(nested(field, name));
        }
        let found = Column::new(field, stored(&column).1);
        columns.push(if column.max_def_level() == 0 { found.required() } else { found });
    }
    Ok(TableSchema::new("parquet", columns))
}
