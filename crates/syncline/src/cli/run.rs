//! `syncline run FILE [PIPELINE]...`: pipelines of a file, one after the other.

use clap::Args;
use futures_util::future::join_all;
use syncline_config::Sync;
use syncline_engine::follow::FollowOptions;
use syncline_types::{Error, ErrorKind, Result, codes};

use super::{
    Ended, Session,
    copy::{check_until_caught_up, run_pipeline},
    pipelines::of_file,
};

#[derive(Args)]
pub(crate) struct RunCommand {
    /// The pipeline file
    file: String,
    /// Which pipelines; all by default
    pipelines: Vec<String>,
    /// Throw away unfinished runs and begin again
    #[arg(long)]
    restart: bool,
    /// Pipelines that follow end once everything is applied that has happened when they begin
    #[arg(long)]
    until_caught_up: bool,
}

impl RunCommand {
    /// A pipeline that fails does not stop the others.
    pub(crate) async fn run(self, session: &Session) -> Result<Ended> {
        let pipelines = of_file([vec![self.file], self.pipelines].concat())?;
        check_until_caught_up(self.until_caught_up, &pipelines)?;
        let options = FollowOptions { restart: self.restart, until_caught_up: self.until_caught_up };
        let mut failed: Vec<Error> = vec![];
        let (follow, bounded): (Vec<_>, Vec<_>) =
            pipelines.iter().partition(|pipeline| pipeline.sync == Sync::Follow);
        let alone = pipelines.len() == 1;
        let one = async |pipeline| {
            let ended = run_pipeline(pipeline, options, session).await;
            match &ended {
                // The others go on, perhaps for long: this is said now.
                Err(error) if error.kind() != ErrorKind::Interrupted && !alone => session.output.error(error),
                _ => {}
            }
            ended
        };
        // Those that follow go on side by side until they are stopped; the others end.
        let one_by_one = async {
            let mut ended = vec![];
            for pipeline in bounded {
                ended.push(one(pipeline).await);
            }
            ended
        };
        let following = join_all(follow.into_iter().map(one));
        let (bounded, follow) = tokio::join!(one_by_one, following);
        for ended in bounded.into_iter().chain(follow) {
            match ended {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted || alone => return Err(error),
                Err(error) => failed.push(error),
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
