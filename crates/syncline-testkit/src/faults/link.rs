//! One connection through the proxy.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Command, Flow, Rules, Shared, Side};

/// Read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Chunks on their way while a delay holds them: a megabyte in each direction.
const CHUNKS_MAX: usize = 64;

/// A narrow wire passes pieces of this much time, so that bytes trickle and do not come in bursts.
const PIECE: Duration = Duration::from_millis(20);

/// Both ends. Dropped before it has ended by itself, both get a reset and not a polite end.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    ended: bool,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !self.ended {
            reset_when_dropped(&self.client);
            reset_when_dropped(&self.server);
        }
    }
}

pub(super) fn reset_when_dropped(stream: &TcpStream) {
    // It fails only on a socket that is closed already.
    let _ = stream.set_zero_linger();
}

/// Passes bytes both ways until both ends have closed, one has failed, or the proxy cuts.
pub(super) async fn run(client: TcpStream, shared: Arc<Shared>) {
    pass(&mut shared.rules.subscribe()).await;
    let Ok(server) = TcpStream::connect(shared.upstream).await else {
        return reset_when_dropped(&client);
    };
    for stream in [&client, &server] {
        // The proxy adds no delay of its own.
        let _ = stream.set_nodelay(true);
    }
    let mut pair = Pair { client, server, ended: false };
    let (from_client, to_client) = pair.client.split();
    let (from_server, to_server) = pair.server.split();
    let down = flow(from_server, to_client, &shared, Flow::Down);
    let up = flow(from_client, to_server, &shared, Flow::Up);
    pair.ended = tokio::try_join!(down, up).is_ok();
}

async fn flow(from: ReadHalf<'_>, to: WriteHalf<'_>, shared: &Shared, flow: Flow) -> io::Result<()> {
    let (queue, due) = mpsc::channel(CHUNKS_MAX);
    let rules = shared.rules.subscribe();
    let read = read(from, queue, rules.clone());
    let write = write(to, due, rules, shared, shared.side(flow));
    tokio::try_join!(read, write).map(|_| ())
}

/// Takes chunks in and says when each is due at the other end.
async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    mut rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    loop {
        pass(&mut rules).await;
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        chunk.truncate(read);
        let due = Instant::now() + rules.borrow().delay;
        if queue.send((due, chunk)).await.is_err() {
            return Ok(());
        }
    }
}

/// Gives chunks out when they are due, as fast as the wire is and as far as the cut allows.
async fn write(
    mut to: WriteHalf<'_>,
    mut queue: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut rules: watch::Receiver<Rules>,
    shared: &Shared,
    side: &Side,
) -> io::Result<()> {
    while let Some((due, chunk)) = queue.recv().await {
        sleep_until(due).await;
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            pass(&mut rules).await;
            let bytes_per_second = rules.borrow().bytes_per_second;
            let (piece, after) = rest.split_at(piece_bytes(bytes_per_second).min(rest.len()));
            wait_for_wire(side, piece.len(), bytes_per_second).await;
            let allowed = take_allowance(side, piece.len());
            // Counted first, so that what an end has received is counted.
            side.passed.fetch_add(allowed.bytes as u64, Ordering::Relaxed);
            to.write_all(&piece[..allowed.bytes]).await?;
            if allowed.then_cut {
                // If it cannot be said, a cut is on its way already.
                let _ = shared.commands.try_send(Command::Cut(None));
                std::future::pending::<()>().await;
            }
            rest = after;
        }
    }
    to.shutdown().await
}

/// Waits while the proxy is a black hole.
async fn pass(rules: &mut watch::Receiver<Rules>) {
    // An error means that the proxy is going, and this connection with it.
    let _ = rules.wait_for(|rules| !rules.stalled).await;
}

fn piece_bytes(bytes_per_second: Option<u64>) -> usize {
    bytes_per_second.map_or(CHUNK_BYTES, |rate| {
        let bytes = u128::from(rate) * PIECE.as_millis() / 1000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    })
}

/// Books the shared wire for so many bytes, and waits until they are through.
async fn wait_for_wire(side: &Side, bytes: usize, bytes_per_second: Option<u64>) {
    let Some(rate) = bytes_per_second else { return };
    let through = {
        let mut state = side.state();
        let now = Instant::now();
        let start = state.free_at.map_or(now, |free_at| free_at.max(now));
        let through = start + Duration::from_secs_f64(bytes as f64 / rate as f64);
        state.free_at = Some(through);
        through
    };
    sleep_until(through).await;
}

struct Allowed {
    bytes: usize,
    then_cut: bool,
}

fn take_allowance(side: &Side, wanted: usize) -> Allowed {
    let mut state = side.state();
    let Some(left) = &mut state.allowance else { return Allowed { bytes: wanted, then_cut: false } };
    let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(wanted);
    *left -= bytes as u64;
    Allowed { bytes, then_cut: *left == 0 }
}
