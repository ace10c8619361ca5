//! What fails, and when: drawn from the seed before anything runs, so that the same seed fails the same.

use std::{fmt, thread, time::Duration};

use syncline_testkit::{faults::Flow, seed::Rng};

use crate::end::{Down, End};

/// The source or the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Source,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The program is killed, and started again after a while.
    Kill,
    /// A server goes down, and comes up after a while.
    Server(Which, Down),
    /// Connections are reset, and new ones refused for a while.
    Cut(Which),
    /// As soon as so many more bytes have come from there, or gone there.
    CutAfter(Which, Flow, u64),
    /// Connections stay open for a while and nothing comes through.
    Stall(Which),
    /// The same, and then they are reset.
    StallAndCut(Which),
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// After the one before is over.
    pub(crate) after: Duration,
    pub(crate) what: What,
    pub(crate) lasts: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} ms {:?} for {} ms", self.after.as_millis(), self.what, self.lasts.as_millis())
    }
}

/// Faults, one after the other, that fill so much time.
pub(crate) fn draw(random: &mut Rng, time: Duration, source: &End, target: &End) -> Vec<Fault> {
    let servers: Vec<Which> = [(Which::Source, source), (Which::Target, target)]
        .into_iter()
        .filter(|(_, end)| end.proxy().is_some())
        .map(|(which, _)| which)
        .collect();
    let mut faults = vec![];
    let mut used = Duration::ZERO;
    loop {
        let what = match servers.as_slice() {
            [] => What::Kill,
            servers => draw_one(random, servers),
        };
        let after = 100 + random.below(1_500);
        let lasts = match what {
            What::Kill => random.below(400),
            What::Stall(_) | What::StallAndCut(_) => 500 + random.below(5_000),
            _ => 50 + random.below(2_500),
        };
        let fault = Fault { after: Duration::from_millis(after), what, lasts: Duration::from_millis(lasts) };
        used += fault.after + fault.lasts;
        if used > time {
            return faults;
        }
        faults.push(fault);
    }
}

fn draw_one(random: &mut Rng, servers: &[Which]) -> What {
    let which = *random.pick(servers);
    match random.below(10) {
        0..4 => What::Kill,
        4..6 => What::Server(which, *random.pick(&[Down::Fast, Down::Immediate, Down::Killed])),
        6 => What::Cut(which),
        7 => {
            let flow = *random.pick(&[Flow::Down, Flow::Up]);
            What::CutAfter(which, flow, 1 + random.below(40_000))
        }
        8 => What::Stall(which),
        _ => What::StallAndCut(which),
    }
}

/// Lets a server or the way to it fail, for as long as it says.
pub(crate) fn fail(fault: Fault, source: &mut End, target: &mut End) {
    let (What::Server(which, _)
    | What::Cut(which)
    | What::CutAfter(which, ..)
    | What::Stall(which)
    | What::StallAndCut(which)) = fault.what
    else {
        return;
    };
    let end = if which == Which::Source { source } else { target };
    match (fault.what, end.proxy()) {
        (What::Cut(_), Some(proxy)) => proxy.cut(),
        (What::CutAfter(_, flow, bytes), Some(proxy)) => proxy.cut_after(flow, bytes),
        (What::Stall(_) | What::StallAndCut(_), Some(proxy)) => proxy.stall(),
        (What::Server(_, how), _) => end.go_down(how),
        _ => {}
    }
    thread::sleep(fault.lasts);
    match (fault.what, end.proxy()) {
        (What::Server(..), _) => end.come_up(),
        (what, Some(proxy)) => {
            if matches!(what, What::StallAndCut(_)) {
                proxy.cut();
            }
            proxy.heal();
        }
        _ => {}
    }
}
