//! A connection as the user gave it, taken apart, and its translation into a connector's own options.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use schemars::{JsonSchema, schema_for};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use syncline_types::{Error, Result, codes};

use crate::nearest;

/// The parts of a connection URL, with `${...}` already filled in. Printed without its secrets.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// Which connector.
    pub scheme: String,
    /// Login name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<SecretString>,
    /// Host name or address.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Database, file or folder, without the slash that separates it from the host.
    pub path: Option<String>,
    /// The query's parameters (texts) and the connection's options (any JSON).
    pub options: BTreeMap<String, Value>,
    /// Options whose values came from a `${...}`, and are therefore not shown.
    pub hidden: BTreeSet<String>,
}

/// Options with one of these in their name are not shown either.
const SECRET_WORDS: &[&str] = &["password", "secret", "token", "key"];

impl Endpoint {
    /// Whether an option's value is not to be shown.
    pub fn hides(&self, option: &str) -> bool {
        let lower = option.to_lowercase();
        self.hidden.contains(option) || SECRET_WORDS.iter().any(|word| lower.contains(word))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if let Some(host) = &self.host {
            f.write_str("//")?;
            if let Some(user) = &self.user {
                write!(f, "{user}@")?;
            }
            f.write_str(host)?;
            if let Some(port) = self.port {
                write!(f, ":{port}")?;
            }
            f.write_str("/")?;
        }
        f.write_str(self.path.as_deref().unwrap_or_default())?;
        for (at, (name, value)) in self.options.iter().enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            match value {
                _ if self.hides(name) => write!(f, "{separator}{name}=***")?,
                Value::String(text) => write!(f, "{separator}{name}={text}")?,
                other => write!(f, "{separator}{name}={other}")?,
            }
        }
        Ok(())
    }
}

/// Reads an endpoint into a connector's configuration type.
///
/// The URL's parts become the fields `user`, `password`, `host`, `port` and `path`; a field that the
/// type lacks may not be given. Texts from the query become numbers and booleans where the type's
/// JSON Schema asks for them.
///
/// # Errors
/// [`codes::UNKNOWN_KEY`] with the nearest right name, or [`codes::BAD_VALUE`].
pub fn parse_options<C: DeserializeOwned + JsonSchema>(endpoint: &Endpoint) -> Result<C> {
    let schema = schema_for!(C);
    let known = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut object = Map::new();
    let parts = [
        ("user", endpoint.user.clone().map(Value::String)),
        ("password", endpoint.password.as_ref().map(|password| password.expose_secret().into())),
        ("host", endpoint.host.clone().map(Value::String)),
        ("port", endpoint.port.map(Value::from)),
        ("path", endpoint.path.clone().map(Value::String)),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            if !known.contains_key(name) {
                return Err(Error::new(&codes::BAD_URL, "use connection", endpoint)
                    .because(format!("a `{}:` URL has no {name}", endpoint.scheme)));
            }
            object.insert(name.to_owned(), value);
        }
    }
    for (name, value) in &endpoint.options {
        let url_part = parts_names().contains(&name.as_str());
        let Some(property) = known.get(name).filter(|_| !url_part) else {
            let options = known.keys().map(String::as_str).filter(|name| !parts_names().contains(name));
            return Err(unknown_option(endpoint, name, options));
        };
        object.insert(name.clone(), typed(value, property));
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| {
        Error::new(&codes::BAD_VALUE, "use connection", endpoint)
            .because(without_values(&error.to_string()))
            .hint(format!("`syncline connectors {}` lists its options", endpoint.scheme))
    })
}

/// A message of the deserializer without the value it quotes, which may be a secret.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(from), Some(upto)) if from < upto => {
            let (before, after) = (message.get(..from), message.get(upto + 1..));
            format!("{}***{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

fn parts_names() -> [&'static str; 5] {
    ["user", "password", "host", "port", "path"]
}

fn unknown_option<'a>(endpoint: &Endpoint, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("It has: {}", known.join(", ")),
    };
    Error::new(&codes::UNKNOWN_KEY, "use connection", endpoint)
        .because(format!("`{}` has no option `{name}`", endpoint.scheme))
        .hint(hint.trim_end_matches('?'))
}

/// A text from a query as the number or boolean that the property wants; else unchanged.
fn typed(value: &Value, property: &Value) -> Value {
    let Value::String(text) = value else { return value.clone() };
    let wants = |name: &str| match property.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(any)) => any.iter().any(|one| one == name),
        _ => false,
    };
    let parsed = match text.parse::<Value>() {
        Ok(parsed @ Value::Number(_)) if wants("integer") || wants("number") => Some(parsed),
        Ok(parsed @ Value::Bool(_)) if wants("boolean") => Some(parsed),
        _ => None,
    };
    parsed.unwrap_or_else(|| value.clone())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Options {
        path: String,
        #[serde(default)]
        rows: Option<u64>,
        #[serde(default)]
        strict: bool,
    }

    fn endpoint(options: &[(&str, &str)]) -> Endpoint {
        Endpoint {
            scheme: "test".into(),
            path: Some("p".into()),
            options: options.iter().map(|(name, value)| ((*name).into(), Value::from(*value))).collect(),
            ..Endpoint::default()
        }
    }

    #[test]
    fn texts_of_a_query_take_the_type_of_their_option() {
        let options: Options = parse_options(&endpoint(&[("rows", "5"), ("strict", "true")])).unwrap();
        assert_eq!((options.path.as_str(), options.rows, options.strict), ("p", Some(5), true));
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = parse_options::<Options>(&endpoint(&[("row", "5")])).unwrap_err();
        assert!(error.to_string().contains("Did you mean `rows`"), "{error}");
        assert_eq!(error.code(), &codes::UNKNOWN_KEY);
    }

    #[test]
    fn a_part_that_the_connector_does_not_have_is_refused() {
        let error =
            parse_options::<Options>(&Endpoint { host: Some("h".into()), ..endpoint(&[]) }).unwrap_err();
        assert!(error.to_string().contains("has no host"), "{error}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let endpoint = Endpoint {
            host: Some("h".into()),
            user: Some("u".into()),
            password: Some("hunter2".to_owned().into()),
            ..endpoint(&[("api_token", "hunter2"), ("rows", "1")])
        };
        assert_eq!(endpoint.to_string(), "test://u@h/p?api_token=***&rows=1");
        let hidden = Endpoint { hidden: ["rows".to_owned()].into(), ..endpoint };
        let text = format!("{hidden} {hidden:?}");
        assert!(text.contains("rows=***") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_wrong_value_is_not_echoed() {
        let error = parse_options::<Options>(&endpoint(&[("rows", "hunter2")])).unwrap_err();
        assert!(error.to_string().contains("expected u64") && !error.reason().contains("hunter2"), "{error}");
    }
}
