//! Where changes come from, so that a target which is also a source does not get its own ones back.
//!
//! What is written to a database says, in the same transaction, through which databases it has come. Whoever
//! reads it there passes it on with that database added, and never to one that it has come through: a
//! change goes round any circle of pipelines once.

use syncline_types::{Error, Result, codes, fingerprint::hash_text};

/// What the mark is called: a message in PostgreSQL's log, a setting or variable of a session.
pub const ORIGIN: &str = "syncline.origin";

/// So many databases a change may come through.
const DATABASES_MAX: usize = 64;
/// Letters of a database's identity.
const IDENTITY_LETTERS: usize = 16;

/// The databases that a change has come through, the one in which it was made first. None where it was
/// made in the one that tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin(Vec<String>);

impl Origin {
    /// Reads what [`Origin::write`] wrote; `None` where somebody else did.
    pub fn read(text: &str) -> Option<Self> {
        let databases: Vec<String> =
            text.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let is_one =
            |part: &String| part.len() == IDENTITY_LETTERS && part.bytes().all(|b| b.is_ascii_hexdigit());
        (databases.len() <= DATABASES_MAX && databases.iter().all(is_one)).then_some(Origin(databases))
    }

    /// As a text of letters, digits and blanks.
    pub fn write(&self) -> String {
        self.0.join(" ")
    }

    /// Whether it is of the database that tells of it.
    pub fn is_here(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has come through one of these.
    pub fn is_from(&self, databases: &[String]) -> bool {
        self.0.iter().any(|one| databases.contains(one))
    }

    /// Come through these as well.
    ///
    /// # Errors
    /// [`codes::UNSUPPORTED`] when there are too many.
    pub fn through(&self, databases: &[String]) -> Result<Self> {
        let new = databases.iter().filter(|one| !self.0.contains(one));
        let all: Vec<String> = self.0.iter().chain(new).cloned().collect();
        match all.len() <= DATABASES_MAX {
            true => Ok(Origin(all)),
            false => Err(Error::new(&codes::UNSUPPORTED, "say where changes come from", "")
                .because(format!("they have come through more than {DATABASES_MAX} databases"))
                .hint("Look for pipelines that follow each other over so many")),
        }
    }
}

/// A database's identity, from what tells it apart from all others.
pub fn identity(system: &str, own: &str) -> String {
    format!("{:016x}", hash_text(&format!("{system}\n{own}")) & u128::from(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let (one, other) = (identity("postgres", "1/2"), identity("postgres", "1/3"));
        let origin = Origin::default().through(&[one.clone(), other.clone()]).unwrap();
        assert_eq!(Origin::read(&origin.write()), Some(origin.clone()));
        assert_eq!(Origin::read(""), Some(Origin::default()));
        assert!(Origin::default().is_here() && !origin.is_here());
        assert!(origin.is_from(std::slice::from_ref(&other)) && !origin.is_from(&[identity("mysql", "1/2")]));
        assert!(!origin.is_from(&[]) && !Origin::default().is_from(&[one]));
        assert_eq!(origin.through(&[other]).unwrap(), origin, "it is told once");
        for other in ["x", "0123456789abcdeg", "0123456789abcdef0", "somebody's own"] {
            assert_eq!(Origin::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_way_without_end_is_refused() {
        let all: Vec<String> = (0..=DATABASES_MAX).map(|number| identity("x", &number.to_string())).collect();
        let origin = Origin::default().through(&all[1..]).unwrap();
        assert_eq!(Origin::read(&origin.write()), Some(origin.clone()));
        assert_eq!(origin.through(&all).unwrap_err().code(), &codes::UNSUPPORTED);
        assert_eq!(Origin::read(&all.join(" ")), None);
    }
}
