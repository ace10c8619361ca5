//! `syncline connectors [NAME]`: what can be connected, and how.

use clap::Args;
use serde_json::{Value, json};
use syncline_connect::{AnyConnector, Capabilities};
use syncline_types::Result;

use super::Ended;
use crate::{
    cli::Session,
    output::{Output, table},
};

#[derive(Args)]
pub(crate) struct ConnectorsCommand {
    /// The connector to describe
    name: Option<String>,
}

impl ConnectorsCommand {
    pub(crate) fn run(self, session: &Session) -> Result<Ended> {
        match self.name {
            None => list(session.output),
            Some(name) => {
                let by_name = syncline_connectors::by_name(&name);
                let connector =
                    by_name.or_else(|error| syncline_connectors::by_scheme(&name).map_err(|_| error))?;
                describe(connector, session.output);
            }
        }
        Ok(Ended::Well)
    }
}

fn list(output: Output) {
    let mut rows = vec![["connector", "URL", "reads", "writes", "guarantee"].map(str::to_owned).to_vec()];
    for connector in syncline_connectors::ALL {
        let capabilities = connector.capabilities();
        output.object(&json!({
            "event": "connector",
            "name": connector.name(),
            "schemes": connector.schemes(),
            "capabilities": capabilities,
        }));
        let schemes: Vec<String> = connector.schemes().iter().map(|scheme| format!("{scheme}:")).collect();
        rows.push(vec![
            connector.name().to_owned(),
            schemes.join(" "),
            reads(&capabilities),
            writes(&capabilities),
            capabilities.sink.map(|sink| sink.delivery.to_string()).unwrap_or_default(),
        ]);
    }
    table(&rows, 0).iter().for_each(|line| output.line(line));
}

fn reads(capabilities: &Capabilities) -> String {
    let Some(snapshot) = capabilities.snapshot else { return "-".into() };
    let parts = [
        (snapshot.exact, "one snapshot"),
        (snapshot.chunks, "in chunks"),
        (snapshot.resume, "resumable"),
        (capabilities.log, "follow"),
    ];
    parts.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

fn writes(capabilities: &Capabilities) -> String {
    let Some(sink) = capabilities.sink else { return "-".into() };
    let parts = [
        (sink.overwrite, "overwrite"),
        (sink.append, "append"),
        (sink.merge, "merge"),
        (sink.changes, "follow"),
    ];
    parts.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

fn describe(connector: &dyn AnyConnector, output: Output) {
    let options = connector.options();
    output.object(&json!({
        "event": "connector",
        "name": connector.name(),
        "schemes": connector.schemes(),
        "capabilities": connector.capabilities(),
        "options": options,
    }));
    output.line(connector.docs().trim_end());
    let properties = options.get("properties").and_then(Value::as_object);
    let rows: Vec<Vec<String>> = properties
        .into_iter()
        .flatten()
        .map(|(name, property)| vec![name.clone(), default(property), description(property)])
        .collect();
    if rows.is_empty() {
        return;
    }
    output.line("\n## Parts of the URL and options\n");
    for row in rows {
        let [name, default, description] = row.as_slice() else { continue };
        output.line(format!("- `{name}`{default}: {description}"));
    }
}

fn default(property: &Value) -> String {
    match property.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => format!(" (default {text})"),
        Some(value) => format!(" (default {value})"),
    }
}

fn description(property: &Value) -> String {
    let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
