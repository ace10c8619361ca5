//! What the server sends while it is followed: frames, and in them pgoutput's messages (version 1 of
//! its protocol). Nothing is copied; any bytes at all give a message or an error.

use syncline_types::{Error, Result, codes};

use super::lsn::Lsn;

/// What a `CopyData` of the server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A message of pgoutput.
    Data(&'a [u8]),
    /// The server is there, and has sent everything that was committed before `upto`.
    KeepAlive { upto: Lsn, wants_reply: bool },
}

/// A message of pgoutput.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A transaction, whose commit stands at `commit` and was at `micros`.
    Begin {
        commit: Lsn,
        micros: i64,
    },
    /// Its end; `end` is the place behind it.
    Commit {
        end: Lsn,
        micros: i64,
    },
    /// What a table looks like from here on.
    Relation(Relation<'a>),
    Insert {
        table: u32,
        new: Tuple<'a>,
    },
    Update {
        table: u32,
        old: Option<Old<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        table: u32,
        old: Old<'a>,
    },
    Truncate {
        tables: Vec<u32>,
    },
    /// What an application has said in the transaction, under a name of its own.
    Said {
        name: &'a [u8],
        text: &'a [u8],
    },
    /// Where a transaction came from, a type's name, what was said outside of transactions: nothing to be done.
    Aside,
}

/// A table as a message describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relation<'a> {
    pub(crate) table: u32,
    pub(crate) columns: Vec<RelationColumn<'a>>,
}

/// A column as a message describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelationColumn<'a> {
    /// Whether old rows tell it.
    pub(crate) identity: bool,
    pub(crate) name: &'a [u8],
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
}

/// A row as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Old<'a> {
    /// Only what tells rows apart; everything else is NULL in it.
    Identity(Tuple<'a>),
    Whole(Tuple<'a>),
}

/// A row's values, in the order of the table's columns.
pub(crate) type Tuple<'a> = Vec<Field<'a>>;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Null,
    /// It is stored out of line, and the update has left it alone.
    Unchanged,
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

impl<'a> Old<'a> {
    pub(crate) fn tuple(&self) -> &Tuple<'a> {
        match self {
            Old::Identity(tuple) | Old::Whole(tuple) => tuple,
        }
    }
}

/// Reads what a `CopyData` holds.
///
/// # Errors
/// [`codes::BAD_BYTES`] when it is not what a server sends.
pub(crate) fn frame(bytes: &[u8]) -> Result<Frame<'_>> {
    let mut rest = Rest(bytes);
    let frame = match rest.byte().ok_or_else(garbled)? {
        // Two places and a time come first.
        b'w' => rest.take(24).map(|_| Frame::Data(rest.0)),
        b'k' => rest.keep_alive().filter(|_| rest.0.is_empty()),
        letter => return Err(unknown(letter)),
    };
    frame.ok_or_else(garbled)
}

/// Reads a message.
///
/// # Errors
/// [`codes::BAD_BYTES`] when it is none, or one that is not known here.
pub(crate) fn message(bytes: &[u8]) -> Result<Message<'_>> {
    let mut rest = Rest(bytes);
    let message = match rest.byte().ok_or_else(garbled)? {
        b'B' => rest.begin(),
        b'C' => rest.commit(),
        b'R' => rest.relation().map(Message::Relation),
        b'I' => rest.insert(),
        b'U' => rest.update(),
        b'D' => rest.delete(),
        b'T' => rest.truncate(),
        b'M' => rest.said(),
        b'O' | b'Y' => return Ok(Message::Aside),
        letter => return Err(unknown(letter)),
    };
    message.filter(|_| rest.0.is_empty()).ok_or_else(garbled)
}

fn garbled() -> Error {
    Error::new(&codes::BAD_BYTES, "read", "PostgreSQL's log")
        .because("a message is not of the form that pgoutput has")
        .hint("Look at what stands between here and the server")
}

fn unknown(letter: u8) -> Error {
    Error::new(&codes::BAD_BYTES, "read", "PostgreSQL's log")
        .because(format!("there is a message `{}`, which this version does not know", letter.escape_ascii()))
        .hint("Use a newer version of Syncline")
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(i16::from_be_bytes(self.array()?)).ok()
    }

    fn oid(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn lsn(&mut self) -> Option<Lsn> {
        self.array().map(u64::from_be_bytes).map(Lsn)
    }

    /// A text up to its NUL.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.byte().map(|_| text)
    }

    fn keep_alive(&mut self) -> Option<Frame<'a>> {
        let upto = self.lsn()?;
        self.take(8)?;
        Some(Frame::KeepAlive { upto, wants_reply: self.byte()? != 0 })
    }

    fn begin(&mut self) -> Option<Message<'a>> {
        let (commit, micros) = (self.lsn()?, i64::from_be_bytes(self.array()?));
        // The transaction's number.
        self.take(4)?;
        Some(Message::Begin { commit, micros })
    }

    fn commit(&mut self) -> Option<Message<'a>> {
        // Flags, and where the commit begins.
        self.take(9)?;
        Some(Message::Commit { end: self.lsn()?, micros: i64::from_be_bytes(self.array()?) })
    }

    fn relation(&mut self) -> Option<Relation<'a>> {
        let table = self.oid()?;
        self.text()?;
        self.text()?;
        // How old rows are told; what that means column by column follows.
        self.byte()?;
        let columns = (0..self.count()?).map(|_| self.column()).collect::<Option<_>>()?;
        Some(Relation { table, columns })
    }

    fn column(&mut self) -> Option<RelationColumn<'a>> {
        Some(RelationColumn {
            identity: self.byte()? & 1 != 0,
            name: self.text()?,
            type_oid: self.oid()?,
            modifier: i32::from_be_bytes(self.array()?),
        })
    }

    fn insert(&mut self) -> Option<Message<'a>> {
        let table = self.oid()?;
        Some(Message::Insert { table, new: self.new_tuple()? })
    }

    fn update(&mut self) -> Option<Message<'a>> {
        let table = self.oid()?;
        let old = if self.0.first() == Some(&b'N') { None } else { Some(self.old()?) };
        Some(Message::Update { table, old, new: self.new_tuple()? })
    }

    fn delete(&mut self) -> Option<Message<'a>> {
        let table = self.oid()?;
        Some(Message::Delete { table, old: self.old()? })
    }

    fn truncate(&mut self) -> Option<Message<'a>> {
        let count = u32::from_be_bytes(self.array()?);
        // CASCADE and RESTART IDENTITY: every table that it reached is named.
        self.byte()?;
        Some(Message::Truncate { tables: (0..count).map(|_| self.oid()).collect::<Option<_>>()? })
    }

    fn said(&mut self) -> Option<Message<'a>> {
        let is_of_transaction = self.byte()? & 1 != 0;
        // Its place.
        self.take(8)?;
        let name = self.text()?;
        let text = self.value()?;
        Some(if is_of_transaction { Message::Said { name, text } } else { Message::Aside })
    }

    fn new_tuple(&mut self) -> Option<Tuple<'a>> {
        match self.byte()? {
            b'N' => self.tuple(),
            _ => None,
        }
    }

    fn old(&mut self) -> Option<Old<'a>> {
        match self.byte()? {
            b'K' => self.tuple().map(Old::Identity),
            b'O' => self.tuple().map(Old::Whole),
            _ => None,
        }
    }

    fn tuple(&mut self) -> Option<Tuple<'a>> {
        (0..self.count()?).map(|_| self.field()).collect()
    }

    fn field(&mut self) -> Option<Field<'a>> {
        match self.byte()? {
            b'n' => Some(Field::Null),
            b'u' => Some(Field::Unchanged),
            b't' => self.value().map(Field::Text),
            b'b' => self.value().map(Field::Binary),
            _ => None,
        }
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(i32::from_be_bytes(self.array()?)).ok()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn messages_are_taken_apart() {
        let lsn = 0x16B_3748_u64.to_be_bytes();
        let begin = bytes(&[b"B", &lsn, &7_i64.to_be_bytes(), &[0, 0, 2, 1]]);
        assert_eq!(message(&begin).unwrap(), Message::Begin { commit: Lsn(0x16B_3748), micros: 7 });
        let commit = bytes(&[b"C", &[0], &[0; 8], &lsn, &7_i64.to_be_bytes()]);
        assert_eq!(message(&commit).unwrap(), Message::Commit { end: Lsn(0x16B_3748), micros: 7 });
        let table = [0, 0, 0x40, 1];
        let column = bytes(&[&[1], b"id\0", &[0, 0, 0, 23], &(-1_i32).to_be_bytes()]);
        let relation = bytes(&[b"R", &table, b"public\0t\0d", &[0, 1], &column]);
        let Message::Relation(relation) = message(&relation).unwrap() else { panic!("it is a relation") };
        let id = RelationColumn { identity: true, name: b"id", type_oid: 23, modifier: -1 };
        assert_eq!(relation, Relation { table: 0x4001, columns: vec![id] });
        let one = bytes(&[&[0, 4], b"nu", b"t", &[0, 0, 0, 2], b"ab", b"b", &[0, 0, 0, 1, 9]]);
        let tuple = vec![Field::Null, Field::Unchanged, Field::Text(b"ab"), Field::Binary(&[9])];
        let insert = bytes(&[b"I", &table, b"N", &one]);
        assert_eq!(message(&insert).unwrap(), Message::Insert { table: 0x4001, new: tuple.clone() });
        let update = bytes(&[b"U", &table, b"K", &one, b"N", &one]);
        let old = Some(Old::Identity(tuple.clone()));
        assert_eq!(message(&update).unwrap(), Message::Update { table: 0x4001, old, new: tuple.clone() });
        let delete = bytes(&[b"D", &table, b"O", &one]);
        let old = Old::Whole(tuple);
        assert_eq!(message(&delete).unwrap(), Message::Delete { table: 0x4001, old });
        let truncate = bytes(&[b"T", &[0, 0, 0, 2, 3], &table, &table]);
        assert_eq!(message(&truncate).unwrap(), Message::Truncate { tables: vec![0x4001, 0x4001] });
        let said = |flags: u8| bytes(&[b"M", &[flags], &lsn, b"name\0", &[0, 0, 0, 2], b"hi"]);
        assert_eq!(message(&said(1)).unwrap(), Message::Said { name: b"name", text: b"hi" });
        assert_eq!(message(&said(0)).unwrap(), Message::Aside);
    }

    #[test]
    fn frames_are_taken_apart() {
        let data = bytes(&[b"w", &[0; 24], b"B"]);
        assert_eq!(frame(&data).unwrap(), Frame::Data(b"B"));
        let alive = bytes(&[b"k", &9_u64.to_be_bytes(), &[0; 8], &[1]]);
        assert_eq!(frame(&alive).unwrap(), Frame::KeepAlive { upto: Lsn(9), wants_reply: true });
    }

    #[test]
    fn what_is_cut_unknown_or_too_long_is_an_error() {
        let begin = bytes(&[b"B", &[0; 20]]);
        for bad in [
            &b""[..],
            &begin[..20],
            &bytes(&[&begin, &[0]]),
            b"S\0\0\0\x01\x01",
            b"I\0\0\0\x01X",
            b"I\0\0\0\x01N\xFF\xFF",
            b"I\0\0\0\x01N\0\x01t\xFF\xFF\xFF\xFF",
            b"I\0\0\0\x01N\0\x01x",
            b"T\xFF\xFF\xFF\xFF\0",
            b"M\x01\0\0\0\0\0\0\0\0name\0\0\0\0\x02h",
        ] {
            assert_eq!(message(bad).unwrap_err().code(), &codes::BAD_BYTES, "{}", bad.escape_ascii());
        }
        for bad in [&b""[..], b"w", b"k\0", b"z"] {
            assert_eq!(frame(bad).unwrap_err().code(), &codes::BAD_BYTES);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), letter in 0_usize..8) {
            let _ = frame(&bytes);
            let _ = message(&bytes);
            let one = [&[b"BCRIUDTM"[letter]], bytes.as_slice()].concat();
            let _ = message(&one);
        }
    }
}
