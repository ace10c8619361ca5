//! Where a stream's rows are written, and how.

use syncline_connect::{RunRef, Target};
use syncline_types::{Error, Result, codes};

use crate::{client::Client, encode::RowEncoder, plan::table::find, schema::MysqlColumn, sink::SinkShared};

/// The table that a stream's rows are written to.
pub(super) struct Landing {
    pub(super) name: String,
    pub(super) how: How,
    pub(super) encoder: RowEncoder,
    /// The statement that loads lines.
    pub(super) load: String,
    /// What comes before the rows of a statement that inserts them.
    pub(super) insert: String,
}

/// How rows get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As lines.
    Load,
    /// By statements of many rows, where the server takes no lines.
    Insert,
    /// By statements of one row, where nothing can be taken back.
    OneByOne,
}

impl Landing {
    pub(super) async fn look_up(
        client: &mut Client,
        shared: &SinkShared,
        run: &RunRef,
        target: &Target,
    ) -> Result<Self> {
        let name = if target.staged { shared.stage(run, target) } else { target.name.clone() };
        let table = find(client, &name).await?.ok_or_else(|| {
            Error::new(&codes::STREAM_MISSING, "write to table", format!("`{name}`"))
                .because("it was prepared, and is no more")
                .hint("Begin again with --restart")
        })?;
        let mut written: Vec<(usize, &MysqlColumn)> = vec![];
        for (place, column) in target.schema.columns.iter().enumerate() {
            match table.column(&column.name) {
                Some(there) if there.column.generated => {}
                Some(there) => written.push((place, there)),
                // Staging for a table that computes the column itself leaves it out.
                None if target.staged => {}
                None => {
                    let object = format!("`{name}.{}`", column.name);
                    return Err(Error::new(&codes::SCHEMA_CHANGED, "write column", object)
                        .because("the table had it when the run was planned, and has it no more"));
                }
            }
        }
        let how = match (table.transactional, shared.local_infile) {
            (false, _) => How::OneByOne,
            (true, false) => How::Insert,
            (true, true) => How::Load,
        };
        let encoder =
            RowEncoder::new(&target.schema, &written, client.server.family, client.packet_bytes_max)?;
        let quoted = shared.quoted(&name);
        let load = encoder.load_into(&quoted);
        let insert = format!("INSERT INTO {quoted} ({}) VALUES ", encoder.names());
        Ok(Landing { name: target.name.to_string(), how, encoder, load, insert })
    }
}
