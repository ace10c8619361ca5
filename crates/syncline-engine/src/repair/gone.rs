//! The keys of rows at the target that are to go.

use std::{path::Path, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use syncline_types::{Column, LogicalType, Result};

use super::{
    picked::Pick,
    spill::{Spill, Spilled},
};
use crate::{
    shell::{removal::DELETED_AT, work::broken},
    verify::{pair::Pair, rows, wanted},
};

/// Reads them again, and keeps them in a file: whoever holds a table for reading may keep others from
/// writing to it. With a time, in microseconds, each has a second column that says it.
pub(crate) async fn keep(
    pair: &Pair,
    wanted: wanted::Side,
    folder: &Path,
    deleted_at: Option<i64>,
) -> Result<Spilled> {
    let side = Arc::clone(&pair.target);
    let keys = pair.keys(&side.schema)?;
    let mut schema = side.schema.clone();
    schema.columns.retain(|column| pair.key.contains(&column.name));
    let names: Vec<String> = schema.columns.iter().map(|column| column.name.clone()).collect();
    let places = side.schema.indexes(&names)?;
    if deleted_at.is_some() {
        schema.columns.push(Column::new(DELETED_AT, LogicalType::TIMESTAMPTZ));
    }
    let arrow = schema.arrow();
    let mut spill = Spill::create(folder, "gone", &schema)?;
    let splits: Vec<_> = wanted.splits.into_values().collect();
    let pick = Pick { side, keys, wanted: wanted.keys, splits };
    if pick.wanted.is_empty() {
        return spill.end();
    }
    let mut planned = match pick.splits.is_empty() {
        true => Some(pick.side.session.splitter(&pick.side.read, None).await?),
        false => None,
    };
    let mut known = pick.splits.iter().cloned();
    loop {
        let split = match &mut planned {
            Some(splitter) => splitter.next().await?,
            None => known.next(),
        };
        let Some(split) = split else { return spill.end() };
        rows::each_batch(&pick.side, &split, |batch| {
            let picked = pick.of(batch.clone())?;
            let mut columns: Vec<ArrayRef> =
                places.iter().map(|place| Arc::clone(picked.column(*place))).collect();
            if let Some(time) = deleted_at {
                let times = TimestampMicrosecondArray::from_value(time, picked.num_rows());
                columns.push(Arc::new(times.with_data_type(LogicalType::TIMESTAMPTZ.arrow())));
            }
            let rows = RecordBatch::try_new(Arc::clone(&arrow), columns);
            spill.write(&rows.map_err(|error| broken(&error.to_string()))?)
        })
        .await?;
    }
}
