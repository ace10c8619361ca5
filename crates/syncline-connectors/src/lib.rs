//! The list of connectors, and nothing else. Each is a feature, so that a binary can leave it out.

use syncline_connect::{AnyConnector, Erased, nearest};
use syncline_types::{Error, Result, codes};

/// Every connector of this binary, one line each.
pub static ALL: &[&dyn AnyConnector] = &[
    #[cfg(feature = "blackhole")]
    &Erased::<syncline_blackhole::Blackhole>::new(),
    #[cfg(feature = "file")]
    &Erased::<syncline_file::Files>::new(),
    #[cfg(feature = "generate")]
    &Erased::<syncline_generate::Generate>::new(),
    #[cfg(feature = "mysql")]
    &Erased::<syncline_mysql::Mysql>::new(),
    #[cfg(feature = "postgres")]
    &Erased::<syncline_postgres::Postgres>::new(),
    #[cfg(feature = "sqlite")]
    &Erased::<syncline_sqlite::Sqlite>::new(),
];

/// The connector that answers to a URL scheme.
///
/// # Errors
/// [`codes::UNKNOWN_CONNECTOR`] with the nearest one.
pub fn by_scheme(scheme: &str) -> Result<&'static dyn AnyConnector> {
    let found = ALL.iter().find(|connector| connector.schemes().contains(&scheme));
    found.copied().ok_or_else(|| unknown(scheme))
}

/// The connector of a name.
///
/// # Errors
/// [`codes::UNKNOWN_CONNECTOR`] with the nearest one.
pub fn by_name(name: &str) -> Result<&'static dyn AnyConnector> {
    ALL.iter().find(|connector| connector.name() == name).copied().ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let schemes = || ALL.iter().flat_map(|connector| connector.schemes().iter().copied());
    let hint = match nearest(name, schemes()) {
        Some(near) => format!("Did you mean `{near}:`? `syncline connectors` lists them all"),
        None => "`syncline connectors` lists them all".into(),
    };
    Error::new(&codes::UNKNOWN_CONNECTOR, "find a connector for", format!("`{name}:`"))
        .because("there is none of that name in this binary")
        .hint(hint)
}
