//! Sets of global transaction ids, in the forms of both families.
//!
//! MySQL numbers the transactions of each server and tells which have been executed; MariaDB numbers
//! them in domains, and tells the last of each.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use crate::client::Family;

/// Transactions that lie behind us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GtidSet {
    Mysql(MysqlSet),
    Mariadb(MariadbState),
}

/// Of each server, by its UUID, which of its transactions: ranges from and up to, both included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MysqlSet(BTreeMap<[u8; 16], Vec<(u64, u64)>>);

/// Of each domain, the server and number of its last transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MariadbState(BTreeMap<u32, (u32, u64)>);

/// One transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gtid {
    Mysql { server: [u8; 16], number: u64 },
    Mariadb { domain: u32, server: u32, number: u64 },
}

impl GtidSet {
    /// Reads what the server says; `None` where it is not understood, as with tags.
    pub(super) fn parse(text: &str, family: Family) -> Option<Self> {
        match family {
            Family::Mysql => MysqlSet::parse(text).map(GtidSet::Mysql),
            Family::Mariadb => MariadbState::parse(text).map(GtidSet::Mariadb),
        }
    }

    /// Adds a transaction; false when it is of the other family.
    pub(super) fn add(&mut self, gtid: Gtid) -> bool {
        match (self, gtid) {
            (GtidSet::Mysql(set), Gtid::Mysql { server, number }) => set.add(server, number),
            (GtidSet::Mariadb(state), Gtid::Mariadb { domain, server, number }) => {
                state.0.insert(domain, (server, number));
            }
            _ => return false,
        }
        true
    }

    /// Whether a transaction is among them.
    pub(super) fn contains(&self, gtid: Gtid) -> bool {
        match (self, gtid) {
            (GtidSet::Mysql(set), Gtid::Mysql { server, number }) => {
                let ranges = set.0.get(&server).map(Vec::as_slice).unwrap_or_default();
                ranges.iter().any(|(from, upto)| (*from..=*upto).contains(&number))
            }
            (GtidSet::Mariadb(state), Gtid::Mariadb { domain, number, .. }) => {
                state.0.get(&domain).is_some_and(|(_, last)| number <= *last)
            }
            _ => false,
        }
    }

    /// Which has more; `None` when each has something that the other has not.
    pub(super) fn compare(&self, other: &GtidSet) -> Option<Ordering> {
        let (within, contains) = match (self, other) {
            (GtidSet::Mysql(one), GtidSet::Mysql(other)) => (one.is_within(other), other.is_within(one)),
            (GtidSet::Mariadb(one), GtidSet::Mariadb(other)) => (one.is_within(other), other.is_within(one)),
            _ => return None,
        };
        match (within, contains) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => None,
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::Mysql(set) => set.fmt(f),
            GtidSet::Mariadb(state) => state.fmt(f),
        }
    }
}

impl MysqlSet {
    fn parse(text: &str) -> Option<Self> {
        let mut set = MysqlSet::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split(':');
            let server = uuid(pieces.next()?)?;
            let mut ranges: Vec<(u64, u64)> = vec![];
            for range in pieces {
                let (from, upto) = range.split_once('-').unwrap_or((range, range));
                let (from, upto) = (from.trim().parse().ok()?, upto.trim().parse().ok()?);
                if from == 0 || upto < from || ranges.last().is_some_and(|(_, last)| from <= *last) {
                    return None;
                }
                ranges.push((from, upto));
            }
            if ranges.is_empty() || set.0.insert(server, ranges).is_some() {
                return None;
            }
        }
        Some(set)
    }

    fn add(&mut self, server: [u8; 16], number: u64) {
        let ranges = self.0.entry(server).or_default();
        // Behind the range that begins at or before it.
        let at = ranges.partition_point(|(from, _)| *from <= number);
        if let Some((_, upto)) = at.checked_sub(1).and_then(|before| ranges.get_mut(before)) {
            if number <= *upto {
                return;
            }
            if *upto + 1 == number {
                *upto = number;
                self.join(server, at);
                return;
            }
        }
        ranges.insert(at, (number, number));
        self.join(server, at + 1);
    }

    /// Makes one of the ranges at `at` and before it where they touch.
    fn join(&mut self, server: [u8; 16], at: usize) {
        let Some(ranges) = self.0.get_mut(&server) else { return };
        let Some((from, upto)) = ranges.get(at).copied() else { return };
        if let Some(before) = at.checked_sub(1).and_then(|before| ranges.get_mut(before))
            && before.1 + 1 == from
        {
            before.1 = upto;
            ranges.remove(at);
        }
    }

    fn is_within(&self, other: &MysqlSet) -> bool {
        self.0.iter().all(|(server, ranges)| {
            let there = other.0.get(server).map(Vec::as_slice).unwrap_or_default();
            ranges.iter().all(|(from, upto)| there.iter().any(|(first, last)| first <= from && upto <= last))
        })
    }

    /// The form that the server takes. Ends of ranges are not included there.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = (self.0.len() as u64).to_le_bytes().to_vec();
        for (server, ranges) in &self.0 {
            out.extend(server);
            out.extend((ranges.len() as u64).to_le_bytes());
            for (from, upto) in ranges {
                out.extend(from.to_le_bytes());
                out.extend(upto.saturating_add(1).to_le_bytes());
            }
        }
        out
    }
}

impl fmt::Display for MysqlSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (server, ranges)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write_uuid(server, f)?;
            for (from, upto) in ranges {
                match from == upto {
                    true => write!(f, ":{from}")?,
                    false => write!(f, ":{from}-{upto}")?,
                }
            }
        }
        Ok(())
    }
}

fn write_uuid(uuid: &[u8; 16], f: &mut impl fmt::Write) -> fmt::Result {
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_char('-')?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    syncline_types::text::parse_uuid(text.trim())
}

impl MariadbState {
    fn parse(text: &str) -> Option<Self> {
        let mut state = MariadbState::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut numbers = part.split('-');
            let domain = numbers.next()?.parse().ok()?;
            let last = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
            if numbers.next().is_some() || state.0.insert(domain, last).is_some() {
                return None;
            }
        }
        Some(state)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_within(&self, other: &MariadbState) -> bool {
        let reaches = |(domain, (_, number)): (&u32, &(u32, u64))| {
            *number == 0 || other.0.get(domain).is_some_and(|(_, there)| number <= there)
        };
        self.0.iter().all(reaches)
    }
}

impl fmt::Display for MariadbState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (domain, (server, number))) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429563";

    fn mysql(text: &str) -> GtidSet {
        GtidSet::parse(text, Family::Mysql).unwrap()
    }

    fn mariadb(text: &str) -> GtidSet {
        GtidSet::parse(text, Family::Mariadb).unwrap()
    }

    #[test]
    fn sets_are_written_as_they_are_read() {
        for text in ["".to_owned(), format!("{A}:1"), format!("{A}:1-5:7-9,{B}:3")] {
            assert_eq!(mysql(&text).to_string(), text);
        }
        assert_eq!(
            mysql(&format!("{},\n{B}:3", format!("{A}:1-5").to_uppercase())).to_string(),
            format!("{A}:1-5,{B}:3")
        );
        for text in ["", "0-1-5", "0-1-5,3-2-9"] {
            assert_eq!(mariadb(text).to_string(), text);
        }
        for text in [A.to_owned(), format!("{A}:tag:1-5"), format!("{A}:5-3"), format!("{A}:0"), "x:1".into()]
        {
            assert_eq!(GtidSet::parse(&text, Family::Mysql), None, "{text}");
        }
        for text in ["0-1", "0-1-2-3", "a-1-2", "0-1-2,0-1-3"] {
            assert_eq!(GtidSet::parse(text, Family::Mariadb), None, "{text}");
        }
    }

    #[test]
    fn sets_are_compared_by_what_they_contain() {
        let compare = |one: &str, other: &str| mysql(one).compare(&mysql(other));
        assert_eq!(compare(&format!("{A}:1-5"), &format!("{A}:1-6")), Some(Ordering::Less));
        assert_eq!(compare(&format!("{A}:1-5,{B}:1"), &format!("{A}:1-5")), Some(Ordering::Greater));
        assert_eq!(compare(&format!("{A}:1-5"), &format!("{B}:1-5")), None);
        assert_eq!(compare(&format!("{A}:1-2:4"), &format!("{A}:1-3")), None);
        assert_eq!(mariadb("0-1-5").compare(&mariadb("0-2-6")), Some(Ordering::Less));
        assert_eq!(mariadb("0-1-5,1-1-1").compare(&mariadb("0-1-6")), None);
        assert_eq!(mariadb("0-1-5").compare(&mysql("")), None);
    }

    #[test]
    fn the_form_of_the_server() {
        let GtidSet::Mysql(set) = mysql(&format!("{A}:1-5:9")) else { panic!("it is one of MySQL") };
        let bytes = set.bytes();
        assert_eq!((bytes.len(), bytes[0], bytes[24]), (8 + 16 + 8 + 32, 1, 2));
        assert_eq!((bytes[32], bytes[40], bytes[48], bytes[56]), (1, 6, 9, 10));
    }

    proptest! {
        #[test]
        fn adding_makes_ranges(numbers in proptest::collection::vec(1_u64..20, 0..30)) {
            let mut set = MysqlSet::default();
            numbers.iter().for_each(|number| set.add([7; 16], *number));
            let mut expected: Vec<u64> = numbers.clone();
            expected.sort_unstable();
            expected.dedup();
            let ranges = set.0.get(&[7; 16]).cloned().unwrap_or_default();
            let flat: Vec<u64> = ranges.iter().flat_map(|(from, upto)| *from..=*upto).collect();
            prop_assert_eq!(flat, expected);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
