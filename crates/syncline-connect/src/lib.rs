//! The interface that connectors implement and the engine drives.
//!
//! A connector reads, writes and translates its driver's errors. It never stores progress, retries,
//! sleeps, batches across splits or spawns tasks of its own: the engine does, and hands it a
//! [`Context`] for what it needs. Nothing here knows a particular connector.

mod batch;
mod capability;
mod changes;
mod connector;
mod context;
mod endpoint;
mod finding;
mod glob;
mod log;
mod looked;
mod memory;
mod nearest;
mod origin;
mod sink;
mod source;

pub use batch::{Batch, Outcome, Reject};
pub use capability::{Capabilities, Delivery, SinkCapability, SnapshotCapability};
pub use changes::ChangesBuilder;
pub use connector::{AnyConnector, Configured, Connector, Erased, Report};
pub use context::Context;
pub use endpoint::{Endpoint, parse_options};
pub use finding::{Finding, Severity};
pub use glob::NameGlob;
pub use log::{
    Applier, Changes, Emptied, How, LOG_MARK, Log, LogBatch, LogReader, Logged, Moved, NetChanges,
    SchemaChange, Went, Written,
};
pub use looked::LookedBatch;
pub use memory::{Memory, Reservation};
pub use nearest::nearest;
pub use origin::{ORIGIN, Origin, identity};
pub use sink::{
    Action, ColumnChange, ColumnPlan, Evolution, Existing, Lanes, Marking, ProgressDelta, ProgressRow,
    Published, Replace, RunRef, Sink, Target, TargetPlan, TargetProgress, Task, WriteMode, Writer,
};
pub use source::{
    Digest, Edge, Next, Read, Reader, Selection, Session, Source, SplitOrder, Splitter, Stream,
};
