//! A connection: its URL, the options beside it, and the endpoint they make once `${...}` is filled in.

use serde_json::Value;
use syncline_connect::Endpoint;
use syncline_types::{Error, codes};

use crate::{
    place::{Place, Remembered},
    problem::Problem,
    secret::{Secrets, Template},
    url::{Url, parse_port},
};

/// A connection that has been looked at as far as is possible without its secrets.
#[derive(Clone)]
pub(crate) struct Connection {
    at: Remembered,
    form: Form,
}

#[derive(Clone)]
enum Form {
    Parts(Box<Parts>),
    /// The URL is one `${...}` and nothing else: what that holds is a URL of its own. Nothing is
    /// put into a URL's text, so nothing can redirect it.
    Whole(Template, Vec<Given>),
}

/// An option and where it was given.
#[derive(Clone)]
struct Given {
    name: String,
    value: Setting,
    at: Remembered,
}

#[derive(Clone)]
enum Setting {
    Text(Template),
    /// A list or a map, whose texts may hold `${...}`.
    Tree(Value),
}

/// The URL and the options, joined.
#[derive(Clone)]
struct Parts {
    scheme: String,
    user: Option<(Template, Remembered)>,
    password: Option<(Template, Remembered)>,
    host: Option<(Template, Remembered)>,
    port: Option<(Template, Remembered)>,
    path: Option<Template>,
    options: Vec<Given>,
}

impl Connection {
    /// Reads a URL, and the options that stand beside it under `options`.
    pub(crate) fn read(
        url: &str,
        at: &Place<'_>,
        options: impl IntoIterator<Item = (String, Value)>,
        options_at: &Place<'_>,
    ) -> Result<Self, Error> {
        let given = options
            .into_iter()
            .map(|(name, value)| {
                let at = options_at.key(&name);
                let value = Setting::read(value).map_err(|problem| at.error(problem))?;
                Ok(Given { name, value, at: at.remember() })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let at = at.remember();
        let form = match Template::parse(url) {
            Ok(whole) if whole.is_one_reference() => Form::Whole(whole, given),
            _ => {
                let url = Url::parse(url).map_err(|problem| at.error(problem))?;
                Form::Parts(Box::new(Parts::join(url, given, &at)?))
            }
        };
        Ok(Connection { at, form })
    }

    /// The endpoint, with everything filled in.
    pub(crate) fn endpoint(&self, secrets: &dyn Secrets) -> Result<Endpoint, Error> {
        match &self.form {
            Form::Parts(parts) => parts.endpoint(&self.at, secrets),
            Form::Whole(whole, given) => {
                let text = whole.fill(secrets).map_err(|problem| self.at.error(problem))?;
                // What it holds is not looked at for references again.
                let url = Url::parse(&text.replace("${", "$${")).map_err(|problem| self.at.error(problem))?;
                Parts::join(url, given.clone(), &self.at)?.endpoint(&self.at, secrets)
            }
        }
    }
}

impl Setting {
    fn read(value: Value) -> Result<Self, Problem> {
        match value {
            Value::String(text) => Template::parse(&text).map(Setting::Text),
            tree => {
                map_texts(&tree, &mut |text| Template::parse(text).map(|_| String::new()))?;
                Ok(Setting::Tree(tree))
            }
        }
    }

    fn has_reference(&self) -> bool {
        match self {
            Setting::Text(text) => text.has_reference(),
            Setting::Tree(tree) => {
                let mut found = false;
                let looked = map_texts(tree, &mut |text| {
                    found |= Template::parse(text)?.has_reference();
                    Ok(String::new())
                });
                found || looked.is_err()
            }
        }
    }

    fn fill(&self, secrets: &dyn Secrets) -> Result<Value, Problem> {
        match self {
            Setting::Text(text) => text.fill(secrets).map(Value::String),
            Setting::Tree(tree) => map_texts(tree, &mut |text| Template::parse(text)?.fill(secrets)),
        }
    }
}

fn map_texts(
    value: &Value,
    change: &mut impl FnMut(&str) -> Result<String, Problem>,
) -> Result<Value, Problem> {
    Ok(match value {
        Value::String(text) => Value::String(change(text)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| map_texts(item, change)).collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => Value::Object(
            entries
                .iter()
                .map(|(name, value)| Ok((name.clone(), map_texts(value, change)?)))
                .collect::<Result<_, Problem>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

impl Parts {
    /// Options named like a part of the URL fill that part where the URL leaves it empty, as libpq
    /// does: `postgres:///db?host=/var/run/postgresql`.
    fn join(url: Url, beside: Vec<Given>, at: &Remembered) -> Result<Self, Error> {
        let here = |part: Option<Template>| part.map(|template| (template, at.clone()));
        let mut parts = Parts {
            scheme: url.scheme,
            user: here(url.user),
            password: here(url.password),
            host: here(url.host),
            port: here(url.port),
            path: url.path,
            options: vec![],
        };
        let query = url.query.into_iter().map(|(name, value)| Given {
            name,
            value: Setting::Text(value),
            at: at.clone(),
        });
        for given in query.chain(beside) {
            parts.add(given)?;
        }
        if url.server && parts.host.is_none() {
            let reason = format!("the URL begins with `{}://` and names no host", parts.scheme);
            return Err(at.error(Problem::new(&codes::BAD_URL, reason).hint(format!(
                "For a file write `{}:PATH`; for a server on a Unix socket add ?host=FOLDER",
                parts.scheme
            ))));
        }
        Ok(parts)
    }

    fn add(&mut self, given: Given) -> Result<(), Error> {
        let slot = match given.name.as_str() {
            "user" => &mut self.user,
            "password" => &mut self.password,
            "host" => &mut self.host,
            "port" => &mut self.port,
            name => {
                if self.options.iter().any(|other| other.name == name) {
                    let reason = format!("`{name}` is given in the URL and under `options`");
                    return Err(given.at.error(Problem::value(reason)));
                }
                self.options.push(given);
                return Ok(());
            }
        };
        let Given { name, value, at } = given;
        if slot.is_some() {
            return Err(at.error(Problem::value(format!("the {name} is given twice"))));
        }
        match value {
            Setting::Text(text) => *slot = Some((text, at)),
            Setting::Tree(_) => return Err(at.error(Problem::value(format!("the {name} is a text")))),
        }
        Ok(())
    }

    fn endpoint(&self, at: &Remembered, secrets: &dyn Secrets) -> Result<Endpoint, Error> {
        let fill = |part: &Option<(Template, Remembered)>, name: &str| match part {
            None => Ok(None),
            Some((template, at)) => template
                .fill(secrets)
                .map(Some)
                .map_err(|problem| at.error(used_by(problem, &format!("the {name}")))),
        };
        let port = fill(&self.port, "port")?;
        let port = port.map(|text| parse_port(&text).map_err(|problem| at.error(problem))).transpose()?;
        let path = self
            .path
            .as_ref()
            .map(|template| template.fill(secrets).map_err(|problem| at.error(used_by(problem, "the path"))));
        let options = self.options.iter().map(|given| {
            let used_by = |problem| used_by(problem, &format!("the option `{}`", given.name));
            let value = given.value.fill(secrets).map_err(|problem| given.at.error(used_by(problem)))?;
            Ok((given.name.clone(), value))
        });
        Ok(Endpoint {
            scheme: self.scheme.clone(),
            user: fill(&self.user, "user")?,
            password: fill(&self.password, "password")?.map(Into::into),
            host: fill(&self.host, "host")?,
            port,
            path: path.transpose()?,
            options: options.collect::<Result<_, Error>>()?,
            hidden: self
                .options
                .iter()
                .filter(|given| given.value.has_reference())
                .map(|given| given.name.clone())
                .collect(),
        })
    }
}

fn used_by(problem: Problem, what: &str) -> Problem {
    let reason = format!("{}, and {what} needs it", problem.reason);
    Problem { reason, ..problem }
}

#[cfg(test)]
mod tests;
