//! Events: a header of 19 bytes, what the type has, and a checksum where the log has them.

use syncline_types::{Error, Result, codes, fingerprint::hash_text};

use super::{
    fields::{Broken, Fields},
    gtid::Gtid,
};

pub(super) const HEADER_BYTES: usize = 19;
const CHECKSUM_BYTES: usize = 4;

/// The event was made for this connection and stands in no file.
const ARTIFICIAL: u16 = 0x20;
/// Whoever does not know the event may pass it over.
const IGNORABLE: u16 = 0x80;

/// What every event begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Seconds since 1970.
    pub(super) seconds: u32,
    pub(super) kind: u8,
    pub(super) server: u32,
    /// All of its bytes, with header and checksum.
    pub(super) length: u32,
    /// The lower half of where the next one begins; 0 when it stands in no file.
    pub(super) next: u32,
    flags: u16,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let mut fields = Fields(bytes);
        let (seconds, kind, server) = (fields.u32()?, fields.u8()?, fields.u32()?);
        Ok(Header { seconds, kind, server, length: fields.u32()?, next: fields.u32()?, flags: fields.u16()? })
    }

    /// When it was written, in microseconds since 1970; of what begins and ends a transaction, when that was
    /// committed.
    pub(super) fn micros(&self) -> Option<i64> {
        (self.seconds > 0).then(|| i64::from(self.seconds) * 1_000_000)
    }

    pub(super) fn is_artificial(&self) -> bool {
        self.flags & ARTIFICIAL != 0 || self.next == 0
    }

    pub(super) fn may_be_ignored(&self) -> bool {
        self.flags & (IGNORABLE | ARTIFICIAL) != 0
    }
}

/// What an event is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Event<'a> {
    /// The next event is in another file.
    Rotate {
        file: &'a str,
        position: u64,
    },
    /// How the events that follow are written.
    Format {
        checksums: bool,
    },
    /// A transaction begins.
    Begin(Begin),
    Query(Query<'a>),
    /// The transaction is through.
    Commit,
    /// The transaction waits for its second phase, unless it has only one.
    Prepare {
        one_phase: bool,
        transaction: u64,
    },
    Table(&'a [u8]),
    Rows(Rows<'a>),
    /// Events of a transaction, compressed.
    Payload(&'a [u8]),
    /// Nothing happens; the log ends at the position, where that is told.
    Heartbeat {
        file: &'a str,
        position: u64,
    },
    /// Rows from a file, as a statement.
    LoadQuery(Query<'a>),
    /// The server has lost events.
    Incident,
    /// Nothing that matters here.
    Aside,
}

/// Rows, behind what is said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows<'a> {
    pub(super) kind: RowsKind,
    pub(super) compressed: bool,
    /// Whether the event has room for more than rows.
    pub(super) has_extra: bool,
    pub(super) body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// `None` where it has none.
    pub(super) gtid: Option<Gtid>,
    /// Whether the id is of a form that cannot be read.
    pub(super) tagged: bool,
    /// When it was committed, where that is told here.
    pub(super) micros: Option<i64>,
    /// Whether statements follow until it ends; else there is a single one, or a `BEGIN`.
    pub(super) open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub(super) database: &'a [u8],
    pub(super) text: &'a [u8],
    pub(super) compressed: bool,
}

/// What rows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowsKind {
    Insert,
    Update,
    /// An update whose JSON values may be told as what differs.
    PartialUpdate,
    Delete,
}

/// Whether the checksum of a whole event is right.
pub(super) fn checksum_holds(bytes: &[u8]) -> bool {
    let Some(at) = bytes.len().checked_sub(CHECKSUM_BYTES) else { return false };
    let (content, told) = bytes.split_at(at);
    let mut sum = flate2::Crc::new();
    sum.update(content);
    sum.sum().to_le_bytes() == told
}

/// Splits an event, with its checksum verified where events have one.
pub(super) fn split(bytes: &[u8], checksums: bool) -> Result<(Header, &[u8])> {
    let header = Header::read(bytes)?;
    if usize::try_from(header.length) != Ok(bytes.len()) {
        return Err(Broken.into());
    }
    let body = bytes.get(HEADER_BYTES..).ok_or(Broken)?;
    // What is made for this connection may have one or not, before the first format is known; and a
    // format tells itself whether there are any, but always has one.
    let has_one = match header.kind {
        kind::ROTATE if header.is_artificial() => checksum_holds(bytes),
        kind::FORMAT => true,
        _ => checksums,
    };
    if !has_one {
        return Ok((header, body));
    }
    // A format's own counts only where the log has any.
    let unsure = header.kind == kind::FORMAT && !format_has_checksums(body);
    if !unsure && !checksum_holds(bytes) {
        return Err(Error::new(&codes::BAD_BYTES, "read", "the binary log")
            .because("the checksum of an event is wrong")
            .hint("The server's log or the way here is damaged: look at the log with mysqlbinlog --verify-binlog-checksum"));
    }
    let end = body.len().checked_sub(CHECKSUM_BYTES).ok_or(Broken)?;
    Ok((header, &body[..end]))
}

/// What stands before the checksum of a format.
fn format_has_checksums(body: &[u8]) -> bool {
    body.len().checked_sub(CHECKSUM_BYTES + 1).and_then(|at| body.get(at)) == Some(&1)
}

pub(super) mod kind {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const STOP: u8 = 3;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const INTVAR: u8 = 5;
    pub(crate) const RAND: u8 = 13;
    pub(crate) const USER_VAR: u8 = 14;
    pub(crate) const FORMAT: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const BEGIN_LOAD: u8 = 17;
    pub(crate) const EXECUTE_LOAD: u8 = 18;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const WRITE_V1: u8 = 23;
    pub(crate) const UPDATE_V1: u8 = 24;
    pub(crate) const DELETE_V1: u8 = 25;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const HEARTBEAT: u8 = 27;
    pub(crate) const IGNORABLE: u8 = 28;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const WRITE: u8 = 30;
    pub(crate) const UPDATE: u8 = 31;
    pub(crate) const DELETE: u8 = 32;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const ANONYMOUS: u8 = 34;
    pub(crate) const PREVIOUS_GTIDS: u8 = 35;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PARTIAL_UPDATE: u8 = 39;
    pub(crate) const PAYLOAD: u8 = 40;
    pub(crate) const HEARTBEAT_V2: u8 = 41;
    pub(crate) const GTID_TAGGED: u8 = 42;
    pub(crate) const ANNOTATE_ROWS: u8 = 160;
    pub(crate) const CHECKPOINT: u8 = 161;
    pub(crate) const MARIADB_GTID: u8 = 162;
    pub(crate) const GTID_LIST: u8 = 163;
    pub(crate) const START_ENCRYPTION: u8 = 164;
    pub(crate) const QUERY_COMPRESSED: u8 = 165;
    pub(crate) const WRITE_COMPRESSED_V1: u8 = 166;
    pub(crate) const UPDATE_COMPRESSED_V1: u8 = 167;
    pub(crate) const DELETE_COMPRESSED_V1: u8 = 168;
    pub(crate) const WRITE_COMPRESSED: u8 = 169;
    pub(crate) const UPDATE_COMPRESSED: u8 = 170;
    pub(crate) const DELETE_COMPRESSED: u8 = 171;
}

impl<'a> Event<'a> {
    /// Reads what follows an event's header.
    ///
    /// # Errors
    /// [`codes::BAD_BYTES`] when it is not of its type's form; [`codes::UNSUPPORTED`] when the type is
    /// not known and may matter.
    pub(super) fn read(header: &Header, body: &'a [u8]) -> Result<Self> {
        use RowsKind::{Delete, Insert, PartialUpdate, Update};
        let rows = |kind, compressed, has_extra| Event::Rows(Rows { kind, compressed, has_extra, body });
        let mut fields = Fields(body);
        Ok(match header.kind {
            kind::ROTATE => {
                let position = fields.u64()?;
                Event::Rotate { file: file_name(fields.0)?, position }
            }
            kind::FORMAT => format(body)?,
            kind::GTID | kind::ANONYMOUS => Event::Begin(gtid(header, fields)?),
            kind::GTID_TAGGED => {
                Event::Begin(Begin { gtid: None, tagged: true, micros: header.micros(), open: false })
            }
            kind::MARIADB_GTID => Event::Begin(mariadb_gtid(header, fields)?),
            kind::QUERY => Event::Query(query(fields, 0, false)?),
            kind::QUERY_COMPRESSED => Event::Query(query(fields, 0, true)?),
            // The file's number, and where its name stands in the statement.
            kind::EXECUTE_LOAD => Event::LoadQuery(query(fields, 13, false)?),
            kind::XID => Event::Commit,
            kind::XA_PREPARE => prepare(fields)?,
            kind::TABLE_MAP => Event::Table(body),
            kind::WRITE_V1 => rows(Insert, false, false),
            kind::UPDATE_V1 => rows(Update, false, false),
            kind::DELETE_V1 => rows(Delete, false, false),
            kind::WRITE => rows(Insert, false, true),
            kind::UPDATE => rows(Update, false, true),
            kind::DELETE => rows(Delete, false, true),
            kind::PARTIAL_UPDATE => rows(PartialUpdate, false, true),
            kind::WRITE_COMPRESSED_V1 => rows(Insert, true, false),
            kind::UPDATE_COMPRESSED_V1 => rows(Update, true, false),
            kind::DELETE_COMPRESSED_V1 => rows(Delete, true, false),
            kind::WRITE_COMPRESSED => rows(Insert, true, true),
            kind::UPDATE_COMPRESSED => rows(Update, true, true),
            kind::DELETE_COMPRESSED => rows(Delete, true, true),
            kind::PAYLOAD => Event::Payload(body),
            kind::HEARTBEAT => {
                Event::Heartbeat { file: file_name(fields.0)?, position: u64::from(header.next) }
            }
            kind::HEARTBEAT_V2 => heartbeat(fields)?,
            kind::INCIDENT => Event::Incident,
            kind::STOP | kind::INTVAR | kind::RAND | kind::USER_VAR | kind::BEGIN_LOAD => Event::Aside,
            kind::IGNORABLE | kind::ROWS_QUERY | kind::PREVIOUS_GTIDS | kind::ANNOTATE_ROWS => Event::Aside,
            kind::CHECKPOINT | kind::GTID_LIST | kind::START_ENCRYPTION => Event::Aside,
            _ if header.may_be_ignored() => Event::Aside,
            other => {
                return Err(Error::new(&codes::UNSUPPORTED, "read", "the binary log")
                    .because(format!("there is an event of type {other}, which Syncline does not know and which may change rows"))
                    .hint("Use sync: incremental with this server, and please tell us its version"));
            }
        })
    }
}

/// Names of files are plain; one that is not is something else.
fn file_name(bytes: &[u8]) -> Result<&str, Broken> {
    let name = std::str::from_utf8(bytes).map_err(|_| Broken)?;
    let plain = name.chars().all(|c| !c.is_control()) && super::place::number(name).is_some();
    if plain { Ok(name) } else { Err(Broken) }
}

fn format<'a>(body: &[u8]) -> Result<Event<'a>> {
    let mut fields = Fields(body);
    let version = fields.u16()?;
    // The server's version and when the file was begun.
    fields.take(50 + 4)?;
    let header_bytes = fields.u8()?;
    if version != 4 || usize::from(header_bytes) != HEADER_BYTES {
        return Err(Error::new(&codes::UNSUPPORTED, "read", "the binary log")
            .because(format!("it is of version {version}, and Syncline reads version 4")));
    }
    match fields.0.last() {
        Some(0) => Ok(Event::Format { checksums: false }),
        Some(1) => Ok(Event::Format { checksums: true }),
        _ => Err(Error::new(&codes::UNSUPPORTED, "read", "the binary log")
            .because("its checksums are of a kind that Syncline does not know")),
    }
}

fn gtid(header: &Header, mut fields: Fields<'_>) -> Result<Begin, Broken> {
    let _flags = fields.u8()?;
    let (server, number) = (fields.array()?, fields.u64()?);
    let gtid = (header.kind == kind::GTID).then_some(Gtid::Mysql { server, number });
    // A type, and two numbers by which replicas know what may run at once.
    let micros = fields.take(17).and_then(|_| fields.number(7)).ok();
    // The highest bit says that another time follows.
    let micros = micros.and_then(|micros| i64::try_from(micros & !(1 << 55)).ok());
    let micros = micros.filter(|micros| *micros > 0).or(header.micros());
    Ok(Begin { gtid, tagged: false, micros, open: false })
}

/// The transaction is a single statement.
const STANDALONE: u8 = 1;

fn mariadb_gtid(header: &Header, mut fields: Fields<'_>) -> Result<Begin, Broken> {
    let (number, domain, flags) = (fields.u64()?, fields.u32()?, fields.u8()?);
    let gtid = Some(Gtid::Mariadb { domain, server: header.server, number });
    Ok(Begin { gtid, tagged: false, micros: header.micros(), open: flags & STANDALONE == 0 })
}

fn query(mut fields: Fields<'_>, more: usize, compressed: bool) -> Result<Query<'_>, Broken> {
    // The session and how long it took.
    fields.take(8)?;
    let database_bytes = fields.u8()?;
    let _error = fields.u16()?;
    let settings_bytes = fields.u16()?;
    fields.take(more)?;
    fields.take(usize::from(settings_bytes))?;
    let database = fields.take(usize::from(database_bytes))?;
    fields.take(1)?;
    Ok(Query { database, text: fields.0, compressed })
}

/// A transaction's name has two parts and a number.
fn prepare(mut fields: Fields<'_>) -> Result<Event<'_>, Broken> {
    let one_phase = fields.u8()? != 0;
    let form = i32::from_le_bytes(fields.array()?);
    let mut length = || usize::try_from(fields.u32()?).map_err(|_| Broken);
    let (first, second) = (length()?, length()?);
    let mut hex = |count: usize| {
        let digits = fields.take(count)?.iter().map(|byte| format!("{byte:02x}"));
        Ok::<String, Broken>(digits.collect())
    };
    let name = format!("X'{}',X'{}',{form}", hex(first)?, hex(second)?);
    Ok(Event::Prepare { one_phase, transaction: transaction_of(&name) })
}

/// The number that stands for a transaction's name, as statements write it.
pub(super) fn transaction_of(name: &str) -> u64 {
    let plain: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let hash = hash_text(&plain.to_ascii_lowercase());
    u64::try_from(hash & u128::from(u64::MAX)).unwrap_or(0)
}

/// Fields behind their number and length.
fn heartbeat(mut fields: Fields<'_>) -> Result<Event<'_>, Broken> {
    const NAME: u64 = 1;
    const POSITION: u64 = 2;
    let (mut file, mut position) = (None, None);
    while !fields.is_empty() {
        let field = fields.lenenc()?;
        if field == 0 {
            break;
        }
        let value = fields.counted()?;
        match field {
            NAME => file = Some(file_name(value)?),
            POSITION => position = Some(Fields(value).lenenc()?),
            _ => {}
        }
    }
    Ok(Event::Heartbeat { file: file.ok_or(Broken)?, position: position.ok_or(Broken)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u8, flags: u16, body: &[u8], checksum: bool) -> Vec<u8> {
        let length = u32::try_from(HEADER_BYTES + body.len() + if checksum { 4 } else { 0 }).unwrap();
        let mut bytes = [
            &[1, 0, 0, 0, kind][..],
            &[7, 0, 0, 0],
            &length.to_le_bytes(),
            &500_u32.to_le_bytes(),
            &flags.to_le_bytes(),
            body,
        ]
        .concat();
        if checksum {
            let mut sum = flate2::Crc::new();
            sum.update(&bytes);
            bytes.extend(sum.sum().to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut bytes = event(kind::XID, 0, &[0; 8], true);
        assert_eq!(split(&bytes, true).unwrap().1, [0; 8]);
        bytes[20] ^= 1;
        let error = split(&bytes, true).unwrap_err();
        assert!(error.code() == &codes::BAD_BYTES && error.to_string().contains("checksum"), "{error}");
        assert!(split(&bytes[..30], true).is_err());
    }

    #[test]
    fn a_rotation_made_for_us_may_have_a_checksum_or_not() {
        for checksum in [true, false] {
            let bytes = event(kind::ROTATE, ARTIFICIAL, b"\x04\0\0\0\0\0\0\0bin.000002", checksum);
            let (header, body) = split(&bytes, !checksum).unwrap();
            assert_eq!(
                Event::read(&header, body).unwrap(),
                Event::Rotate { file: "bin.000002", position: 4 }
            );
        }
    }

    #[test]
    fn what_is_not_known_is_an_error_unless_it_may_be_ignored() {
        let read = |kind, flags| {
            let bytes = event(kind, flags, &[], false);
            let (header, body) = split(&bytes, false).unwrap();
            Event::read(&header, body).map(|event| format!("{event:?}")).map_err(|error| error.code())
        };
        assert_eq!(read(99, IGNORABLE).unwrap(), "Aside");
        assert_eq!(read(99, 0), Err(&codes::UNSUPPORTED));
        assert_eq!(read(21, 0), Err(&codes::UNSUPPORTED));
        assert_eq!(read(kind::QUERY, 0), Err(&codes::BAD_BYTES));
    }
}
