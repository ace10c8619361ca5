//! Which server it is, as far as it matters to us.

use std::fmt;

use syncline_types::{Error, Result, codes};

/// Two families that speak one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Mysql,
    Mariadb,
}

/// A server's family and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) family: Family,
    pub(crate) version: (u32, u32, u32),
}

/// The oldest versions we know how to speak to.
const MYSQL_MIN: (u32, u32, u32) = (8, 0, 0);
const MARIADB_MIN: (u32, u32, u32) = (10, 6, 0);

impl Server {
    /// By the version that it greets with.
    ///
    /// # Errors
    /// When it is older than what we know, or no server of the two families.
    pub(crate) fn of(greeting: &str, place: &str) -> Result<Self> {
        // MariaDB pretends to be an old MySQL, for clients that know no version above 5.
        let text = greeting.strip_prefix("5.5.5-").unwrap_or(greeting);
        let family =
            if text.to_ascii_lowercase().contains("mariadb") { Family::Mariadb } else { Family::Mysql };
        let server = Server { family, version: version(text) };
        let (oldest, name) = match family {
            Family::Mysql => (MYSQL_MIN, "MySQL"),
            Family::Mariadb => (MARIADB_MIN, "MariaDB"),
        };
        if server.version < oldest {
            return Err(Error::new(&codes::UNSUPPORTED, "use the server", place)
                .because(format!("it calls itself {name} {greeting}"))
                .hint("MySQL from 8.0 and MariaDB from 10.6 on are known"));
        }
        Ok(server)
    }

    pub(crate) fn is_mariadb(&self) -> bool {
        self.family == Family::Mariadb
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_mariadb() { "MariaDB" } else { "MySQL" };
        let (major, minor, patch) = self.version;
        write!(f, "{name} {major}.{minor}.{patch}")
    }
}

/// The first three numbers of a text; what is not there is 0.
fn version(text: &str) -> (u32, u32, u32) {
    let mut numbers = text.split('.').map(|part| {
        let digits = part.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_by_their_greeting() {
        for (greeting, expected) in [
            ("9.7.4-2", Some("MySQL 9.7.4")),
            ("8.0.36-28", Some("MySQL 8.0.36")),
            ("5.5.5-10.11.19-MariaDB-0+deb12u1-log", Some("MariaDB 10.11.19")),
            ("11.4.2-MariaDB", Some("MariaDB 11.4.2")),
            ("5.7.44", None),
            ("5.5.5-10.5.1-MariaDB", None),
            ("2.2.11-id64-release (95ae9a6)", None),
            ("99999999999.1", None),
            ("", None),
        ] {
            let server = Server::of(greeting, "db").map(|server| server.to_string()).ok();
            assert_eq!(server.as_deref(), expected, "{greeting}");
        }
    }
}
