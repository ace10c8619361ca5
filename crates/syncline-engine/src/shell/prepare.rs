//! From a pipeline to everything a run needs: connections opened, streams found, steps bound,
//! targets planned. Changes nothing anywhere, so `plan` is this and no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use syncline_config::{Deletes, Pipeline, StreamChoice, Sync};
use syncline_connect::{
    AnyConnector, Configured, Context, Delivery, Finding, Log, Read, Report, Selection, Severity, Sink,
    Source, Stream, Target, TargetPlan, Task, WriteMode,
};
use syncline_state::StateDirectory;
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Error, Predicate, Result, StreamName, TableSchema, codes};

use super::{
    ahead::{self, Ahead},
    incremental::Incremental,
    removal::{Reopen, not_deleted, removal_target},
    work::StreamWork,
};
use crate::{
    follow::{self, Passage, story},
    incremental::{Cursor, Kind},
};

/// A pipeline that is ready to run, or to be looked at.
pub struct Prepared {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What the source is.
    pub from: Report,
    /// What the target is.
    pub to: Report,
    /// The source, open.
    pub source: Arc<dyn Source>,
    /// The sink, open.
    pub sink: Arc<dyn Sink>,
    /// In the order in which they will be copied.
    pub streams: Vec<PreparedStream>,
    /// Changes whenever streams, schemas, steps or modes do.
    pub fingerprint: String,
    /// What connectors are lent.
    pub cx: Context,
    /// Opens the target for reading.
    pub reopen: Arc<dyn Reopen>,
    /// The log in which the place of a copy has to be known to the transaction.
    pub(crate) exact: Option<Arc<dyn Log>>,
}

/// A stream that is ready.
pub struct PreparedStream {
    /// What is said of it.
    pub choice: StreamChoice,
    /// What a run works with.
    pub work: StreamWork,
    /// Where an incremental run goes on from; the run itself looks again.
    pub ahead: Option<Ahead>,
    /// What the sink would do.
    pub plan: TargetPlan,
    /// How often a row arrives.
    pub delivery: Delivery,
    /// What is worth knowing, and what stands in the way, at either end.
    pub findings: Vec<Finding>,
}

/// Finds the connector that answers to a URL scheme.
pub type Registry = fn(&str) -> Result<&'static dyn AnyConnector>;

impl Prepared {
    /// Leaves only the streams with these names at the source.
    pub(crate) fn keep_only(&mut self, names: &BTreeSet<String>) {
        self.streams.retain(|stream| names.contains(&stream.work.target.source.to_string()));
        for (number, stream) in (0..).zip(&mut self.streams) {
            stream.work.target = Arc::new(Target { stream: number, ..Target::clone(&stream.work.target) });
        }
        self.fingerprint = fingerprint(self.streams.iter().map(|stream| &stream.work));
    }

    /// Its streams by their names at the source, with how many rows they have as far as that is known.
    pub(crate) fn sizes(&self) -> Vec<(String, Option<u64>)> {
        let size = |stream: &PreparedStream| {
            (stream.work.target.source.to_string(), stream.work.read.stream.rows_estimate)
        };
        self.streams.iter().map(size).collect()
    }

    /// The first thing that stands in the way of a run.
    pub fn blocker(&self) -> Option<&Error> {
        let findings = self.streams.iter().flat_map(|stream| &stream.findings);
        findings
            .filter(|finding| finding.severity == Severity::Blocker)
            .find_map(|finding| finding.error.as_ref())
    }
}

/// Opens both ends and plans every stream. A pipeline that follows takes its streams for what they are at
/// its place in the log, unless it is to begin `anew`.
///
/// # Errors
/// Whatever keeps it from being planned at all; what a run would fail with is among the findings.
pub async fn prepare(
    pipeline: &Pipeline,
    registry: Registry,
    cx: &Context,
    state: &StateDirectory,
    anew: bool,
) -> Result<Prepared> {
    let (source_connector, sink_connector) =
        (registry(&pipeline.from.scheme)?, registry(&pipeline.to.scheme)?);
    let from_config = source_connector.configure(&pipeline.from)?;
    let to_config = sink_connector.configure(&pipeline.to)?;
    if source_connector.capabilities().snapshot.is_none() {
        return Err(one_way(source_connector.name(), "read from"));
    }
    let Some(sink_capability) = sink_connector.capabilities().sink else {
        return Err(one_way(sink_connector.name(), "write to"));
    };
    if pipeline.sync == Sync::Follow && !sink_capability.changes {
        return Err(Error::new(&codes::UNSUPPORTED, "follow with pipeline", format!("`{}`", pipeline.id))
            .because(format!("`{}` takes no single changes", sink_connector.name()))
            .hint("Write sync: incremental, or sync: full"));
    }
    let from = source_connector.check(&from_config, cx.clone()).await?;
    let to = sink_connector.check(&to_config, cx.clone()).await?;
    let source: Arc<dyn Source> = Arc::from(source_connector.source(&from_config, cx.clone()).await?);
    let sink: Arc<dyn Sink> = Arc::from(sink_connector.sink(&to_config, cx.clone()).await?);

    let chosen = choose(pipeline, source.as_ref()).await?;
    let (known, again) = match pipeline.sync {
        Sync::Follow if !anew => follow::known_streams(state, &pipeline.id).await?,
        _ => Default::default(),
    };
    let (mut works, mut choices) = (vec![], vec![]);
    for (number, (choice, stream)) in chosen.into_iter().enumerate() {
        let (choice, stream) = match known.get(&stream.name.to_string()) {
            Some(known) => follow::as_known(choice, stream, known),
            None => (choice.clone(), stream),
        };
        let allowed = match choice.write {
            WriteMode::Overwrite => sink_capability.overwrite,
            WriteMode::Append => sink_capability.append,
            WriteMode::Merge => sink_capability.merge,
        };
        if !allowed {
            return Err(Error::new(&codes::UNSUPPORTED, "write", format!("`{}`", stream.name))
                .because(format!("`{}` cannot {}", sink_connector.name(), choice.write)));
        }
        let readable = sink_capability.keyed && sink_connector.capabilities().snapshot.is_some();
        // A copy of what is followed finds nothing to remove in a sink that keeps nothing.
        let forgets = pipeline.sync == Sync::Follow && !sink_capability.readable;
        let removes = matches!(choice.deletes, Deletes::Soft | Deletes::Apply)
            && choice.write == WriteMode::Merge
            && !forgets;
        if removes && !readable {
            return Err(Error::new(&codes::UNSUPPORTED, "remove rows from", format!("`{}`", stream.name))
                .because(format!(
                    "`{}` does not tell its keys, or cannot change single rows",
                    sink_connector.name()
                ))
                .hint("Leave `deletes` out (--deletes)"));
        }
        let id = u32::try_from(number).map_err(|_| super::work::broken("there are too many streams"))?;
        let name = stream.name.to_string();
        let mut work = bind(pipeline, &choice, stream, id, source.as_ref())?;
        if work.by_values() && (known.contains_key(&name) || again.contains(&name)) {
            // The rows that are there are its own, whoever has made the table.
            work.target = Arc::new(Target { overwrite_said: true, ..Target::clone(&work.target) });
        }
        if forgets {
            work.deletes = Deletes::Ignore;
        }
        works.push(work);
        choices.push(choice);
    }
    let targets: Vec<Arc<Target>> = works.iter().map(|work| Arc::clone(&work.target)).collect();
    let reads: Vec<Arc<Read>> = works.iter().map(|work| Arc::clone(&work.read)).collect();
    let plans = sink.plan(&targets).await?;
    // What is followed already is not read any more, and may have other columns by now.
    let is_read = |read: &&Arc<Read>| !known.contains_key(&read.stream.name.to_string());
    let read: Vec<Arc<Read>> = reads.iter().filter(is_read).cloned().collect();
    let mut shared_findings = source.inspect(&read).await?;
    shared_findings.extend(from.findings.iter().chain(&to.findings).cloned());
    let mut told = Delivery::ExactlyOnce;
    if pipeline.sync == Sync::Follow {
        let found =
            follow::inspect(pipeline, source.as_ref(), sink.as_ref(), sink_capability, &works).await?;
        shared_findings.extend(found.0);
        told = found.1;
    }
    let removals = plan_removals(sink.as_ref(), &works, &plans).await?;
    let fingerprint = fingerprint(works.iter());
    let mut streams: Vec<PreparedStream> = works
        .into_iter()
        .zip(plans)
        .zip(removals)
        .zip(choices)
        .map(|(((mut work, mut plan), removal), choice)| {
            if let Some(removal) = removal {
                let known: Vec<String> =
                    plan.findings.iter().map(|finding| finding.message.clone()).collect();
                let new = removal.findings.into_iter().filter(|finding| !known.contains(&finding.message));
                plan.findings.extend(new);
                plan.publish.extend(removal.publish);
            }
            work.before.clone_from(&plan.before);
            let delivery = sink.guarantee(&work.target).min(match (told, work.target.write) {
                // A log of changes has once more what is told once more.
                (Delivery::Idempotent, WriteMode::Append) => Delivery::AtLeastOnce,
                _ => told,
            });
            PreparedStream { choice, findings: plan.findings.clone(), work, plan, delivery, ahead: None }
        })
        .collect();
    ahead::find(&mut streams, sink.as_ref(), state, &pipeline.id).await?;
    // What concerns a connection as a whole is said with its first stream.
    for finding in shared_findings.into_iter().rev() {
        let of = |stream: &PreparedStream| finding.stream.as_ref() == Some(&stream.work.target.source);
        let number = streams.iter().position(of).unwrap_or(0);
        if let Some(stream) = streams.get_mut(number) {
            stream.findings.insert(0, finding);
        }
    }
    let reopen = Arc::new(Opener { connector: sink_connector, config: to_config, cx: cx.clone() });
    Ok(Prepared {
        pipeline: pipeline.clone(),
        from,
        to,
        source,
        sink,
        streams,
        fingerprint,
        cx: cx.clone(),
        reopen,
        exact: None,
    })
}

/// What would be done to rows that the source no longer has, where the table is there already.
async fn plan_removals(
    sink: &dyn Sink,
    works: &[StreamWork],
    plans: &[TargetPlan],
) -> Result<Vec<Option<TargetPlan>>> {
    let removal = |(work, plan): (&StreamWork, &TargetPlan)| {
        removal_target(work, 0).filter(|_| plan.existing.is_some()).map(Arc::new)
    };
    let targets: Vec<Option<Arc<Target>>> = works.iter().zip(plans).map(removal).collect();
    let there: Vec<Arc<Target>> = targets.iter().flatten().cloned().collect();
    if there.is_empty() {
        return Ok(vec![None; works.len()]);
    }
    let mut planned = sink.plan(&there).await?.into_iter();
    Ok(targets.iter().map(|target| target.as_ref().and_then(|_| planned.next())).collect())
}

/// The sink's connector, to be opened once more.
struct Opener {
    connector: &'static dyn AnyConnector,
    config: Configured,
    cx: Context,
}

#[async_trait]
impl Reopen for Opener {
    async fn open(&self) -> Result<Arc<dyn Source>> {
        Ok(Arc::from(self.connector.source(&self.config, self.cx.clone()).await?))
    }

    async fn sink(&self) -> Result<Option<Arc<dyn Sink>>> {
        if !self.connector.capabilities().sink.is_some_and(|sink| sink.shared) {
            return Ok(None);
        }
        Ok(Some(Arc::from(self.connector.sink(&self.config, self.cx.clone()).await?)))
    }
}

fn one_way(name: &str, operation: &str) -> Error {
    Error::new(&codes::UNSUPPORTED, operation, format!("`{name}`"))
        .because("the connector does not go that way")
        .hint("`syncline connectors` shows what each can do")
}

/// Finds the streams. What is named beats what only matches a pattern.
pub(crate) async fn choose<'a>(
    pipeline: &'a Pipeline,
    source: &dyn Source,
) -> Result<Vec<(&'a StreamChoice, Stream)>> {
    let mut chosen: Vec<(&StreamChoice, Stream)> = vec![];
    let mut named: BTreeMap<StreamName, bool> = BTreeMap::new();
    for choice in &pipeline.streams {
        let by_name = matches!(choice.selection, Selection::Name(_));
        let found = source.discover(&choice.selection).await?;
        if found.is_empty() {
            return Err(nothing_found(pipeline, &choice.selection));
        }
        for stream in found {
            match named.insert(stream.name.clone(), by_name) {
                None => chosen.push((choice, stream)),
                Some(true) if by_name => {
                    return Err(Error::new(&codes::NAME_TAKEN, "copy stream", format!("`{}`", stream.name))
                        .because("it is named twice")
                        .hint("Name it once"));
                }
                Some(true) => {
                    named.insert(stream.name, true);
                }
                Some(false) if by_name => {
                    for slot in chosen.iter_mut().filter(|(_, known)| known.name == stream.name) {
                        *slot = (choice, stream.clone());
                    }
                }
                Some(false) => {}
            }
        }
    }
    Ok(chosen)
}

fn nothing_found(pipeline: &Pipeline, selection: &Selection) -> Error {
    let what = match selection {
        Selection::Default => "tables".to_owned(),
        Selection::Name(name) => format!("`{name}`"),
        Selection::Glob(glob) => format!("`{glob}`"),
    };
    Error::new(&codes::STREAM_MISSING, "find", what)
        .because(format!("there is nothing of that kind in {}", pipeline.from))
        .hint("Name a stream with --stream NAMESPACE.TABLE")
}

/// What the steps of a stream begin with, and the steps as they are done.
pub(crate) fn written(choice: &StreamChoice, stream: &Stream) -> Result<(TableSchema, Vec<StepSpec>)> {
    let mut input = stream.schema.clone();
    if !choice.columns.is_empty() {
        input.indexes(&choice.columns)?;
        input.columns.retain(|column| choice.columns.contains(&column.name));
        let kept = |key: &[String]| key.iter().all(|column| choice.columns.contains(column));
        if !kept(&input.key) {
            input.key.clear();
        }
        input.unique.retain(|key| kept(key));
    }
    let mut steps: Vec<StepSpec> =
        choice.filter.iter().map(|filter| StepSpec::Filter(filter.clone())).collect();
    steps.extend(choice.steps.iter().cloned());
    if choice.deletes == Deletes::Soft {
        // A row that comes back counts as deleted no more.
        steps.push(not_deleted());
    }
    Ok((input, steps))
}

/// Binds the steps and says what becomes of the stream.
pub(crate) fn bind(
    pipeline: &Pipeline,
    choice: &StreamChoice,
    stream: Stream,
    id: u32,
    source: &dyn Source,
) -> Result<StreamWork> {
    let name = stream.name.clone();
    let about = |error: Error| about_stream(error, choice, &name);
    let (input, mut steps) = written(choice, &stream).map_err(about)?;
    let writes_all = pipeline.sync == Sync::Follow && choice.write == WriteMode::Append;
    if writes_all {
        steps.extend(story::columns());
    }
    let chain = Chain::bind(&steps, &input, pipeline.mask_key.as_ref(), &name.to_string()).map_err(about)?;
    let filter = pushed(chain.pushdown(), |part| source.evaluates(&stream, part));
    let columns = chain.input_columns().to_vec();
    let read = Read { stream: Arc::new(stream), columns, filter, chunk_rows: pipeline.chunk_rows };
    let mut output = chain.output().clone();
    let mut key = if choice.key.is_empty() { output.key.clone() } else { choice.key.clone() };
    output.indexes(&key).map_err(about)?;
    let cursor = cursor(pipeline, choice, &input, &chain).map_err(about)?;
    let incremental = cursor.map(|cursor| {
        let mask_key = pipeline.mask_key.clone();
        Arc::new(Incremental { cursor, steps: steps.clone(), input: input.clone(), mask_key })
    });
    let last_wins = match &incremental {
        Some(incremental) if choice.write == WriteMode::Merge => {
            last_wins(&incremental.cursor, &chain, &key).map_err(about)?
        }
        _ => None,
    };
    let mut told = key.clone();
    if pipeline.sync == Sync::Follow {
        // When the source comes to allow NULL, its log does not tell.
        let may_be_null = |name: &String| writes_all || !key.contains(name);
        output.columns.iter_mut().for_each(|column| column.nullable |= may_be_null(&column.name));
    }
    if writes_all {
        if told.is_empty() {
            let carried = input.columns.iter().filter_map(|column| chain.carrier(&column.name));
            told = carried.map(str::to_owned).collect();
        }
        // Every change of a row is a row.
        key.clear();
        (output.key, output.unique) = (vec![], vec![]);
    }
    let write = match choice.write {
        // Without a key a copy can only take the place of all rows.
        WriteMode::Merge
            if pipeline.sync == Sync::Follow
                && !choice.write_said
                && key.is_empty()
                && read.schema().key.is_empty() =>
        {
            WriteMode::Overwrite
        }
        write => write,
    };
    // The mark belongs into the transaction that publishes, so there has to be one.
    let direct = write == WriteMode::Append && read.stream.order.outlives_snapshot();
    let staged = !direct || incremental.is_some();
    let target = Target {
        stream: id,
        source: name.clone(),
        name: choice.to.clone().unwrap_or_else(|| StreamName::bare(&name.table)),
        schema: output,
        write,
        key,
        staged,
        replace: choice.replace,
        overwrite_said: choice.write_said && choice.write == WriteMode::Overwrite,
        task: Task::Load,
        cursor: last_wins,
    };
    let (read, chain, target) = (Arc::new(read), Arc::new(chain), Arc::new(target));
    let passage = match pipeline.sync {
        Sync::Follow => {
            let (mask_key, source) = (pipeline.mask_key.as_ref(), name.to_string());
            Some(Arc::new(
                Passage::bind(&steps, &read, &target, &told, choice.deletes, mask_key, &source)
                    .map_err(about)?,
            ))
        }
        Sync::Full | Sync::Incremental => None,
    };
    // Only a merge leaves rows that the source does not have.
    let removes = write == WriteMode::Merge && choice.deletes != Deletes::Told;
    let deletes = if removes { choice.deletes } else { Deletes::Ignore };
    Ok(StreamWork { read, chain, target, before: vec![], incremental, deletes, passage })
}

/// By what a stream is read in parts; `None` in a full copy.
fn cursor(
    pipeline: &Pipeline,
    choice: &StreamChoice,
    input: &TableSchema,
    chain: &Chain,
) -> Result<Option<Cursor>> {
    let Some(name) = choice.cursor.as_ref().filter(|_| pipeline.sync == Sync::Incremental) else {
        return Ok(None);
    };
    let column = input.column(name).ok_or_else(|| input.unknown_column(name))?;
    let error = |reason: String| {
        Error::new(&codes::BAD_VALUE, "use the cursor", format!("`{name}`"))
            .because(reason)
            .hint("A cursor is an integer, a date or a timestamp that goes up whenever a row changes")
    };
    let kind = Kind::of(column.logical).ok_or_else(|| error(format!("it is of type {}", column.logical)))?;
    if chain.masked().contains(name) {
        return Err(error("a mask hides its values, and the mark would show one".into()));
    }
    let lookback = match &pipeline.lookback {
        Some(text) => kind.lookback(text).map_err(|reason| {
            Error::new(&codes::BAD_VALUE, "look back by", format!("`{text}`")).because(reason)
        })?,
        None => 0,
    };
    let appends = choice.write == WriteMode::Append;
    Ok(Some(Cursor { column: name.clone(), kind, lookback, appends }))
}

/// The column at the target by which the last of several rows with one key is found.
fn last_wins(cursor: &Cursor, chain: &Chain, key: &[String]) -> Result<Option<String>> {
    if let Some(column) = chain.carrier(&cursor.column) {
        return Ok(Some(column.to_owned()));
    }
    let output = chain.output();
    let tells = |unique: &[String]| !unique.is_empty() && unique.iter().all(|column| key.contains(column));
    if key.is_empty() || tells(&output.key) || output.unique.iter().any(|unique| tells(unique)) {
        return Ok(None);
    }
    Err(Error::new(&codes::KEY_MISSING, "merge by", format!("({})", key.join(", ")))
        .because(format!(
            "it is not unique at the source, and the steps leave nothing of the cursor `{}` by which the last \
             of several rows could be found",
            cursor.column
        ))
        .hint("Keep the cursor column as it is, or name a unique key"))
}

/// Those of a chain's conditions that the source checks itself, each on its own: one that it cannot
/// check must not keep it from leaving out what another one does.
pub(crate) fn pushed(all: Option<Predicate>, evaluates: impl Fn(&Predicate) -> bool) -> Option<Predicate> {
    let mut parts = vec![];
    conjuncts(all?, &mut parts);
    parts.retain(evaluates);
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(Predicate::And(parts)),
    }
}

fn conjuncts(predicate: Predicate, into: &mut Vec<Predicate>) {
    match predicate {
        Predicate::And(parts) => parts.into_iter().for_each(|part| conjuncts(part, into)),
        other => into.push(other),
    }
}

/// Says of which stream an error speaks, and where it is written.
fn about_stream(error: Error, choice: &StreamChoice, name: &StreamName) -> Error {
    let place = match choice.line {
        Some(line) => format!("stream `{name}` (line {line})"),
        None => format!("stream `{name}`"),
    };
    let told = Error::new(error.code(), "prepare", place).because(error.sentence());
    match error.hint_text() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// A hash of everything that decides what the rows become (FNV-1a; it is kept across versions, and
/// a hasher that changed would refuse runs for nothing).
pub(crate) fn fingerprint<'a>(streams: impl Iterator<Item = &'a StreamWork>) -> String {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut feed = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    };
    for stream in streams {
        let schema = serde_json::to_string(&stream.read.stream.schema).expect("a schema serialises");
        let target = &stream.target;
        feed(&stream.read.stream.name.to_string());
        feed(&schema);
        feed(&stream.read.columns.join(","));
        feed(&stream.chain.fingerprint());
        feed(&target.name.to_string());
        feed(&target.write.to_string());
        feed(&target.key.join(","));
        match stream.deletes {
            Deletes::Ignore | Deletes::Told => {}
            Deletes::Soft => feed("soft deletes"),
            Deletes::Apply => feed("deletes"),
        }
        feed(if target.staged { "staged" } else { "direct" });
        if stream.passage.is_some() {
            feed("follow");
        }
        if let Some(incremental) = &stream.incremental {
            feed("incremental");
            feed(&incremental.cursor.column);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_checks_what_it_can_of_several_conditions() {
        let one = |column: &str| Predicate::IsNull { column: column.to_owned(), negated: true };
        let and = |parts: &[Predicate]| Predicate::And(parts.to_vec());
        let or = Predicate::Or(vec![one("a"), one("x")]);
        let known = |part: &Predicate| part.columns().iter().all(|column| *column != "x");
        let all = and(&[and(&[one("a"), one("x")]), or.clone(), one("b")]);
        assert_eq!(pushed(Some(all), known), Some(and(&[one("a"), one("b")])));
        assert_eq!(pushed(Some(and(&[one("a"), or])), known), Some(one("a")));
        assert_eq!(pushed(Some(one("x")), known), None);
        assert_eq!(pushed(None, known), None);
    }
}
