//! Who the database is, and how transactions say what their changes have come through: to those who read
//! the log by a message in it, to triggers by a setting.

use syncline_connect::{ORIGIN, Origin, identity};
use syncline_sql::quote_text;
use syncline_types::{ErrorKind, Result};

use crate::client::Client;

/// The identity of the database; `None` where the server does not let the user ask for it.
pub(crate) async fn databases(client: &Client) -> Result<Vec<String>> {
    let sql = "SELECT c.system_identifier || '/' || d.oid FROM pg_control_system() c, pg_database d \
               WHERE d.datname = current_database()";
    match client.text(sql, "ask for the identity of", &client.config.place()).await {
        Ok(own) => Ok(own.iter().map(|own| identity("postgres", own)).collect()),
        Err(error) if error.kind() == ErrorKind::Permission => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// A statement that says it, in the transaction under way, of what comes behind it.
pub(crate) fn statement(origin: &Origin) -> String {
    let (name, text) = (quote_text(ORIGIN), quote_text(&origin.write()));
    format!("SELECT pg_logical_emit_message(true, {name}, {text}), set_config({name}, {text}, true)")
}

/// The same at a transaction's beginning: what comes from nowhere else says nothing.
pub(crate) fn first(origin: &Origin) -> String {
    if origin.is_here() { String::new() } else { format!("{};", statement(origin)) }
}
