//! `syncline run FILE [PIPELINE]...`: pipelines of a file, one after the other.

use clap::Args;
use syncline_engine::shell::RunOptions;
use syncline_types::{Error, ErrorKind, Result, codes};

use super::{Ended, Session, copy::run_pipeline, pipelines::of_file};

#[derive(Args)]
pub(crate) struct RunCommand {
    /// The pipeline file
    file: String,
    /// Which pipelines; all by default
    pipelines: Vec<String>,
    /// Throw away unfinished runs and begin again
    #[arg(long)]
    restart: bool,
}

impl RunCommand {
    /// A pipeline that fails does not stop the others.
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let pipelines = of_file([vec![self.file], self.pipelines].concat())?;
        let options = RunOptions { restart: self.restart };
        let mut failed: Vec<Error> = vec![];
        for pipeline in &pipelines {
            match run_pipeline(pipeline, options, session).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted || pipelines.len() == 1 => {
                    return Err(error);
                }
                Err(error) => {
                    session.output.error(&error);
                    failed.push(error);
                }
            }
        }
        // Wrong configuration is told apart from failure only if it is all there is.
        let only_config = failed.iter().all(|error| error.kind() == ErrorKind::Config);
        match failed.pop() {
            None => Ok(Ended::Well),
            Some(last) if failed.is_empty() || only_config => Err(last),
            Some(_) => {
                Err(Error::new(&codes::STREAMS_FAILED, "run", format!("{} pipelines", failed.len() + 1))
                    .because("each has said why")
                    .hint("The same command goes on with them once that is mended"))
            }
        }
    }
}
