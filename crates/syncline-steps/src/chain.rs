//! A stream's steps, bound to its schema and ready to run.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use syncline_types::{Column, Error, Predicate, Result, TableSchema, codes, row_json};

use crate::{
    Mask, StepSpec, cast, drop, filter,
    frame::{Form, Frame, FrameColumn},
    mask::{self, HASHED, MaskKey},
    program::{Applied, Program},
    pushdown, rename, set, validate,
};

/// Changes with the meaning of the steps, so that a run that began under another one is not resumed.
const SEMANTICS: u32 = 1;
/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// What happens to a stream's rows, step by step.
///
/// Bound once to the stream's whole schema. The batches that it is given may hold all of its
/// columns or only those of [`Chain::input_columns`], in that order.
#[derive(Clone, Debug)]
pub struct Chain {
    input: TableSchema,
    output: TableSchema,
    program: Program,
    columns: Vec<String>,
    pushdown: Option<Predicate>,
    letter: Vec<Shown>,
    key: Option<MaskKey>,
    fingerprint: String,
    steps: Vec<String>,
    /// Where each input column that goes out as it came in is found: input and output name.
    carried: Vec<(String, String)>,
    masked: Vec<String>,
    within: bool,
}

/// A column of a dead letter.
#[derive(Clone, Debug)]
struct Shown {
    /// Its place in the input schema.
    input: usize,
    hashed: bool,
}

impl Chain {
    /// Binds steps to a stream's schema. Every mistake that can be seen without a row is found here.
    /// `stream` is the stream's name at its source, which `encrypt` masks derive their keys from.
    ///
    /// # Errors
    /// [`codes::UNKNOWN_COLUMN`], [`codes::BAD_EXPRESSION`] with line and column in the expression,
    /// [`codes::BAD_VALUE`] for what cannot be (two columns of one name, no column left, NULL in a
    /// column that is NOT NULL), [`codes::NO_MASK_KEY`].
    pub fn bind(
        specs: &[StepSpec],
        input: &TableSchema,
        mask_key: Option<&SecretString>,
        stream: &str,
    ) -> Result<Chain> {
        Self::bind_within(None, specs, input, mask_key, stream)
    }

    /// As [`Chain::bind`], over the input's rows for which a condition is true. It is none of the
    /// steps: neither [`Chain::fingerprint`] nor [`Chain::steps`] tells of it.
    ///
    /// # Errors
    /// As [`Chain::bind`].
    pub fn bind_within(
        condition: Option<&str>,
        specs: &[StepSpec],
        input: &TableSchema,
        mask_key: Option<&SecretString>,
        stream: &str,
    ) -> Result<Chain> {
        let key = mask_key.and_then(MaskKey::new);
        let mut frame = Frame::new(input);
        if let Some(condition) = condition {
            filter::bind(&mut frame, condition, "the window of the run")?;
        }
        for (at, spec) in specs.iter().enumerate() {
            let step = format!("step {}, `{}`", at + 1, spec.name());
            bind_step(&mut frame, spec, key.as_ref(), stream, &step)?;
        }
        let output = frame.schema();
        let letter = shown(&frame);
        let pushdown = pushdown::all(frame.pushed);
        let outgoing = frame.columns.iter().map(|column| column.slot).collect();
        let program = Program::new(frame.ops, frame.slots, outgoing, output.arrow());
        let columns = columns_read(&program, input);
        Ok(Chain {
            fingerprint: fingerprint(specs, key.as_ref())?,
            input: input.clone(),
            output,
            program,
            columns,
            pushdown,
            letter,
            key,
            steps: specs.iter().map(ToString::to_string).collect(),
            carried: carried(&frame.columns, input),
            masked: frame.masked.iter().map(|at| input.columns[*at].name.clone()).collect(),
            within: condition.is_some(),
        })
    }

    /// The same steps for some of the columns that come out, in the order of [`Chain::output`]: what
    /// only the others need is not done, and rows that fail in it are not rejected for it. Filters stay.
    ///
    /// # Errors
    /// [`codes::UNKNOWN_COLUMN`] when one of them does not come out.
    pub fn only(&self, columns: &[String]) -> Result<Chain> {
        self.output.indexes(columns)?;
        let places: Vec<usize> = (0..self.output.columns.len())
            .filter(|place| columns.contains(&self.output.columns[*place].name))
            .collect();
        let mut output = self.output.clone();
        output.columns = places.iter().map(|place| self.output.columns[*place].clone()).collect();
        let program = self.program.only(&places, output.arrow());
        let columns = columns_read(&program, &self.input);
        // Without steps a batch goes through as it is, whatever its columns are.
        Ok(Chain { output, columns, program, ..self.clone() })
    }

    /// The output column that holds an input column's values as they are.
    pub fn carrier(&self, input: &str) -> Option<&str> {
        self.carried.iter().find(|(name, _)| name == input).map(|(_, output)| output.as_str())
    }

    /// The input columns whose values a mask hides.
    pub fn masked(&self) -> &[String] {
        &self.masked
    }

    /// What shows that the key of the masks is another one; `None` without a key.
    pub fn key_check(&self) -> Option<String> {
        self.seal(0).map(|seal| format!("{seal:032x}"))
    }

    /// A hash that nobody without the key of the masks can compute; `None` without a key.
    pub fn seal(&self, hash: u128) -> Option<u128> {
        let mut text = String::new();
        self.key.as_ref()?.write(&format!("syncline seal {hash:032x}"), &mut text);
        text.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok())
    }

    /// The schema after the steps.
    pub fn output(&self) -> &TableSchema {
        &self.output
    }

    /// The columns of the input that the steps or the output need, in input order: a source has to
    /// read only these.
    pub fn input_columns(&self) -> &[String] {
        &self.columns
    }

    /// What the source could check itself of the filters, in the names of its own columns. A row
    /// for which it is not true does not come out of the chain; the chain checks all the same.
    pub fn pushdown(&self) -> Option<Predicate> {
        self.pushdown.clone()
    }

    /// Whether rows go through as they are.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && !self.within
    }

    /// Each step in one line.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// A text that changes with what the steps do, and with the key of the masks if one is used.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Runs the steps over a batch. A row on which one fails is rejected, the others go on.
    ///
    /// # Errors
    /// [`codes::BROKEN_INVARIANT`] when the batch does not have the input's columns.
    pub fn apply(&self, rows: RecordBatch) -> Result<Applied> {
        if self.is_empty() {
            return Ok(Applied { rows, rejects: vec![], source_rows: None });
        }
        self.program.run(self.columns_of(&rows)?, rows.num_rows())
    }

    /// An input row for the dead letters, as JSON: the columns that go on as they are or in another
    /// type, under the names that the input has for them. A column that a mask touches, be it on a
    /// way round through `set`, is left out, but that a primary key masked by `hash` or `encrypt` stands
    /// there hashed. So is one that is dropped or overwritten: it was not meant to go anywhere.
    ///
    /// # Errors
    /// [`codes::BROKEN_INVARIANT`] when the batch does not have the input's columns, or the row.
    pub fn letter(&self, input: &RecordBatch, row: usize) -> Result<serde_json::Value> {
        if row >= input.num_rows() {
            return Err(wrong_batch("it has no such row"));
        }
        let all = self.columns_of(&input.slice(row, 1))?;
        let mut columns = vec![];
        let mut arrays = vec![];
        for shown in &self.letter {
            let Some(array) = all.get(shown.input).cloned().flatten() else { continue };
            let (column, array) = self.shown_value(shown, array)?;
            columns.push(column);
            arrays.push(array);
        }
        let schema = TableSchema::new(self.input.dialect.clone(), columns);
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch = RecordBatch::try_new_with_options(schema.arrow(), arrays, &options)
            .map_err(|_| wrong_batch("a column is not of its type"))?;
        row_json(&batch, &schema, 0)
    }

    fn shown_value(&self, shown: &Shown, array: ArrayRef) -> Result<(Column, ArrayRef)> {
        let column = &self.input.columns[shown.input];
        match (&self.key, shown.hashed) {
            (_, false) => Ok((Column { nullable: true, ..column.clone() }, array)),
            (Some(key), true) => {
                let (hashes, _) = key.hash(&array, column.logical)?;
                Ok((Column::new(&column.name, HASHED), hashes))
            }
            (None, true) => Err(wrong_batch("a hashed column has no key")),
        }
    }

    /// The batch's columns by their places in the input schema.
    fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<Option<ArrayRef>>> {
        let mut slots = vec![None; self.input.columns.len()];
        let is_whole = batch.num_columns() == self.input.columns.len();
        let mut given = batch.schema_ref().fields().iter().zip(batch.columns());
        for (slot, column) in self.input.columns.iter().enumerate() {
            if !is_whole && !self.columns.contains(&column.name) {
                continue;
            }
            match given.next() {
                Some((field, array))
                    if *field.name() == column.name && *array.data_type() == column.logical.arrow() =>
                {
                    slots[slot] = Some(Arc::clone(array));
                }
                _ => return Err(wrong_batch(&format!("column `{}` is not where it should be", column.name))),
            }
        }
        match given.next() {
            None => Ok(slots),
            Some(_) => Err(wrong_batch("it has too many columns")),
        }
    }
}

fn bind_step(
    frame: &mut Frame,
    spec: &StepSpec,
    key: Option<&MaskKey>,
    stream: &str,
    step: &str,
) -> Result<()> {
    match spec {
        StepSpec::Rename(names) => rename::bind(frame, names, step),
        StepSpec::Drop(names) => drop::bind(frame, names, step),
        StepSpec::Cast(types) => cast::bind(frame, types, step),
        StepSpec::Set(expressions) => set::bind(frame, expressions, step),
        StepSpec::Filter(condition) => filter::bind(frame, condition, step),
        StepSpec::Mask(masks) => mask::bind(frame, masks, key, stream, step),
        StepSpec::Validate(schema) => validate::bind(frame, schema, step),
    }
}

/// The columns of the input that a program needs, in input order.
fn columns_read(program: &Program, input: &TableSchema) -> Vec<String> {
    let needed = program.needed().iter().filter_map(|slot| input.columns.get(*slot));
    let mut columns: Vec<String> = needed.map(|column| column.name.clone()).collect();
    if columns.is_empty() {
        // Rows of no column could not be counted.
        columns.extend(input.columns.first().map(|column| column.name.clone()));
    }
    columns
}

fn wrong_batch(reason: &str) -> Error {
    Error::new(&codes::BROKEN_INVARIANT, "run the steps over a batch", "").because(reason)
}

fn carried(columns: &[FrameColumn], input: &TableSchema) -> Vec<(String, String)> {
    let as_it_is = columns.iter().filter_map(|column| match column.lineage.carries {
        Some((at, Form::Same)) => Some((input.columns[at].name.clone(), column.column.name.clone())),
        _ => None,
    });
    as_it_is.collect()
}

/// The columns that a dead letter may hold.
fn shown(frame: &Frame) -> Vec<Shown> {
    let comes_out = |input: usize, forms: &[Form]| {
        let carries = |carried: Option<(usize, Form)>| {
            carried.is_some_and(|(at, form)| at == input && forms.contains(&form))
        };
        frame.columns.iter().any(|column| carries(column.lineage.carries))
    };
    let columns = frame.input.columns.iter().enumerate();
    columns
        .filter_map(|(input, column)| {
            let is_key = frame.input.key.contains(&column.name);
            let shown = match frame.masked.contains(&input) {
                true => is_key && comes_out(input, &[Form::Hidden]),
                false => comes_out(input, &[Form::Same, Form::Converted]),
            };
            shown.then(|| Shown { input, hashed: frame.masked.contains(&input) })
        })
        .collect()
}

/// Steps as they are written, what they mean, and what shows that the key is another one.
fn fingerprint(specs: &[StepSpec], key: Option<&MaskKey>) -> Result<String> {
    let mut text = format!("{SEMANTICS}\n");
    for spec in specs {
        text.push_str(&serde_json::to_string(spec).map_err(|_| {
            Error::new(&codes::BROKEN_INVARIANT, "write down a step", "").because("it does not serialise")
        })?);
        text.push('\n');
    }
    let keyed = |spec: &StepSpec| match spec {
        StepSpec::Mask(masks) => masks.iter().any(|(_, mask)| matches!(mask, Mask::Hash | Mask::Encrypt)),
        _ => false,
    };
    if let (Some(key), true) = (key, specs.iter().any(keyed)) {
        key.write("syncline steps fingerprint", &mut text);
    }
    let digest = Sha256::digest(text.as_bytes());
    Ok(digest.iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect())
}
