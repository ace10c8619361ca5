//! The socket under a connection: TCP, or a Unix socket; plain, or encrypted.

use std::{io, net::IpAddr, path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

/// A peer that is silent for so long is asked whether it is still there, so often, and so many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// What a server is reached through.
pub type Socket = Either<TcpStream, UnixStream>;

/// A socket, plain or encrypted.
pub type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// Connects by TCP. What is sent and not acknowledged within `idle_max` ends the connection.
///
/// # Errors
/// When the name has no address, nobody listens there, or the socket cannot be set up.
pub async fn tcp(host: &str, port: u16, idle_max: Duration) -> io::Result<Socket> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(idle_max))?;
    Ok(Either::Left(stream))
}

/// Connects to a Unix socket.
///
/// # Errors
/// When there is none at `path`, or nobody listens on it.
pub async fn unix(path: &Path) -> io::Result<Socket> {
    UnixStream::connect(path).await.map(Either::Right)
}

/// Encrypts everything that is said over `socket` from here on.
///
/// # Errors
/// When `host` is no name that a certificate could have, or the peer is not trusted.
pub async fn encrypt(socket: Socket, config: ClientConfig, host: &str) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    Ok(Either::Right(Box::new(stream)))
}

/// Whether nobody on the way can read what is sent.
pub fn is_private(stream: &Stream) -> bool {
    matches!(stream, Either::Right(_) | Either::Left(Either::Right(_)))
}

/// Whether `host` can only be this machine. A path is a Unix socket's.
pub fn is_this_machine(host: &str) -> bool {
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
