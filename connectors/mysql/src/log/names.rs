//! Which streams are of which table, by the names that the log has.

use std::collections::HashMap;

use syncline_connect::Read;

use super::statement::Named;

/// The followed tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The streams of a table, by its database and name.
    streams: HashMap<(String, String), Vec<usize>>,
    /// Whether the server takes names for equal that differ in their case only.
    folds_case: bool,
}

impl Names {
    pub(super) fn new<'a>(reads: impl Iterator<Item = &'a Read>, folds_case: bool) -> Self {
        let mut names = Names { streams: HashMap::new(), folds_case };
        for (stream, read) in reads.enumerate() {
            let name = &read.stream.name;
            let key = names.key(name.namespace.as_deref().unwrap_or_default(), &name.table);
            names.streams.entry(key).or_default().push(stream);
        }
        names
    }

    fn key(&self, database: &str, table: &str) -> (String, String) {
        let fold = |name: &str| if self.folds_case { name.to_lowercase() } else { name.to_owned() };
        (fold(database), fold(table))
    }

    /// The streams of a table that the log describes.
    pub(super) fn of(&self, database: &[u8], table: &[u8]) -> &[usize] {
        let key = self.key(&String::from_utf8_lossy(database), &String::from_utf8_lossy(table));
        self.streams.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The streams of a table that a statement names, where `database` is the one that is meant when
    /// none is named. A name that was not understood may be any that has other letters than a to z.
    pub(super) fn meant(&self, named: &Named, database: &[u8]) -> Vec<usize> {
        let default = String::from_utf8_lossy(database).into_owned();
        let wanted = self.key(named.database.as_ref().unwrap_or(&default), &named.table);
        let same =
            |wanted: &str, name: &str| wanted == name || wanted.contains('\u{FFFD}') && !name.is_ascii();
        let matching = self
            .streams
            .iter()
            .filter(|((database, table), _)| same(&wanted.0, database) && same(&wanted.1, table));
        matching.flat_map(|(_, streams)| streams.iter().copied()).collect()
    }

    /// The streams of a database.
    pub(super) fn within(&self, database: &str) -> Vec<usize> {
        let wanted = self.key(database, "").0;
        let matching = self.streams.iter().filter(|((database, _), _)| *database == wanted);
        matching.flat_map(|(_, streams)| streams.iter().copied()).collect()
    }
}
