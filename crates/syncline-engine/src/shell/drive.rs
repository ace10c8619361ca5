//! Runs the core's actions side by side on tokio, until the run ends.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use syncline_types::{Error, Retry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    lane::LaneState,
    work::{StreamState, Work, broken},
};
use crate::core::{Action, Answer, Core, Event, Failure, Job, Scope, Step, StreamView};

/// Is told what happens, to show it.
pub trait Observer: Send {
    /// How far each stream is, after something has changed.
    fn progress(&mut self, views: &[StreamView]);
    /// Something failed and is tried again.
    fn retrying(&mut self, scope: Scope, error: &Error);
}

/// What is kept for a scope between its actions.
enum State {
    Run,
    Stream(StreamState),
    Lane(Box<LaneState>),
}

type Ended = (Scope, State, Result<Answer, Failure>);

/// Runs a job to its end, or until `stop`. What it leaves behind is always such that the same job
/// can go on with it.
pub async fn drive(work: Arc<Work>, job: Job, stop: &CancellationToken, observer: &mut dyn Observer) -> Core {
    let (mut core, mut steps) = Core::start(job);
    let mut states: HashMap<Scope, State> = HashMap::new();
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    loop {
        for Step { scope, action } in steps.drain(..) {
            let state = states.remove(&scope).unwrap_or_else(|| fresh(scope));
            tasks.spawn(perform(Arc::clone(&work), scope, state, action));
        }
        if core.ending().is_some() {
            break;
        }
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = stop.cancelled() => {
                core.interrupt();
                break;
            }
        };
        let (scope, outcome) = match ended {
            Some(Ok((scope, state, outcome))) => {
                states.insert(scope, state);
                (scope, outcome)
            }
            Some(Err(_)) => (Scope::Run, Err(work.failure(broken("a task panicked")))),
            None => (Scope::Run, Err(work.failure(broken("nothing is under way and the run has not ended")))),
        };
        if let Err(failure) = &outcome
            && failure.retry == Retry::Backoff
        {
            let error = work.error(*failure);
            tracing::info!(?scope, %error, "failed, and is tried again");
            observer.retrying(scope, &error);
        }
        steps = core.on(Event { scope, outcome });
        observer.progress(&core.views());
    }
    // Everything under way is dropped like a connection is: the other side rolls it back.
    tasks.shutdown().await;
    core
}

fn fresh(scope: Scope) -> State {
    match scope {
        Scope::Run => State::Run,
        Scope::Stream(_) => State::Stream(StreamState::default()),
        Scope::Lane(_) => State::Lane(Box::default()),
    }
}

async fn perform(work: Arc<Work>, scope: Scope, mut state: State, action: Action) -> Ended {
    let (name, began) = (action.name(), Instant::now());
    let result = match (scope, &mut state, action) {
        (_, _, Action::Wait { millis }) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(Answer::Done)
        }
        (Scope::Lane(_), State::Lane(state), Action::Lane(action)) => work.perform_lane(state, action).await,
        (Scope::Stream(number), State::Stream(state), Action::Stream(action)) => {
            work.perform_stream(number, state, action).await
        }
        (_, _, action) => work.perform_run(action).await,
    };
    let micros = began.elapsed().as_micros();
    match &result {
        Ok(_) => tracing::debug!(?scope, action = name, micros, "done"),
        Err(error) => tracing::debug!(?scope, action = name, micros, %error, "failed"),
    }
    (scope, state, result.map_err(|error| work.failure(error)))
}
