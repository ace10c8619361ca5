//! How a connection is to be encrypted, in our words and in those of the servers' own clients.

use schemars::JsonSchema;
use serde::Deserialize;
use syncline_types::{Error, Result, codes};

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Encrypted; the certificate must be valid and for this host.
    Verify,
    /// Encrypted; the certificate must be valid, for whatever host.
    VerifyCa,
    /// Encrypted; any certificate will do.
    Require,
    /// Not encrypted.
    Disable,
}

impl Tls {
    /// What the option `tls` and the options that other clients have for it come to, as pairs of
    /// name and value. Nothing said means `disable` on this machine (`local`) and `verify` elsewhere.
    ///
    /// # Errors
    /// When they contradict, when there is no such mode, or when it may fall back to plain text.
    pub fn agreed(tls: Option<Tls>, others: &[(&str, Option<&str>)], local: bool) -> Result<Tls> {
        let mut said = tls;
        for (name, mode) in others {
            let Some(mode) = mode else { continue };
            let other = Tls::of_client(name, mode, local)?;
            if said.is_some_and(|said| said != other) {
                return Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{name}={mode}`"))
                    .because("another option says something else about encryption")
                    .hint("Leave one of them out"));
            }
            said = Some(other);
        }
        Ok(said.unwrap_or(if local { Tls::Disable } else { Tls::Verify }))
    }

    /// The words of libpq and of the clients of MySQL and MariaDB.
    fn of_client(name: &str, mode: &str, local: bool) -> Result<Tls> {
        let refused = |because: &str, hint: String| {
            Err(Error::new(&codes::BAD_VALUE, "use option", format!("`{name}={mode}`"))
                .because(because)
                .hint(hint))
        };
        match mode.to_ascii_lowercase().replace('_', "-").as_str() {
            "disable" | "disabled" => Ok(Tls::Disable),
            "require" | "required" => Ok(Tls::Require),
            "verify-ca" => Ok(Tls::VerifyCa),
            "verify-full" | "verify-identity" => Ok(Tls::Verify),
            // On this machine it makes no difference that they may fall back to plain text.
            "prefer" | "preferred" | "allow" if local => Ok(Tls::Disable),
            "prefer" | "preferred" | "allow" => refused(
                "it may fall back to plain text without a word",
                format!("Write {name}=verify-full, or {name}=disable if plain text is meant"),
            ),
            _ => refused(
                "there is no such mode",
                format!("It is one of disable, require, verify-ca and verify-full ({name}=verify-full)"),
            ),
        }
    }

    /// In words, for reports: `encrypted, certificate verified`.
    pub fn describe(self) -> &'static str {
        match self {
            Tls::Verify => "encrypted, certificate verified",
            Tls::VerifyCa => "encrypted, certificate verified but not its host name",
            Tls::Require => "encrypted, certificate not verified",
            Tls::Disable => "not encrypted",
        }
    }

    /// Whether somebody on the way could read or alter what is said. On this machine (`local`)
    /// nobody is on the way.
    pub fn is_exposed(self, local: bool) -> bool {
        match self {
            Tls::Verify => false,
            Tls::VerifyCa | Tls::Require => true,
            Tls::Disable => !local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_verified_unless_said_otherwise() {
        for (tls, mode, local, expected) in [
            (None, None, false, Tls::Verify),
            (None, None, true, Tls::Disable),
            (Some(Tls::Verify), None, true, Tls::Verify),
            (None, Some("require"), false, Tls::Require),
            (None, Some("REQUIRED"), false, Tls::Require),
            (Some(Tls::Verify), Some("verify-full"), false, Tls::Verify),
            (Some(Tls::Verify), Some("VERIFY_IDENTITY"), false, Tls::Verify),
            (None, Some("verify-ca"), false, Tls::VerifyCa),
            (None, Some("disable"), false, Tls::Disable),
            (None, Some("PREFERRED"), true, Tls::Disable),
        ] {
            let agreed = Tls::agreed(tls, &[("sslmode", mode)], local).unwrap();
            assert_eq!(agreed, expected, "{tls:?} {mode:?} {local}");
        }
    }

    #[test]
    fn no_word_falls_back_to_plain_text_and_none_contradicts() {
        for (tls, modes) in [
            (None, [Some("prefer"), None]),
            (None, [Some("nonsense"), None]),
            (Some(Tls::Verify), [Some("require"), None]),
            (None, [Some("required"), Some("disable")]),
        ] {
            let others = [("ssl-mode", modes[0]), ("sslmode", modes[1])];
            let error = Tls::agreed(tls, &others, false).unwrap_err();
            assert_eq!(error.code(), &codes::BAD_VALUE, "{tls:?} {modes:?}");
        }
    }
}
