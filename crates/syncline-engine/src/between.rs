//! The databases between which a pipeline carries rows.

use std::sync::Arc;

use syncline_connect::{Origin, Read, Sink, Source, Target};
use syncline_types::Result;

/// The databases at both ends of a pipeline, by their identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// Those that are read.
    pub source: Vec<String>,
    /// Those that are written to.
    pub target: Vec<String>,
}

impl Between {
    /// Asks both ends. Where the target is locked, it is told to `make` what it lacks.
    ///
    /// # Errors
    /// When one of them cannot tell.
    pub async fn of(
        source: &dyn Source,
        reads: &[Arc<Read>],
        sink: &dyn Sink,
        targets: &[Arc<Target>],
        make: bool,
    ) -> Result<Self> {
        Ok(Between { source: source.databases(reads).await?, target: sink.databases(targets, make).await? })
    }

    /// Whether rows stay in one database.
    pub fn is_one(&self) -> bool {
        self.source.iter().any(|one| self.target.contains(one))
    }

    /// The databases whose changes are there already. Within one database nothing is passed over: it is
    /// other tables that are read.
    pub fn passed_over(&self) -> &[String] {
        if self.is_one() { &[] } else { &self.target }
    }

    /// What changes of this origin have come through at the target.
    ///
    /// # Errors
    /// When it is too much.
    pub fn onward(&self, origin: &Origin) -> Result<Origin> {
        if self.is_one() { Ok(origin.clone()) } else { origin.through(&self.source) }
    }
}

#[cfg(test)]
mod tests {
    use syncline_connect::identity;

    use super::*;

    #[test]
    fn within_one_database_nothing_is_passed_over_and_nothing_added() {
        let one = |name: &str| vec![identity("test", name)];
        let told = Origin::default().through(&one("c")).unwrap();
        let apart = Between { source: one("a"), target: one("b") };
        assert_eq!(apart.passed_over(), one("b"));
        assert_eq!(apart.onward(&told).unwrap(), told.through(&one("a")).unwrap());
        let within = Between { source: one("a"), target: one("a") };
        assert!(within.passed_over().is_empty());
        assert_eq!(within.onward(&told).unwrap(), told);
        assert!(within.onward(&Origin::default()).unwrap().is_here());
    }
}
