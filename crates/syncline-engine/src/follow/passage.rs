//! How a stream's changes go through its steps.
//!
//! Rows that inserts and updates have left go through all of them. Of what is gone only the key is
//! known, so only the steps that make the key are done, and no filter: a row that a filter held back
//! is not at the target, and deleting what is not there does nothing. An update by which a row no
//! longer passes a filter deletes it.
//!
//! Where there is no key at either end all values of what is gone are known, and all steps are done: a row
//! is looked for as it was written, and one that was never written is not looked for.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_select::interleave::interleave;
use secrecy::SecretString;
use syncline_config::Deletes;
use syncline_connect::{Changes, Read, Reject, Target, Went, WriteMode, Written};
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Error, Result, TableSchema, codes};

use super::net::Passed;

/// A stream's steps, bound for its changes.
#[derive(Debug)]
pub struct Passage {
    rows: Chain,
    gone: Chain,
    /// Of the source's columns, those that `gone` needs.
    gone_needs: Vec<usize>,
    /// The key's places in what `gone` gives.
    key: Vec<usize>,
    /// For each column that comes out, the places of the columns it is made of.
    made_of: Vec<Vec<usize>>,
    /// The places of the columns by which rows are left out or refused.
    decide: Vec<usize>,
    /// What the rows have as they come.
    rows_input: Vec<String>,
    /// What happens to rows at the target that are deleted at the source.
    deletes: Deletes,
    /// Whether every value has to be told, since each change is written down as it is.
    writes_all: bool,
    /// Whether rows are found by all their values.
    by_values: bool,
}

impl Passage {
    /// Binds a stream's steps, of which the columns `told` say which row it is.
    ///
    /// # Errors
    /// As [`Chain::bind`]; [`codes::KEY_MISSING`] when the key at the target is made of more than the
    /// key at the source, which is all that a deletion tells.
    pub fn bind(
        steps: &[StepSpec],
        read: &Read,
        target: &Target,
        told: &[String],
        deletes: Deletes,
        mask_key: Option<&SecretString>,
        stream: &str,
    ) -> Result<Self> {
        let (input, key) = (read.logged_schema(), told);
        let bind = |steps: &[StepSpec]| Chain::bind(steps, &input, mask_key, stream);
        let rows = bind(steps)?;
        let open: Vec<StepSpec> = steps
            .iter()
            .filter(|step| !matches!(step, StepSpec::Filter(_) | StepSpec::Validate(_)))
            .cloned()
            .collect();
        let open = bind(&open)?;
        let places = |chain: &Chain, column: &str| -> Result<Vec<usize>> {
            input.indexes(chain.only(&[column.to_owned()])?.input_columns())
        };
        let made_of = rows
            .output()
            .columns
            .iter()
            .map(|column| places(&open, &column.name))
            .collect::<Result<Vec<_>>>()?;
        let decide = match steps.len() == open.steps().len() {
            true => vec![],
            // Whatever is needed beyond what the columns are made of.
            false => deciding(steps, &input, mask_key, stream)?,
        };
        let by_values =
            target.write != WriteMode::Append && target.key.is_empty() && read.schema().key.is_empty();
        let gone = if by_values { bind(steps)? } else { open.only(key)? };
        let gone_needs = input.indexes(gone.input_columns())?;
        let told = read.gone_schema();
        if let Some(column) = gone.input_columns().iter().find(|column| told.index(column).is_none()) {
            return Err(Error::new(&codes::KEY_MISSING, "follow stream", format!("`{stream}`"))
                .because(format!(
                    "its key at the target is made of `{column}`, and a deletion tells only the source's key ({})",
                    told.key.join(", ")
                ))
                .hint("Let the key at the target be the source's own"));
        }
        let key = match by_values {
            true => (0..gone.output().columns.len()).collect(),
            false => gone.output().indexes(key)?,
        };
        let writes_all = target.write == WriteMode::Append;
        let rows_input = input.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Passage {
            rows,
            gone,
            gone_needs,
            key,
            made_of,
            decide,
            rows_input,
            deletes,
            writes_all,
            by_values,
        })
    }

    /// The source's columns of which something is decided, or computed together with others: the log has
    /// to tell their values with every update.
    pub fn needs_told<'a>(&self, lacking: &'a [String]) -> Option<&'a String> {
        let columns = &self.rows_input;
        let at = |name: &String| columns.iter().position(|column| column == name);
        let lacking: Vec<(&String, usize)> =
            lacking.iter().filter_map(|name| Some((name, at(name)?))).collect();
        if self.writes_all || self.by_values || !self.decide.is_empty() {
            // A row that comes to pass a filter is not at the target, and has to be whole.
            return lacking.first().map(|(name, _)| *name);
        }
        let mixed = |place: usize| {
            let others = |places: &Vec<usize>| places.len() > 1 && places.contains(&place);
            self.made_of.iter().any(others)
        };
        lacking.into_iter().find(|(_, place)| mixed(*place)).map(|(name, _)| name)
    }

    /// Whether the stream has no key, here and there, so that rows are found by all their values.
    pub fn by_values(&self) -> bool {
        self.by_values
    }

    /// Whether rows that are deleted at the source stay at the target.
    pub fn keeps(&self) -> bool {
        self.deletes == Deletes::Ignore
    }

    /// Whether rows that are deleted at the source are marked at the target.
    pub fn marks(&self) -> bool {
        self.deletes == Deletes::Soft
    }

    /// Runs the steps over changes. Rows that cannot go on are given back by their place in
    /// [`Changes::rows`].
    pub(crate) fn pass(&self, changes: &Changes) -> Result<(Passed, Vec<Reject>)> {
        let applied = self.rows.apply(changes.rows.clone())?;
        let mut rejects = applied.rejects;
        let count = changes.rows.num_rows();
        let source_rows: Vec<usize> = match applied.source_rows {
            Some(rows) => rows.into_iter().map(|row| row as usize).collect(),
            None => (0..count).collect(),
        };
        let unclear = self.unclear(changes, &source_rows);
        rejects.extend(unclear.iter().map(|row| Reject {
            row: u32::try_from(*row).unwrap_or(u32::MAX),
            place: None,
            error:
                Error::new(&codes::LOG_INCOMPLETE, "run the steps over", "a change").because(
                    "they need a value that the update has left alone, which the log does not repeat",
                ),
        }));
        let keep: Vec<usize> =
            (0..source_rows.len()).filter(|at| !unclear.contains(&source_rows[*at])).collect();
        let rows = take(&applied.rows, &keep)?;
        let kept: Vec<usize> = keep.iter().map(|at| source_rows[*at]).collect();
        let written: Vec<Written> = kept.iter().map(|row| changes.written[*row]).collect();
        let absent = self.made_of.iter().map(|places| absent(changes, places, &kept)).collect();
        // What neither goes on nor is refused was filtered out.
        let mut out = vec![true; count];
        let refused = rejects.iter().map(|reject| reject.row as usize);
        source_rows.iter().copied().chain(refused).for_each(|row| out[row] = false);
        // What such a row was before is told apart where there is no key.
        let left_out: Vec<usize> = (0..count).filter(|row| out[*row] && !self.by_values).collect();
        let (gone, went) = self.gone(changes, &left_out)?;
        let truncated = changes.truncated.filter(|_| !self.keeps());
        let passed = Passed { rows, written, absent, gone, went, truncated };
        Ok((passed, rejects))
    }

    /// Rows of which something is computed that the log does not have all of.
    fn unclear(&self, changes: &Changes, rows: &[usize]) -> Vec<usize> {
        if changes.absent.iter().all(Option::is_none) {
            return vec![];
        }
        let lacks =
            |place: usize, row: usize| changes.absent[place].as_ref().is_some_and(|absent| absent.value(row));
        let unclear = |row: usize| {
            self.decide.iter().any(|place| lacks(*place, row))
                || self.made_of.iter().any(|places| {
                    let lacking = places.iter().filter(|place| lacks(**place, row)).count();
                    lacking > 0 && lacking < places.len()
                })
        };
        rows.iter().copied().filter(|row| unclear(*row)).collect()
    }

    /// Keys of what is gone, or all its values, and keys of rows that are left out, in the order of the log.
    fn gone(&self, changes: &Changes, left_out: &[usize]) -> Result<(RecordBatch, Vec<Went>)> {
        let schema = changes.gone.schema();
        let rows = changes.rows.schema();
        let mut columns: Vec<(ArrayRef, ArrayRef)> = vec![];
        for place in &self.gone_needs {
            let name = rows.field(*place).name();
            let at = schema.index_of(name).map_err(|error| broken(&error))?;
            columns.push((changes.gone.column(at).clone(), changes.rows.column(*place).clone()));
        }
        // From where each comes: the one batch or the other, and which row of it.
        let went = changes.went.iter().enumerate().filter(|(_, went)| went.moved || !self.keeps());
        let mut order: Vec<(Went, usize, usize)> = went.map(|(row, went)| (*went, 0, row)).collect();
        order.extend(left_out.iter().map(|row| {
            let sequence = changes.written[*row].sequence;
            (Went { sequence, moved: false }, 1, *row)
        }));
        order.sort_unstable_by_key(|(went, _, _)| went.sequence);
        let places: Vec<(usize, usize)> = order.iter().map(|(_, batch, row)| (*batch, *row)).collect();
        let columns = columns
            .iter()
            .map(|(gone, rows)| interleave(&[gone.as_ref(), rows.as_ref()], &places))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| broken(&error))?;
        let input = rows.project(&self.gone_needs).map_err(|error| broken(&error))?;
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let input = RecordBatch::try_new_with_options(input.into(), columns, &options)
            .map_err(|error| broken(&error))?;
        let applied = self.gone.apply(input)?;
        let keys = applied.rows.project(&self.key).map_err(|error| broken(&error))?;
        let went = match applied.source_rows {
            Some(rows) => rows.into_iter().map(|row| order[row as usize].0).collect(),
            None => order.iter().map(|(went, _, _)| *went).collect(),
        };
        // A row that a step refuses was refused when it came, if it is found by what the steps make of it.
        if let Some(reject) = applied.rejects.into_iter().next().filter(|_| !self.by_values) {
            // Without it the row would stay at the target for good.
            return Err(reject.error);
        }
        Ok((keys, went))
    }
}

/// Which of `rows` lack a value that is made of the columns at `places`.
fn absent(changes: &Changes, places: &[usize], rows: &[usize]) -> Option<BooleanBuffer> {
    let absent: Vec<&BooleanBuffer> =
        places.iter().map(|place| changes.absent[*place].as_ref()).collect::<Option<_>>()?;
    let first = absent.first()?;
    let absent = BooleanBuffer::collect_bool(rows.len(), |at| first.value(rows[at]));
    (absent.count_set_bits() > 0).then_some(absent)
}

/// The columns that filters and schemas look at.
fn deciding(
    steps: &[StepSpec],
    input: &TableSchema,
    mask_key: Option<&SecretString>,
    stream: &str,
) -> Result<Vec<usize>> {
    // Bound up to the last of them and asked for a column only: filters stay, and what the column is
    // made of is little. Too many columns here refuse a row that could have passed, never the other way.
    let last = steps.iter().rposition(|step| matches!(step, StepSpec::Filter(_) | StepSpec::Validate(_)));
    let Some(last) = last else { return Ok(vec![]) };
    let chain = Chain::bind(&steps[..=last], input, mask_key, stream)?;
    let column = chain.output().key.first().or(chain.output().columns.first().map(|column| &column.name));
    let Some(column) = column.cloned() else { return Ok(vec![]) };
    input.indexes(chain.only(&[column])?.input_columns())
}

fn take(rows: &RecordBatch, keep: &[usize]) -> Result<RecordBatch> {
    if keep.len() == rows.num_rows() {
        return Ok(rows.clone());
    }
    let places: Vec<(usize, usize)> = keep.iter().map(|row| (0, *row)).collect();
    let columns = rows
        .columns()
        .iter()
        .map(|column| interleave(&[column.as_ref() as &dyn Array], &places))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| broken(&error))?;
    let options = RecordBatchOptions::new().with_row_count(Some(keep.len()));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options).map_err(|error| broken(&error))
}

fn broken(reason: &dyn std::fmt::Display) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "run the steps over changes", "").because(reason)
}
