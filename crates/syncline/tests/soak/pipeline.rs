//! The program, kept running: started again when it was killed, and when it has ended for a reason that
//! passes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use syncline_testkit::process::{Finished, Running};

use crate::{
    desk::Desk,
    soak::{Flags, is, set},
};

/// For what the program may give up while servers are down: a supervisor starts it again.
const PASSING: &[&str] = &["SYN-2001", "SYN-2004", "SYN-2006", "SYN-2007"];

/// Shows what the program has said.
const TRACE: &str = "SYNCLINE_TRACE";

/// Longer than a run takes.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);
/// Before it is started again after it has given up.
const REST: Duration = Duration::from_millis(300);
/// The last run has only what a fault has held up before it.
const CATCH_UP_MAX: Duration = Duration::from_secs(180);

/// Where it runs, and how it is called.
pub(crate) struct Pipeline {
    desk: Desk,
    arguments: Vec<String>,
    pub(crate) kills: u32,
    /// How often it has given up by itself.
    pub(crate) given_up: u32,
}

/// What a life of the program came to.
enum Ended {
    Killed,
    GaveUp,
    /// Because it was asked to.
    Stopped,
    Done,
}

impl Pipeline {
    pub(crate) fn new(desk: Desk, from: &str, to: &str) -> Self {
        let options = ["--sync", "follow", "--name", "soak", "--chunk-rows", "200", "--idle-timeout", "4"];
        let arguments =
            ["copy", from, to].iter().chain(&options).map(|argument| (*argument).to_owned()).collect();
        Pipeline { desk, arguments, kills: 0, given_up: 0 }
    }

    /// Runs it until all is over. It is killed and stays away for as long as each of `kills` says.
    pub(crate) fn keep(&mut self, kills: &Receiver<Duration>, flags: &Flags) -> Result<(), String> {
        while !is(&flags.is_over) {
            // It ends when the copy is a moment of the source.
            let until: &[&str] = if is(&flags.is_steady) { &[] } else { &["--until-caught-up"] };
            let program = self.desk.syncline(&self.arguments).args(until).args(["--output", "json"]);
            let life = program.deadline(DEADLINE).start();
            match self.live(life, kills, flags)? {
                Ended::Done if !until.is_empty() => set(&flags.is_steady),
                Ended::Done | Ended::Stopped => return Ok(()),
                Ended::Killed => self.kills += 1,
                Ended::GaveUp => {
                    self.given_up += 1;
                    thread::sleep(REST);
                }
            }
        }
        Ok(())
    }

    fn live(&self, life: Running, kills: &Receiver<Duration>, flags: &Flags) -> Result<Ended, String> {
        let mut asked = false;
        let finished = loop {
            match kills.recv_timeout(Duration::from_millis(20)) {
                Ok(pause) => {
                    life.kill9();
                    let finished = self.hear(life.wait());
                    thread::sleep(pause);
                    // It may have been faster.
                    if finished.was_killed() {
                        return Ok(Ended::Killed);
                    }
                    break finished;
                }
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(20)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !life.is_running() {
                break self.hear(life.wait());
            }
            if is(&flags.is_over) && !asked {
                asked = true;
                life.interrupt();
            }
        };
        verdict(&finished, asked)
    }

    fn hear(&self, finished: Finished) -> Finished {
        if std::env::var_os(TRACE).is_some() {
            eprintln!("{finished}");
        }
        self.desk.hear(finished)
    }

    /// Applies what is left.
    pub(crate) fn catch_up(&self) -> Result<(), String> {
        let until = Instant::now() + CATCH_UP_MAX;
        loop {
            let program = self.desk.syncline(&self.arguments).args(["--until-caught-up", "--output", "json"]);
            let finished = self.hear(program.deadline(CATCH_UP_MAX).run());
            match verdict(&finished, false)? {
                Ended::Done => return Ok(()),
                _ if Instant::now() > until => return Err(format!("it does not catch up: {finished}")),
                _ => {}
            }
        }
    }
}

fn verdict(finished: &Finished, asked: bool) -> Result<Ended, String> {
    match finished.code {
        Some(0) => Ok(Ended::Done),
        // While it copies or waits, being asked to stop is an interruption.
        Some(130) if asked => Ok(Ended::Stopped),
        _ => {
            let last = finished.stdout.lines().last().unwrap_or_default();
            let passes = PASSING.iter().any(|code| last.contains(&format!("\"code\":\"{code}\"")));
            if passes { Ok(Ended::GaveUp) } else { Err(format!("it ended by itself: {finished}")) }
        }
    }
}
