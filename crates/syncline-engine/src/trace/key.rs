//! The key that a row is asked for by: what was written, by the source's columns, in their types.

use std::{str::FromStr, sync::Arc};

use arrow_array::{
    Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray, new_null_array,
    types::{ArrowPrimitiveType, Int8Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Column, Error, LogicalType, Result, TableSchema, codes, text::Values};

use crate::shell::{StreamWork, work::broken};

/// The key of one row.
pub(super) struct Key {
    /// The source's columns, each with the value's text as it was written.
    pub(super) columns: Vec<(String, String)>,
}

impl Key {
    /// Reads `COLUMN=VALUE` of each column, or the value alone where there is one column. The columns are
    /// the key's at the source, or those at the target that come from columns of the source as they are.
    pub(super) fn read(written: &[String], work: &StreamWork) -> Result<Self> {
        let stream = &work.read.stream;
        let own: Vec<(String, String)> =
            stream.schema.key.iter().map(|name| (name.clone(), name.clone())).collect();
        // As they are called at the target, and at the source.
        let carried = |name: &String| {
            let input = work.read.columns.iter().find(|input| work.chain.carrier(input) == Some(name))?;
            Some((name.clone(), input.clone()))
        };
        let there: Vec<(String, String)> =
            work.target.key.iter().map(carried).collect::<Option<_>>().unwrap_or_default();
        let mut ways: Vec<Vec<(String, String)>> = vec![own, there];
        ways.retain(|way| !way.is_empty());
        if ways.is_empty() {
            return Err(Error::new(&codes::KEY_MISSING, "find a row of", format!("`{}`", stream.name))
                .because("it has no key, so nobody can say which row is which"));
        }
        let bare = || match (written, ways.first().map(Vec::as_slice)) {
            ([value], Some([(_, input)])) => Some(vec![(input.clone(), value.clone())]),
            _ => None,
        };
        let found = ways.iter().find_map(|way| assign(written, way));
        found.or_else(bare).map(|columns| Key { columns }).ok_or_else(|| {
            let names = |way: &Vec<(String, String)>| {
                way.iter().map(|(name, _)| format!("{name}=...")).collect::<Vec<_>>().join(" ")
            };
            let mut all: Vec<String> = ways.iter().map(names).collect();
            all.dedup();
            Error::new(&codes::BAD_USAGE, "read the key of a row of", format!("`{}`", stream.name))
                .because("what is written does not name the columns of its key, each once")
                .hint(format!("Write {}", all.join(" or ")))
        })
    }

    /// The source's names of its columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The values in the one text form that each has, and in their types where a text can be read into them.
    pub(super) fn typed(&self, schema: &TableSchema) -> Result<(Vec<String>, Option<Vec<ArrayRef>>)> {
        let mut texts = vec![];
        let mut arrays = Some(vec![]);
        for (name, text) in &self.columns {
            let column = schema.column(name).ok_or_else(|| schema.unknown_column(name))?;
            let array = typed(column, text)?;
            let own = match &array {
                Some(array) => Values::new(array, column.logical)?.text(0).unwrap_or_default(),
                None => text.clone(),
            };
            texts.push(own);
            arrays = arrays.zip(array).map(|(mut all, array)| {
                all.push(array);
                all
            });
        }
        Ok((texts, arrays))
    }

    /// A row of which only the key is known: every other column is NULL.
    pub(super) fn row(&self, schema: &TableSchema, arrays: &[ArrayRef]) -> Result<RecordBatch> {
        let column = |column: &Column| {
            let place = self.columns.iter().position(|(name, _)| *name == column.name);
            let array = place.and_then(|place| arrays.get(place)).cloned();
            array.unwrap_or_else(|| new_null_array(&column.logical.arrow(), 1))
        };
        let columns = schema.columns.iter().map(column).collect();
        let mut schema = schema.clone();
        schema.columns.iter_mut().for_each(|column| column.nullable = true);
        RecordBatch::try_new(schema.arrow(), columns).map_err(|error| broken(&error.to_string()))
    }
}

/// Each column of a way with its value, if all of them and no others are written.
fn assign(written: &[String], way: &[(String, String)]) -> Option<Vec<(String, String)>> {
    if written.len() != way.len() {
        return None;
    }
    let value = |(name, input): &(String, String)| {
        let mut values =
            written.iter().filter_map(|text| text.strip_prefix(name.as_str())?.strip_prefix('='));
        let value = values.next()?;
        values.next().is_none().then(|| (input.clone(), value.to_owned()))
    };
    way.iter().map(value).collect()
}

/// A value read into its column's type by the same step that would convert it; `None` where there is no
/// such step.
fn typed(column: &Column, text: &str) -> Result<Option<ArrayRef>> {
    let wrong = || {
        Error::new(&codes::BAD_VALUE, "look for a row by", format!("`{}`", column.name))
            .because(format!("what is written is no {}", column.logical))
    };
    if let Some(array) = unnamed(column.logical, text) {
        return array.map(Some).ok_or_else(wrong);
    }
    let Some(name) = sql_name(column.logical) else { return Ok(None) };
    let input = TableSchema::new("key", vec![Column::new("value", LogicalType::TEXT)]);
    let cast = StepSpec::Cast([("value".to_owned(), name)].into_iter().collect());
    let chain = Chain::bind(&[cast], &input, None, "key")?;
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let rows =
        RecordBatch::try_new(input.arrow(), vec![array]).map_err(|error| broken(&error.to_string()))?;
    let applied = chain.apply(rows)?;
    if applied.rows.num_rows() != 1 {
        return Err(wrong());
    }
    let array = Arc::clone(applied.rows.column(0));
    Ok((*array.data_type() == column.logical.arrow() && array.is_valid(0)).then_some(array))
}

/// A whole number of a type that steps have no name for, if it is one.
fn unnamed(logical: LogicalType, text: &str) -> Option<Option<ArrayRef>> {
    fn array<T: ArrowPrimitiveType>(text: &str) -> Option<ArrayRef>
    where
        T::Native: FromStr,
    {
        let value = text.trim().parse::<T::Native>().ok()?;
        Some(Arc::new(PrimitiveArray::<T>::from_value(value, 1)))
    }
    match logical {
        LogicalType::Int8 => Some(array::<Int8Type>(text)),
        LogicalType::UInt8 => Some(array::<UInt8Type>(text)),
        LogicalType::UInt16 => Some(array::<UInt16Type>(text)),
        LogicalType::UInt32 => Some(array::<UInt32Type>(text)),
        LogicalType::UInt64 => Some(array::<UInt64Type>(text)),
        _ => None,
    }
}

/// What a step calls a type that a text can be read into.
fn sql_name(logical: LogicalType) -> Option<String> {
    use LogicalType as L;
    Some(match logical {
        L::Bool => "boolean".to_owned(),
        L::Int16 => "smallint".to_owned(),
        L::Int32 => "integer".to_owned(),
        L::Int64 => "bigint".to_owned(),
        L::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        L::Numeric => "numeric".to_owned(),
        L::Text { .. } => "text".to_owned(),
        L::Date => "date".to_owned(),
        L::Timestamp { zoned: true, .. } => "timestamptz".to_owned(),
        L::Timestamp { zoned: false, .. } => "timestamp".to_owned(),
        L::Uuid => "uuid".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), format!("at {name}"))).collect()
    }

    fn assigned(written: &[&str], names: &[&str]) -> Option<String> {
        let written: Vec<String> = written.iter().map(|text| (*text).to_owned()).collect();
        let columns = assign(&written, &way(names))?;
        Some(columns.into_iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn keys_are_read_in_any_order_and_whole() {
        assert_eq!(assigned(&["id=7"], &["id"]).as_deref(), Some("at id: 7"));
        assert_eq!(assigned(&["a=b"], &["id"]), None);
        assert_eq!(assigned(&["b=x=y", "a=1"], &["a", "b"]).as_deref(), Some("at a: 1, at b: x=y"));
        for wrong in [&["a=1"][..], &["a=1", "2"], &["a=1", "a=2"], &["a=1", "b=2", "c=3"]] {
            assert_eq!(assigned(wrong, &["a", "b"]), None, "{wrong:?}");
        }
    }

    #[test]
    fn texts_are_read_into_their_types() {
        let typed = |logical, text: &str| typed(&Column::new("id", logical), text);
        let array = typed(LogicalType::Int32, "007").unwrap().unwrap();
        assert_eq!(Values::new(&array, LogicalType::Int32).unwrap().text(0).unwrap(), "7");
        assert_eq!(typed(LogicalType::Int32, "seven").unwrap_err().code(), &codes::BAD_VALUE);
        let array = typed(LogicalType::UInt32, "4294967295").unwrap().unwrap();
        assert_eq!(Values::new(&array, LogicalType::UInt32).unwrap().text(0).unwrap(), "4294967295");
        assert_eq!(typed(LogicalType::UInt8, "256").unwrap_err().code(), &codes::BAD_VALUE);
        assert!(typed(LogicalType::Opaque, "x").unwrap().is_none());
    }
}
