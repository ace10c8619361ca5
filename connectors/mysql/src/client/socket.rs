//! What a connection's bytes go over: TCP or a Unix socket, plain or encrypted.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::config::MysqlConfig;

/// A peer that is silent for so long is asked whether it is still there, so often, and so many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// What a server is reached through.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Socket>>),
}

impl Socket {
    /// Connects. What is sent and not acknowledged within `idle_max` ends the connection.
    pub(super) async fn open(config: &MysqlConfig, idle_max: Duration) -> io::Result<Socket> {
        if let Some(path) = config.unix_socket() {
            return UnixStream::connect(path).await.map(Socket::Unix);
        }
        let stream = TcpStream::connect((config.host.as_str(), config.port)).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(idle_max))?;
        Ok(Socket::Tcp(stream))
    }

    /// Encrypts everything from here on.
    pub(super) async fn encrypt(self, tls: ClientConfig, host: &str) -> io::Result<Socket> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, self).await?;
        Ok(Socket::Tls(Box::new(stream)))
    }

    /// Whether nobody on the way can read what is sent.
    pub(super) fn is_private(&self) -> bool {
        matches!(self, Socket::Unix(_) | Socket::Tls(_))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(task, out),
            Socket::Unix(stream) => Pin::new(stream).poll_read(task, out),
            Socket::Tls(stream) => Pin::new(stream).poll_read(task, out),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(task, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(task, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(task),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(task),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(task),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(task),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(task),
        }
    }
}
