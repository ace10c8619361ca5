//! Looks into logs of any bytes, as a reader would. Built for tests and fuzzing only.

use std::{collections::BTreeSet, sync::Arc};

use syncline_connect::{Read, SplitOrder, Stream};
use syncline_types::{Column, Result, StreamName, TableSchema};

use super::{
    charset::Charset,
    event::Header,
    fill::Fill,
    gather::Shape,
    intake::{Intake, Taken},
    names::Names,
    place::Place,
    unpack::Unpacked,
    value::Reading,
};

/// Takes events of any bytes, one behind the other, for the table `d.t` with these columns, of which the
/// first is the key. Returns how many rows were told to its end; none when there is something wrong.
pub(crate) fn look_into(columns: Vec<Column>, bytes: &[u8]) -> usize {
    let mut schema = TableSchema::new("mysql", columns);
    schema.key = schema.columns.iter().take(1).map(|column| column.name.clone()).collect();
    let read = whole(schema);
    let reading = |column: &Column| Reading::of(column, false, Charset::Utf8, Fill::Null);
    let readings = read.logged_schema().columns.iter().map(reading).collect::<Option<_>>();
    let shape = Shape::new(&read, readings.expect("the types are known")).expect("the key is read");
    let names = Names::new(std::iter::once(&read), false);
    let (server, file, prepared) = ("s".into(), "bin.000001".into(), BTreeSet::new());
    let place = Place { server, file, position: 4, begun: None, prepared, gtids: None };
    let mut intake = Intake::new(vec![shape], names, (place.clone(), place), &[], false);
    let (mut rest, mut rows) = (bytes, 0);
    while let Ok(header) = Header::read(rest) {
        let Some((event, behind)) = rest.split_at_checked(header.length as usize) else { return 0 };
        // What a broken log leaves behind is never used.
        if event.is_empty() || !take(&mut intake, event, &mut rows) {
            return 0;
        }
        rest = behind;
    }
    rows + look_at_batch(&mut intake)
}

/// Whether an event was taken.
fn take(intake: &mut Intake, event: &[u8], rows: &mut usize) -> bool {
    if intake.needs(event).is_err() {
        return false;
    }
    match again(intake, rows, |intake| intake.take(event)) {
        Ok(Taken::Payload(payload)) => {
            let Ok(mut unpacked) = Unpacked::new(&payload) else { return false };
            while let Ok(Some(event)) = unpacked.front() {
                if intake.needs(event).is_err() {
                    return false;
                }
                let taken = again(intake, rows, |intake| intake.take_unpacked(event));
                if !matches!(taken, Ok(Taken::Done)) {
                    return false;
                }
                unpacked.advance();
            }
        }
        Ok(Taken::Done) => {}
        Ok(Taken::Compare(_) | Taken::Apart) | Err(_) => return false,
    }
    if intake.is_full() || event.len().is_multiple_of(3) {
        *rows += look_at_batch(intake);
    }
    true
}

/// Takes an event again once what it waits for is done.
fn again(
    intake: &mut Intake,
    rows: &mut usize,
    take: impl Fn(&mut Intake) -> Result<Taken>,
) -> Result<Taken> {
    let mut taken = take(intake);
    if let Ok(Taken::Compare(streams)) = taken {
        for stream in streams {
            if *rows % 64 == 63 {
                intake.leave_unread(stream);
            } else {
                intake.settle(stream, None);
            }
        }
        taken = take(intake);
    }
    if let Ok(Taken::Apart) = taken {
        *rows += look_at_batch(intake);
        taken = take(intake);
        assert!(!matches!(taken, Ok(Taken::Apart)), "nothing is gathered");
    }
    taken
}

fn look_at_batch(intake: &mut Intake) -> usize {
    if !intake.has_changes() {
        return 0;
    }
    let inside = intake.in_transaction();
    let batch = intake.finish(None).expect("every value has been looked at");
    assert!(inside || batch.position.is_some(), "a whole transaction has a position");
    let mut rows = 0;
    for changes in &batch.changes {
        rows += changes.written.len() + changes.went.len() + changes.rejects.len();
        assert_eq!(changes.rows.num_rows(), changes.written.len());
        assert_eq!(changes.gone.num_rows(), changes.went.len());
        let mut lengths = changes.absent.iter().flatten().map(arrow_buffer::BooleanBuffer::len);
        assert!(lengths.all(|length| length == changes.written.len()));
    }
    rows
}

/// All columns of a table.
fn whole(schema: TableSchema) -> Read {
    let columns = schema.columns.iter().map(|column| column.name.clone()).collect();
    let stream = Stream {
        name: StreamName { namespace: Some("d".into()), table: "t".into() },
        in_default_namespace: true,
        schema,
        order: SplitOrder::Whole,
        rows_estimate: None,
        bytes_estimate: None,
    };
    Read { stream: Arc::new(stream), columns, filter: None, chunk_rows: 1 }
}
