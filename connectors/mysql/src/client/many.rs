//! Several statements in one message: the server does one after the other, up to the first that fails.

use syncline_types::{Error, Result};

use super::{Client, Outcome, Patience, QUERY, Rows, State};

const SET_OPTION: u8 = 0x1B;
const SEVERAL_STATEMENTS: [u8; 2] = [0, 0];

impl Client {
    /// Lets messages of this session hold several statements.
    pub(crate) async fn allow_several(&mut self, operation: &str, object: &str) -> Result<()> {
        self.command(SET_OPTION, &[&SEVERAL_STATEMENTS], Patience::Quick, operation, object).await?;
        self.receive(Patience::Quick, operation, object).await?;
        self.state = State::Ready;
        Ok(())
    }

    /// Runs several statements, which may take long. Says how each has ended up to the first that failed, and
    /// why that did.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) async fn run_several(
        &mut self,
        sql: &[u8],
        operation: &str,
        object: &str,
    ) -> Result<(Vec<(Outcome, Rows)>, Option<Error>)> {
        self.command(QUERY, &[sql], Patience::Long, operation, object).await?;
        let mut answers: Vec<(Outcome, Rows)> = vec![];
        loop {
            match self.whole_answer(Patience::Long, operation, object).await {
                Ok((outcome, rows)) => {
                    let more = outcome.more;
                    answers.push((outcome, rows));
                    if !more {
                        self.state = State::Ready;
                        return Ok((answers, None));
                    }
                }
                // The server has said so, and nothing follows.
                Err(error) if self.state == State::Ready => return Ok((answers, Some(error))),
                Err(error) => return Err(error),
            }
        }
    }
}
