//! The protocol's messages on a socket: a letter, four bytes of length, and the payload.
//!
//! What is received lies in one buffer and is looked at there; a payload that is larger than the buffer
//! is announced first, so that memory can be reserved before it is taken from the socket. Receiving and
//! sending may both be cancelled at any time without losing a byte.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, BytesMut};
use syncline_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

const HEADER_BYTES: usize = 5;
/// Room for messages of usual sizes: many at once, still in the processor's cache.
const ROOM_BYTES: usize = 256 << 10;
/// The server's own limit of a message, with what a row has beside its values.
const PAYLOAD_BYTES_MAX: usize = (1 << 30) + (64 << 10);

/// A connection as messages.
pub(super) struct Wire {
    stream: Stream,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What is still to be sent.
    pub(super) out: BytesMut,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// A message, all of it: its letter, and the length of its payload.
    Message(u8, usize),
    /// One of so many bytes, for which there is no room yet.
    Large(usize),
    /// Not enough to tell.
    Nothing,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Wire { stream, bytes: vec![0; ROOM_BYTES], start: 0, end: 0, out: BytesMut::new() }
    }

    pub(super) fn is_private(&self) -> bool {
        syncline_net::is_private(&self.stream)
    }

    /// What is next.
    ///
    /// # Errors
    /// When it is longer than any message can be.
    pub(super) fn front(&self) -> io::Result<Front> {
        let here = &self.bytes[self.start..self.end];
        let Some(header) = here.first_chunk::<HEADER_BYTES>() else { return Ok(Front::Nothing) };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let Some(length) = length.filter(|length| *length <= PAYLOAD_BYTES_MAX) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message has no length it can have"));
        };
        Ok(match here.len() >= HEADER_BYTES + length {
            true => Front::Message(header[0], length),
            false if HEADER_BYTES + length > self.bytes.len() => Front::Large(length),
            false => Front::Nothing,
        })
    }

    /// The payload of the message in front.
    pub(super) fn payload(&self, length: usize) -> &[u8] {
        let from = self.start + HEADER_BYTES;
        self.bytes.get(from..from + length).unwrap_or_default()
    }

    /// Lets go of the message in front.
    pub(super) fn advance(&mut self, length: usize) {
        self.start = (self.start + HEADER_BYTES + length).min(self.end);
        if self.start == self.end && self.bytes.len() > ROOM_BYTES {
            self.bytes = vec![0; ROOM_BYTES];
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for a large message, which is then received.
    pub(super) fn make_room(&mut self, length: usize) {
        let mut larger = vec![0; HEADER_BYTES + length];
        let known = self.end - self.start;
        larger[..known].copy_from_slice(&self.bytes[self.start..self.end]);
        (self.bytes, self.start, self.end) = (larger, 0, known);
    }

    /// Receives more.
    ///
    /// # Errors
    /// When the connection fails or has ended.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        poll_fn(|task| self.poll_receive(task)).await
    }

    /// Receives what is at hand; false when that is nothing.
    ///
    /// # Errors
    /// As [`Wire::receive`].
    pub(super) async fn receive_now(&mut self) -> io::Result<bool> {
        if self.try_receive().await? {
            return Ok(true);
        }
        // The runtime hears of what has come only when it looks.
        tokio::task::yield_now().await;
        self.try_receive().await
    }

    async fn try_receive(&mut self) -> io::Result<bool> {
        poll_fn(|task| match self.poll_receive(task) {
            Poll::Ready(received) => Poll::Ready(received.map(|()| true)),
            Poll::Pending => Poll::Ready(Ok(false)),
        })
        .await
    }

    fn poll_receive(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(task, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(match count {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
            _ => Ok(()),
        })
    }

    /// The next message, for whoever does not care where it lies.
    ///
    /// # Errors
    /// As [`Wire::receive`], and when it is longer than `bytes_max`.
    pub(super) async fn message(&mut self, bytes_max: usize) -> io::Result<(u8, Vec<u8>)> {
        loop {
            match self.front()? {
                Front::Message(letter, length) => {
                    let payload = self.payload(length).to_vec();
                    self.advance(length);
                    return Ok((letter, payload));
                }
                Front::Large(length) if length > bytes_max => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "an answer is longer than expected",
                    ));
                }
                Front::Large(length) => self.make_room(length),
                Front::Nothing => self.receive().await?,
            }
        }
    }

    /// Sends what is in `out`.
    ///
    /// # Errors
    /// When the connection fails.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while self.out.has_remaining() {
            if self.stream.write_buf(&mut self.out).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.stream.flush().await
    }

    /// Says good-bye as far as that goes without waiting: a server logs connections that just end.
    pub(super) fn leave(&mut self, farewell: &[u8]) {
        if self.out.has_remaining() {
            // It would stand in the middle of something else.
            return;
        }
        let mut task = Context::from_waker(Waker::noop());
        let mut stream = Pin::new(&mut self.stream);
        if stream.as_mut().poll_write(&mut task, farewell).is_ready() {
            // What does not go now does not go.
            let _ = stream.poll_flush(&mut task);
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline_net::Socket;
    use tokio::net::UnixStream;

    use super::*;

    fn message(letter: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap();
        [&[letter], length.to_be_bytes().as_slice(), payload].concat()
    }

    fn pair() -> (UnixStream, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (one, Wire::new(Stream::Left(Socket::Right(other))))
    }

    #[tokio::test]
    async fn messages_of_every_length_arrive() {
        let (mut server, mut wire) = pair();
        let lengths = [0, 1, ROOM_BYTES - HEADER_BYTES, ROOM_BYTES - HEADER_BYTES + 1, 3 * ROOM_BYTES, 2];
        let sent = async {
            for length in lengths {
                server.write_all(&message(b'd', &vec![7; length])).await.unwrap();
            }
        };
        let received = async {
            for length in lengths {
                let (letter, payload) = wire.message(4 * ROOM_BYTES).await.unwrap();
                assert!(letter == b'd' && payload == vec![7; length], "{length} bytes");
            }
            assert_eq!(wire.bytes.len(), ROOM_BYTES);
        };
        tokio::join!(sent, received);
    }

    #[tokio::test]
    async fn what_is_not_at_hand_is_not_waited_for() {
        let (mut server, mut wire) = pair();
        assert!(!wire.receive_now().await.unwrap());
        server.write_all(&message(b'd', b"x")).await.unwrap();
        assert!(wire.receive_now().await.unwrap());
        assert_eq!(wire.front().unwrap(), Front::Message(b'd', 1));
        drop(server);
        wire.advance(1);
        assert_eq!(wire.receive().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_an_error() {
        for bytes in [[b'd', 0, 0, 0, 3], [b'd', 0xFF, 0, 0, 0]] {
            let (mut server, mut wire) = pair();
            server.write_all(&bytes).await.unwrap();
            assert_eq!(wire.message(10).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
