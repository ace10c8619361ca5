//! Statements whose process has ended. The server lets one that waits for a table's lock go on
//! without its client; as it changes a table it is in no transaction, so no epoch holds it back, and
//! it would rename tables behind the back of the next process.

use syncline_sql::bookkeeping::stage_prefix;
use syncline_types::{Error, Result, codes};

use super::Ours;
use crate::client::Client;

/// How often it is looked whether they have ended, with a pause of 50 ms at the server: what was
/// told to stop does so soon, but may have much to take back.
const LOOKS_MAX: u32 = 600;
const PAUSE: &str = "DO SLEEP(0.05)";

/// Where `SHOW FULL PROCESSLIST` has the session's number, its user, and its statement.
const SESSION: usize = 0;
const USER: usize = 1;
const STATEMENT: usize = 7;

/// Ends those of our own user that work on staging of a pipeline's runs, and waits until they have. To be
/// called when the pipeline has a new epoch, so that nobody begins another.
pub(super) async fn end(client: &mut Client, ours: &Ours, pipeline: &str) -> Result<()> {
    let operation = "take over pipeline";
    let runs = client.texts(&ours.runs(pipeline), operation, pipeline).await?;
    let staging: Vec<String> =
        runs.into_iter().filter_map(|row| Some(stage_prefix(row.first()?.as_deref()?))).collect();
    if staging.is_empty() {
        return Ok(());
    }
    let user = client.text("SELECT SUBSTRING_INDEX(USER(), '@', 1)", operation, pipeline).await?;
    for _ in 0..LOOKS_MAX {
        let sessions = client.texts("SHOW FULL PROCESSLIST", operation, pipeline).await?;
        let at_work = sessions.iter().filter_map(|row| {
            let (session, statement) = (row.get(SESSION)?.as_deref()?, row.get(STATEMENT)?.as_deref()?);
            let ours = row.get(USER)? == &user && staging.iter().any(|prefix| statement.contains(prefix));
            ours.then_some(session)
        });
        let mut found = false;
        for session in at_work {
            found = true;
            match client.run(&format!("KILL {session}"), operation, pipeline).await {
                // It has ended meanwhile.
                Err(error) if error.code() == &codes::SERVER_REFUSED => {}
                killed => killed.map(drop)?,
            }
        }
        if !found {
            return Ok(());
        }
        client.run(PAUSE, operation, pipeline).await?;
    }
    Err(Error::new(&codes::ALREADY_RUNNING, operation, format!("`{pipeline}`"))
        .because("the server still works on a statement of the process before")
        .hint("Wait for it to end, and run again"))
}
