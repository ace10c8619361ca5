//! Places in the log: which server's, where in which file, and which transactions lie before it.
//!
//! Places of one server are compared by file and position. After a fail-over another server answers,
//! whose files are others: then the transactions' ids tell, where both servers have them.

use std::{cmp::Ordering, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use syncline_types::{Error, Position, Result, codes};

use super::gtid::GtidSet;
use crate::client::Family;

/// A place in the log, between two transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The server's UUID (MySQL) or number (MariaDB).
    pub(super) server: String,
    pub(super) file: String,
    pub(super) position: u64,
    /// When the file was begun, in seconds since 1970, where that is known: a log that was begun anew has
    /// files of the same names.
    pub(super) begun: Option<u32>,
    /// Transactions that are prepared before it and have changed nothing that is followed, each as a number
    /// that stands for its name.
    pub(super) prepared: BTreeSet<u64>,
    /// What lies before it; `None` where the server gives its transactions no ids, or such as are not
    /// understood.
    pub(super) gtids: Option<GtidSet>,
}

/// As it is saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    server: String,
    file: String,
    position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    prepared: BTreeSet<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gtids: Option<String>,
}

impl Place {
    pub(super) fn of(position: &Position, family: Family) -> Result<Self> {
        let saved: Option<Saved> = serde_json::from_str(&position.0).ok();
        let place = saved.and_then(|saved| {
            let gtids = match saved.gtids {
                Some(text) => Some(GtidSet::parse(&text, family)?),
                None => None,
            };
            let Saved { server, file, position, begun, prepared, .. } = saved;
            Some(Place { server, file, position, begun, prepared, gtids })
        });
        place.filter(|place| number(&place.file).is_some()).ok_or_else(|| {
            Error::new(&codes::BAD_BYTES, "read a place in", "the binary log")
                .because("it is none that Syncline has written")
        })
    }

    pub(crate) fn to_position(&self) -> Position {
        let saved = Saved {
            server: self.server.clone(),
            file: self.file.clone(),
            position: self.position,
            begun: self.begun,
            prepared: self.prepared.clone(),
            gtids: self.gtids.as_ref().map(GtidSet::to_string),
        };
        Position(serde_json::to_string(&saved).expect("texts and numbers serialise"))
    }

    /// Moves on to where an event ends, of which only the lower half is told.
    pub(super) fn advance(&mut self, lower: u32) {
        let mut position = self.position & !0xFFFF_FFFF | u64::from(lower);
        if position < self.position {
            position += 1 << 32;
        }
        self.position = position;
    }

    /// Which comes first.
    ///
    /// # Errors
    /// [`codes::LOG_LOST`] when they are of two servers that have not done the same transactions.
    pub(super) fn compare(&self, other: &Place) -> Result<Ordering> {
        if self.server == other.server {
            let place = |place: &Place| (number(&place.file), place.position);
            return Ok(place(self).cmp(&place(other)));
        }
        let both = self.gtids.as_ref().zip(other.gtids.as_ref());
        both.and_then(|(one, other)| one.compare(other)).ok_or_else(|| {
            Error::new(&codes::LOG_LOST, "find a place in", "the binary log")
                .because(match both {
                    Some(_) => "another server answers now, and neither has all transactions of the other",
                    None => "another server answers now, and its transactions have no ids by which the place could be found",
                })
                .hint("Name the server that was followed, or copy the streams again with --restart")
        })
    }
}

/// The number that a log's file ends with.
pub(super) fn number(file: &str) -> Option<u64> {
    let (name, digits) = file.rsplit_once('.')?;
    let plain = !name.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(server: &str, file: &str, position: u64, gtids: Option<&str>) -> Place {
        let gtids = gtids.map(|text| GtidSet::parse(text, Family::Mariadb).unwrap());
        let prepared = BTreeSet::from([position]);
        Place { server: server.into(), file: file.into(), position, begun: Some(9), prepared, gtids }
    }

    #[test]
    fn places_come_back_as_they_were_saved() {
        for place in [place("1", "bin.000009", 4, None), place("1", "b.1000000", 1 << 33, Some("0-1-5"))] {
            assert_eq!(Place::of(&place.to_position(), Family::Mariadb).unwrap(), place);
        }
        for text in [
            "",
            "{}",
            r#"{"server":"1","file":"bin","position":4}"#,
            r#"{"server":"1","file":"b.1","position":4,"gtids":"x"}"#,
        ] {
            let error = Place::of(&Position(text.into()), Family::Mariadb).unwrap_err();
            assert_eq!(error.code(), &codes::BAD_BYTES, "{text}");
        }
    }

    #[test]
    fn files_may_be_longer_than_their_events_can_tell() {
        let mut place = place("1", "bin.000001", 4, None);
        for (lower, position) in [(500, 500), (u32::MAX, 0xFFFF_FFFF), (7, 0x1_0000_0007), (9, 0x1_0000_0009)]
        {
            place.advance(lower);
            assert_eq!(place.position, position);
        }
    }

    #[test]
    fn places_of_one_server_are_ordered_by_file_and_others_by_their_transactions() {
        let compare = |one: &Place, other: &Place| one.compare(other).map_err(|error| error.code());
        let early = place("1", "bin.999999", 900, Some("0-1-7"));
        let late = place("1", "bin.1000000", 4, Some("0-1-6"));
        assert_eq!(compare(&early, &late), Ok(Ordering::Less));
        let other = place("2", "x.000001", 4, Some("0-1-7"));
        assert_eq!(compare(&early, &other), Ok(Ordering::Equal));
        assert_eq!(compare(&late, &other), Ok(Ordering::Less));
        assert_eq!(compare(&early, &place("2", "x.000001", 4, None)), Err(&codes::LOG_LOST));
        assert_eq!(compare(&early, &place("2", "x.000001", 4, Some("1-2-3"))), Err(&codes::LOG_LOST));
    }
}
