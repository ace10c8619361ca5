//! A TCP proxy between a client and a server that fails on request.
//!
//! It runs on a thread of its own. What is set holds for open connections and for those to come,
//! until [`Proxy::heal`].

mod link;

use std::{
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::port;

/// Commands come one at a time, from a test.
const COMMANDS_MAX: usize = 16;

/// The proxy's thread answers at once; if it does not, it is broken.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Between two looks at a port.
const SOCKET_PAUSE: Duration = Duration::from_millis(1);

/// A direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From the server to the client.
    Down,
    /// From the client to the server.
    Up,
}

/// A proxy on 127.0.0.1 in front of one server. Dropped, it resets its connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one that passes everything to `upstream`, such as `("127.0.0.1", 5432)`.
    ///
    /// # Panics
    /// If `upstream` is no address.
    pub fn start(upstream: impl ToSocketAddrs) -> Self {
        let upstream = upstream
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .expect("upstream is a host and port");
        // Not a port that the system hands out, or another program could take it while we refuse.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let shared = Arc::new(Shared {
            upstream,
            commands,
            rules: watch::Sender::new(Rules::default()),
            down: Side::default(),
            up: Side::default(),
        });
        let serving = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || serve_on_this_thread(address, serving, receiver))
            .expect("a thread can be started");
        let proxy = Proxy { address, shared, thread: Some(thread) };
        proxy.heal();
        proxy
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Resets the open connections and refuses new ones.
    pub fn cut(&self) {
        self.ask(Command::Cut);
    }

    /// Passes everything again, without any fault. Connections that were only stalled go on.
    pub fn heal(&self) {
        for flow in [Flow::Down, Flow::Up] {
            self.shared.side(flow).state().allowance = None;
        }
        self.shared.rules.send_replace(Rules::default());
        self.ask(Command::Listen);
    }

    /// Becomes a black hole: connections are accepted and stay open, and nothing comes through.
    pub fn stall(&self) {
        self.shared.rules.send_modify(|rules| rules.stalled = true);
    }

    /// Every byte arrives so much later, in each direction: a round trip takes twice that.
    pub fn delay(&self, delay: Duration) {
        self.shared.rules.send_modify(|rules| rules.delay = delay);
    }

    /// All connections together pass at most so many bytes a second, in each direction.
    ///
    /// # Panics
    /// At 0 bytes: that is [`Proxy::stall`].
    pub fn bandwidth(&self, bytes_per_second: u64) {
        assert!(bytes_per_second > 0, "a bandwidth of nothing is `stall`");
        self.shared.rules.send_modify(|rules| rules.bytes_per_second = Some(bytes_per_second));
    }

    /// Cuts as soon as so many more bytes have passed in that direction. The last of them may be lost
    /// with the reset.
    pub fn cut_after(&self, flow: Flow, bytes: u64) {
        self.shared.side(flow).state().allowance = Some(bytes);
    }

    /// The bytes that have passed in that direction since the start.
    pub fn bytes_passed(&self, flow: Flow) -> u64 {
        self.shared.side(flow).passed.load(Ordering::Relaxed)
    }

    fn ask(&self, command: fn(Option<SyncSender<()>>) -> Command) {
        let (done, answer) = sync_channel(1);
        let sent = self.shared.commands.try_send(command(Some(done)));
        assert!(sent.is_ok(), "the proxy's thread has ended");
        answer.recv_timeout(ANSWER_MAX).expect("the proxy's thread answers");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.shared.commands.try_send(Command::End).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // Its panic, if it had one, was printed already.
            let _ = thread.join();
        }
    }
}

/// What the thread is told, and how it says that it is done.
enum Command {
    Cut(Option<SyncSender<()>>),
    Listen(Option<SyncSender<()>>),
    End,
}

/// What holds for every connection.
#[derive(Clone, Copy, Default)]
struct Rules {
    stalled: bool,
    delay: Duration,
    bytes_per_second: Option<u64>,
}

struct Shared {
    upstream: SocketAddr,
    commands: mpsc::Sender<Command>,
    rules: watch::Sender<Rules>,
    down: Side,
    up: Side,
}

/// One direction, over all connections.
#[derive(Default)]
struct Side {
    passed: AtomicU64,
    state: Mutex<SideState>,
}

#[derive(Default)]
struct SideState {
    /// Bytes left until the cut.
    allowance: Option<u64>,
    /// When the wire is free for the next bytes.
    free_at: Option<Instant>,
}

impl Shared {
    fn side(&self, flow: Flow) -> &Side {
        match flow {
            Flow::Down => &self.down,
            Flow::Up => &self.up,
        }
    }
}

impl Side {
    fn state(&self) -> MutexGuard<'_, SideState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve_on_this_thread(address: SocketAddr, shared: Arc<Shared>, commands: mpsc::Receiver<Command>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be started").block_on(serve(address, shared, commands));
}

async fn serve(address: SocketAddr, shared: Arc<Shared>, mut commands: mpsc::Receiver<Command>) {
    let mut listener = None;
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let done = match command {
                    Some(Command::Cut(done)) => {
                        listener = None;
                        links.shutdown().await;
                        until_refused(address).await;
                        done
                    }
                    Some(Command::Listen(done)) => {
                        if listener.is_none() {
                            listener = Some(listen(address).await);
                        }
                        done
                    }
                    Some(Command::End) | None => return,
                };
                // Who asked may have given up waiting.
                let _ = done.map(|done| done.send(()));
            }
            client = accept(listener.as_ref()) => {
                links.spawn(link::run(client, Arc::clone(&shared)));
            }
            Some(_) = links.join_next() => {}
        }
    }
}

/// A process that is being started in another thread holds copies of our sockets until it runs its
/// own program. So a closed one may live for some milliseconds: this waits until it is gone.
async fn until_refused(address: SocketAddr) {
    while let Ok(client) = TcpStream::connect(address).await {
        link::reset_when_dropped(&client);
        drop(client);
        sleep(SOCKET_PAUSE).await;
    }
}

/// Listens, as soon as the port is free of what [`until_refused`] describes.
async fn listen(address: SocketAddr) -> TcpListener {
    let deadline = Instant::now() + ANSWER_MAX / 2;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "the proxy's port {address}: {error}"),
        }
        sleep(SOCKET_PAUSE).await;
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        // An error belongs to a client that has left already.
        if let Ok((client, _)) = listener.accept().await {
            return client;
        }
    }
}

#[cfg(test)]
mod tests;
