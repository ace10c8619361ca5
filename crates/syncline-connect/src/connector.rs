//! A connector: one technology, both directions, one line in the registry.

use std::{any::Any, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use schemars::{JsonSchema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use syncline_types::Result;

use crate::{Capabilities, Context, Endpoint, Finding, Sink, Source, parse_options};

/// A technology that Syncline reads from or writes to.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Its options, read from a connection URL and the connection's options. Unknown ones are
    /// refused (`deny_unknown_fields`). A part of the URL is allowed when there is a field `user`,
    /// `password`, `host`, `port` or `path`.
    type Config: DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;
    /// The name of its folder, and its first URL scheme.
    const NAME: &'static str;
    /// All URL schemes it answers to.
    const SCHEMES: &'static [&'static str];
    /// Its README.
    const DOCS: &'static str;
    /// What it claims.
    const CAPABILITIES: Capabilities;

    /// Reaches the other system and says what is there.
    ///
    /// # Errors
    /// When it cannot be reached or refuses us.
    async fn check(config: Self::Config, cx: Context) -> Result<Report>;

    /// Opens it for reading.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when it is no source; whatever opening fails with.
    async fn source(config: Self::Config, cx: Context) -> Result<Box<dyn Source>>;

    /// Opens it for writing.
    ///
    /// # Errors
    /// [`syncline_types::codes::UNSUPPORTED`] when it is no sink; whatever opening fails with.
    async fn sink(config: Self::Config, cx: Context) -> Result<Box<dyn Sink>>;
}

/// What a connection leads to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Product and version, such as `PostgreSQL 15.8`.
    pub system: String,
    /// How we are connected: user, encryption.
    pub connection: String,
    /// Anything worth knowing about it.
    pub findings: Vec<Finding>,
}

/// A connector whose configuration type is hidden, as the registry lists it.
#[async_trait]
pub trait AnyConnector: Send + Sync {
    /// [`Connector::NAME`]
    fn name(&self) -> &'static str;
    /// [`Connector::SCHEMES`]
    fn schemes(&self) -> &'static [&'static str];
    /// [`Connector::DOCS`]
    fn docs(&self) -> &'static str;
    /// [`Connector::CAPABILITIES`]
    fn capabilities(&self) -> Capabilities;
    /// The JSON Schema of its options.
    fn options(&self) -> Value;
    /// Reads an endpoint into the connector's own configuration, without connecting.
    ///
    /// # Errors
    /// As [`parse_options`].
    fn configure(&self, endpoint: &Endpoint) -> Result<Configured>;
    /// [`Connector::check`]
    ///
    /// # Errors
    /// As there.
    async fn check(&self, config: &Configured, cx: Context) -> Result<Report>;
    /// [`Connector::source`]
    ///
    /// # Errors
    /// As there.
    async fn source(&self, config: &Configured, cx: Context) -> Result<Box<dyn Source>>;
    /// [`Connector::sink`]
    ///
    /// # Errors
    /// As there.
    async fn sink(&self, config: &Configured, cx: Context) -> Result<Box<dyn Sink>>;
}

/// A configuration that only its own connector can look into.
#[derive(Clone)]
pub struct Configured(Arc<dyn Any + Send + Sync>);

/// Hides a connector's configuration type.
#[derive(Debug)]
pub struct Erased<C>(PhantomData<C>);

impl<C> Erased<C> {
    /// For the registry's list.
    pub const fn new() -> Self {
        Erased(PhantomData)
    }
}

impl<C> Default for Erased<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Connector> Erased<C> {
    fn open(config: &Configured) -> C::Config {
        config
            .0
            .downcast_ref::<C::Config>()
            .expect("a configuration is used with the connector that made it")
            .clone()
    }
}

#[async_trait]
impl<C: Connector> AnyConnector for Erased<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn schemes(&self) -> &'static [&'static str] {
        C::SCHEMES
    }

    fn docs(&self) -> &'static str {
        C::DOCS
    }

    fn capabilities(&self) -> Capabilities {
        C::CAPABILITIES
    }

    fn options(&self) -> Value {
        schema_for!(C::Config).to_value()
    }

    fn configure(&self, endpoint: &Endpoint) -> Result<Configured> {
        parse_options::<C::Config>(endpoint).map(|config| Configured(Arc::new(config)))
    }

    async fn check(&self, config: &Configured, cx: Context) -> Result<Report> {
        C::check(Self::open(config), cx).await
    }

    async fn source(&self, config: &Configured, cx: Context) -> Result<Box<dyn Source>> {
        C::source(Self::open(config), cx).await
    }

    async fn sink(&self, config: &Configured, cx: Context) -> Result<Box<dyn Sink>> {
        C::sink(Self::open(config), cx).await
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("Report", 2)?;
        object.serialize_field("system", &self.system)?;
        object.serialize_field("connection", &self.connection)?;
        object.end()
    }
}
