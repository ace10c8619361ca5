//! Looks ahead in the log. What the server says of a table is what it is now; for a place of the log that
//! holds only when the table is altered no more behind it.

use std::sync::Arc;

use syncline_connect::Context;
use syncline_types::Result;

use super::{
    event::{Event, split},
    names::Names,
    place::Place,
    server,
    session::{OPERATION, Session},
    statement::{Statement, statement},
    unpack::unpack,
};
use crate::{client::Front, config::MysqlConfig, error::from_io};

/// Whether the tables of these streams are altered behind a place, up to another one or where the log ends now.
pub(super) async fn is_altered(
    config: &Arc<MysqlConfig>,
    cx: &Context,
    names: &Names,
    streams: &[usize],
    (from, upto): (&Place, Option<&Place>),
) -> Result<bool> {
    let mut session = Session::start(config, cx, from).await?;
    let head = server::head(&mut crate::client::connect(config, cx).await?).await?;
    let upto = match upto {
        Some(upto) if upto.compare(&head)?.is_lt() => upto.clone(),
        _ => head,
    };
    let object = config.place();
    let mut checksums = session.checksums;
    let mut here = Place { server: session.server.clone(), ..from.clone() };
    while here.compare(&upto)?.is_lt() {
        let wire = session.client.incoming();
        match wire.front().map_err(|error| from_io(&error, OPERATION, &object))? {
            Front::Nothing => {
                let filled = cx.deadline(OPERATION, &object, async { Ok(wire.fill().await) }).await?;
                filled.map_err(|error| from_io(&error, OPERATION, &object))?;
                continue;
            }
            // Statements that alter tables are short: what is large is taken only to be passed over.
            Front::Large(_) => {
                wire.take_large();
                continue;
            }
            Front::Payload => {}
        }
        let Some((0, bytes)) = wire.payload().split_first() else {
            return Err(session.client.dump_ended(OPERATION, &object));
        };
        let (header, body) = split(bytes, checksums)?;
        match Event::read(&header, body)? {
            Event::Format { checksums: told } => checksums = told,
            Event::Rotate { file, position } => {
                (here.file, here.position) = (file.to_owned(), position);
            }
            Event::Heartbeat { file, position } => {
                (here.file, here.position) = (file.to_owned(), position);
            }
            Event::Query(query) => {
                let mut unpacked = vec![];
                let text = match query.compressed {
                    true => {
                        unpack(query.text, &mut unpacked)?;
                        unpacked.as_slice()
                    }
                    false => query.text,
                };
                if let Statement::Alter { table, .. } = statement(text)
                    && names.meant(&table, query.database).iter().any(|stream| streams.contains(stream))
                {
                    return Ok(true);
                }
            }
            _ => {}
        }
        if !header.is_artificial() {
            here.advance(header.next);
        }
        session.client.incoming().advance();
    }
    Ok(false)
}
