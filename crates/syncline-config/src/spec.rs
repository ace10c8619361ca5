//! The pipeline file as it is written. The comments here are what an editor shows.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use syncline_connect::{Replace, WriteMode};
use syncline_steps::StepSpec;

use crate::{
    de::AsWritten,
    model::{Deletes, Echoes, OnError, OverBudget, SchemaChanges},
    schema::{Sync, TextOrNumber},
};

/// A pipeline file: connections, and the pipelines between them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PipelineFile")]
pub(crate) struct FileSpec {
    /// The systems that rows come from and go to, by name.
    pub(crate) connections: Option<Named<ConnectionSpec>>,
    /// What is copied, by name. The name also tells a pipeline's runs apart from those of others.
    pub(crate) pipelines: Named<PipelineSpec>,
    /// The key of `hash` masks, best as `${NAME}` or `${file:PATH}`. Without it the environment
    /// variable SYNCLINE_MASK_KEY is used.
    #[schemars(length(min = 1))]
    pub(crate) mask_key: Option<String>,
}

/// A system that rows come from or go to: its URL, or a map with `url` and `options`.
pub(crate) struct ConnectionSpec {
    /// Whether it is a map, and not the URL alone.
    pub(crate) is_map: bool,
    pub(crate) url: String,
    pub(crate) options: Vec<(String, Value)>,
}

/// A connection with options.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Connection")]
pub(crate) struct ConnectionMap {
    /// Such as `postgres://user:${PASSWORD}@host/database`, `sqlite:shop.db` or `generate:orders?rows=1000`.
    /// `${NAME}` is an environment variable, `${file:PATH}` a file's text, `$${` a literal `${`.
    url: String,
    /// The connector's options, which may also stand in the URL's query. `syncline connectors NAME`
    /// lists them.
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    options: Option<Named<AsWritten>>,
}

/// What goes from one connection to another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pipeline")]
pub(crate) struct PipelineSpec {
    /// Where rows come from: the name of a connection, or a URL.
    pub(crate) from: String,
    /// Where rows go: the name of a connection, or a URL.
    pub(crate) to: String,
    /// What is copied. Without it, every table of the source's default namespace.
    #[schemars(length(min = 1))]
    pub(crate) streams: Option<Vec<StreamSpec>>,
    /// How a run finds what to copy. `full` copies everything, and is the default; `incremental`
    /// copies what has come since the last run; `follow` copies everything once and then applies every
    /// change until it is stopped.
    #[schemars(with = "Option<Sync>")]
    pub(crate) sync: Option<String>,
    /// The column by which an incremental run finds what has come: an integer, a date or a timestamp
    /// that is set to a higher value whenever a row changes.
    #[schemars(length(min = 1))]
    pub(crate) cursor: Option<String>,
    /// How far behind the last run's highest value an incremental run begins, for rows that come late:
    /// such as `10m`, `2h` or `1d`, or `100` for a cursor that counts. Nothing is the default.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) lookback: Option<String>,
    /// What happens to rows that are in the target. `overwrite` is the default of full copies, `merge`
    /// that of the others.
    pub(crate) write: Option<WriteMode>,
    /// The columns that tell rows apart. Without it, the source's own key.
    #[schemars(length(min = 1))]
    pub(crate) key: Option<Vec<String>>,
    /// The columns that are copied. Without it, all.
    #[schemars(length(min = 1))]
    pub(crate) columns: Option<Vec<String>>,
    /// Only rows for which this SQL expression is true are copied.
    #[serde(rename = "where")]
    #[schemars(length(min = 1))]
    pub(crate) filter: Option<String>,
    /// What happens to rows on their way, in this order.
    pub(crate) steps: Option<Vec<StepSpec>>,
    /// How an overwrite is published.
    pub(crate) replace: Option<Replace>,
    /// What happens to rows at the target that the source no longer has, in a merge or while following.
    /// `ignore` is the default, and `apply` while following.
    pub(crate) deletes: Option<Deletes>,
    /// How many parts are copied at once, 1 to 64. 4 is the default.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) parallel: Option<u64>,
    /// About how many rows a part has, 1 to 10000000. 100000 is the default.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) chunk_rows: Option<u64>,
    /// How much memory rows on their way may take, such as `256MiB`. `64MiB` is the default.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) memory: Option<String>,
    /// How long a connection may be silent while rows are expected, such as `90s` or `2m`. `60s` is
    /// the default.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) idle_timeout: Option<String>,
    /// How fast it may go.
    pub(crate) limits: Option<LimitsSpec>,
    /// What happens to a row that the target cannot take. `stop` is the default.
    pub(crate) on_error: Option<OnError>,
    /// Whether an empty source may replace a target that has rows.
    pub(crate) allow_empty: Option<bool>,
    /// What happens when a stream's columns change at the source while it is followed. `stop` is the
    /// default.
    pub(crate) schema_changes: Option<SchemaChanges>,
    /// After how long without progress a pipeline that follows says so, such as `90s` or `5m`. `60s` is
    /// the default.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) stall_after: Option<String>,
    /// How much of its log the source may keep for a pipeline that follows, such as `20GB`. At half of it
    /// the pipeline warns. Without it, as much as it takes.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) log_budget: Option<String>,
    /// What happens when the source has to keep more than `log_budget`. `warn` is the default.
    pub(crate) over_budget: Option<OverBudget>,
    /// What happens, while changes are followed, to those that have come through the target's database. `skip`
    /// is the default.
    pub(crate) echoes: Option<Echoes>,
}

/// How fast a pipeline may go, over all its streams.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(crate) struct LimitsSpec {
    /// Such as `50000` or `50k`.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) rows_per_second: Option<String>,
    /// Such as `50MB`.
    #[schemars(with = "Option<TextOrNumber>")]
    pub(crate) bytes_per_second: Option<String>,
}

/// A stream, or several by a pattern: the name alone, or a map with `name`.
pub(crate) struct StreamSpec {
    pub(crate) name: String,
    pub(crate) to: Option<String>,
    pub(crate) settings: StreamSettings,
}

/// What can be said of a pipeline and, in its place, of a stream.
#[derive(Clone, Default)]
pub(crate) struct StreamSettings {
    pub(crate) write: Option<WriteMode>,
    pub(crate) cursor: Option<String>,
    pub(crate) key: Option<Vec<String>>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) filter: Option<String>,
    pub(crate) steps: Option<Vec<StepSpec>>,
    pub(crate) replace: Option<Replace>,
    pub(crate) deletes: Option<Deletes>,
}

/// A stream, or several by a pattern. What is said here replaces the pipeline's own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stream")]
pub(crate) struct StreamMap {
    /// `table` or `namespace.table`, with double quotes around a part that holds a dot; or a pattern
    /// with `*`, `?`, `[...]` or `{a,b}`.
    name: String,
    /// The table it becomes. Without it, the same name in the target's default namespace.
    to: Option<String>,
    /// What happens to rows that are in the target. `overwrite` is the default of full copies, `merge`
    /// that of the others.
    write: Option<WriteMode>,
    /// The column by which an incremental run finds what has come.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// The columns that tell rows apart. Without it, the source's own key.
    #[schemars(length(min = 1))]
    key: Option<Vec<String>>,
    /// The columns that are copied. Without it, all.
    #[schemars(length(min = 1))]
    columns: Option<Vec<String>>,
    /// Only rows for which this SQL expression is true are copied.
    #[serde(rename = "where")]
    #[schemars(length(min = 1))]
    filter: Option<String>,
    /// What happens to rows on their way, in this order. An empty list means none, where the
    /// pipeline has some.
    steps: Option<Vec<StepSpec>>,
    /// How an overwrite is published.
    replace: Option<Replace>,
    /// What happens to rows at the target that the source no longer has, in a merge or while following.
    /// `ignore` is the default, and `apply` while following.
    deletes: Option<Deletes>,
}

impl PipelineSpec {
    /// What it says for all its streams.
    pub(crate) fn stream_settings(&self) -> StreamSettings {
        StreamSettings {
            write: self.write,
            cursor: self.cursor.clone(),
            key: self.key.clone(),
            columns: self.columns.clone(),
            filter: self.filter.clone(),
            steps: self.steps.clone(),
            replace: self.replace,
            deletes: self.deletes,
        }
    }
}

impl From<String> for ConnectionSpec {
    fn from(url: String) -> Self {
        ConnectionSpec { is_map: false, url, options: vec![] }
    }
}

impl From<ConnectionMap> for ConnectionSpec {
    fn from(map: ConnectionMap) -> Self {
        let options = map.options.map(|options| options.0).unwrap_or_default();
        let options = options.into_iter().map(|(name, AsWritten(value))| (name, value)).collect();
        ConnectionSpec { is_map: true, url: map.url, options }
    }
}

impl From<String> for StreamSpec {
    fn from(name: String) -> Self {
        StreamSpec { name, to: None, settings: StreamSettings::default() }
    }
}

impl From<StreamMap> for StreamSpec {
    fn from(map: StreamMap) -> Self {
        let StreamMap { name, to, write, cursor, key, columns, filter, steps, replace, deletes } = map;
        let settings = StreamSettings { write, cursor, key, columns, filter, steps, replace, deletes };
        StreamSpec { name, to, settings }
    }
}

impl<'de> Deserialize<'de> for ConnectionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMap::<Self, ConnectionMap>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for StreamSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMap::<Self, StreamMap>(PhantomData))
    }
}

/// Serde's `untagged` would do, but it forgets where in the map an error was.
struct TextOrMap<T, M>(PhantomData<(T, M)>);

impl<'de, T: From<String> + From<M>, M: Deserialize<'de>> Visitor<'de> for TextOrMap<T, M> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a map")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(text.to_owned().into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(T::from)
    }
}

/// A map of names that keeps the order of the file.
pub(crate) struct Named<T>(pub(crate) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = vec![];
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
