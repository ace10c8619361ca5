//! Packets: three bytes of length, one that counts, and the payload. A payload of 16 MiB - 1 goes on
//! in the next packet.
//!
//! What is received lies in one buffer and is looked at there. Whoever reads rows asks what is in
//! front, decodes it where it lies, and only then lets go of it; a payload that is larger than the
//! buffer is announced first, so that memory can be reserved before it is taken from the socket.

use std::{
    io,
    pin::Pin,
    task::{Context, Waker},
};

use bytes::BufMut;
use syncline_net::{Socket, Stream};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HEADER_BYTES: usize = 4;
/// A payload of this length is continued.
const PART_BYTES: usize = 0xFF_FFFF;
/// Room for packets of usual sizes: many at once, still in the processor's cache.
const ROOM_BYTES: usize = 256 << 10;
/// Room while only short answers come.
const ROOM_BYTES_SHORT: usize = 16 << 10;
/// What is sent is gathered to pieces of this size.
const SEND_BYTES: usize = 64 << 10;
/// The servers' own limit of a packet, with what a row has beside its values.
pub(crate) const PAYLOAD_BYTES_MAX: usize = (1 << 30) + (64 << 10);

/// A connection as packets.
pub(crate) struct Wire {
    stream: Stream,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// A payload that is larger than the room, as far as it has come.
    large: Option<Large>,
    /// The number that the next packet has, whoever sends it.
    sequence: u8,
    out: Vec<u8>,
}

struct Large {
    payload: Vec<u8>,
    /// Bytes of the present part that are still to come.
    missing: usize,
    /// Whether another part follows.
    continued: bool,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A payload, which is all here: [`Wire::payload`].
    Payload,
    /// One for which there is no room yet, of so many bytes where that is known:
    /// [`Wire::take_large`].
    Large(Option<usize>),
    /// Not enough to tell: [`Wire::fill`].
    Nothing,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let bytes = vec![0; ROOM_BYTES_SHORT];
        Wire { stream, bytes, start: 0, end: 0, large: None, sequence: 0, out: vec![] }
    }

    /// To go on with the same conversation over an encrypted stream. `None` when it is encrypted
    /// already, or the other side has said something that nobody has looked at: it would be taken
    /// for a part of what is encrypted.
    pub(super) fn into_socket(self) -> Option<(Socket, u8)> {
        match self.stream {
            Stream::Left(socket) if self.start == self.end => Some((socket, self.sequence)),
            _ => None,
        }
    }

    pub(super) fn go_on(stream: Stream, sequence: u8) -> Self {
        Wire { sequence, ..Wire::new(stream) }
    }

    pub(super) fn is_private(&self) -> bool {
        syncline_net::is_private(&self.stream)
    }

    /// Room for rows, or for short answers only.
    pub(crate) fn set_room(&mut self, for_rows: bool) {
        let room = if for_rows { ROOM_BYTES } else { ROOM_BYTES_SHORT };
        self.compact();
        if room >= self.end {
            self.bytes.resize(room, 0);
            self.bytes.shrink_to_fit();
        }
    }

    /// A new command begins.
    pub(super) fn restart_sequence(&mut self) {
        self.sequence = 0;
    }

    /// What is next.
    ///
    /// # Errors
    /// When the packets are not numbered one by one, or one is longer than any can be.
    pub(crate) fn front(&self) -> io::Result<Front> {
        if let Some(large) = &self.large {
            let whole = large.missing == 0 && !large.continued;
            return Ok(if whole { Front::Payload } else { Front::Nothing });
        }
        let Some((length, sequence)) = self.header() else { return Ok(Front::Nothing) };
        if sequence != self.sequence {
            return Err(broken("its packets are not in order"));
        }
        if length == PART_BYTES {
            return Ok(Front::Large(None));
        }
        if length + HEADER_BYTES > self.bytes.len() {
            return Ok(Front::Large(Some(length)));
        }
        let whole = self.end - self.start >= HEADER_BYTES + length;
        Ok(if whole { Front::Payload } else { Front::Nothing })
    }

    /// The payload in front, when [`Wire::front`] has said that it is there.
    pub(crate) fn payload(&self) -> &[u8] {
        if let Some(large) = &self.large {
            return &large.payload;
        }
        let length = self.header().map_or(0, |(length, _)| length);
        let from = self.start + HEADER_BYTES;
        self.bytes.get(from..from + length).unwrap_or_default()
    }

    /// Lets go of the payload in front.
    pub(crate) fn advance(&mut self) {
        if self.large.take().is_some() {
            return;
        }
        if let Some((length, _)) = self.header() {
            self.start += HEADER_BYTES + length;
            self.sequence = self.sequence.wrapping_add(1);
        }
    }

    /// Takes the payload in front into memory of its own.
    pub(crate) fn take_large(&mut self) {
        let Some((length, _)) = self.header() else { return };
        self.start += HEADER_BYTES;
        self.sequence = self.sequence.wrapping_add(1);
        let here = (self.end - self.start).min(length);
        let mut payload = Vec::with_capacity(length);
        payload.extend_from_slice(&self.bytes[self.start..self.start + here]);
        self.start += here;
        self.large = Some(Large { payload, missing: length - here, continued: length == PART_BYTES });
    }

    /// Receives more. Being cancelled loses nothing.
    ///
    /// # Errors
    /// When the connection fails or has ended.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        if self.large.is_some() {
            return self.fill_large().await;
        }
        self.compact();
        let room = &mut self.bytes[self.end..];
        let count = self.stream.read(room).await?;
        if count == 0 {
            return Err(ended());
        }
        self.end += count;
        Ok(())
    }

    async fn fill_large(&mut self) -> io::Result<()> {
        let Some(large) = &mut self.large else { return Ok(()) };
        if large.missing > 0 {
            let mut part = (&mut large.payload).limit(large.missing);
            let count = self.stream.read_buf(&mut part).await?;
            if count == 0 {
                return Err(ended());
            }
            large.missing -= count;
        }
        if large.missing > 0 || !large.continued {
            return Ok(());
        }
        // The header of the next part, and as much of it as came along.
        while self.end - self.start < HEADER_BYTES {
            self.compact();
            let count = self.stream.read(&mut self.bytes[self.end..]).await?;
            if count == 0 {
                return Err(ended());
            }
            self.end += count;
        }
        let Some((length, sequence)) = self.header() else { return Ok(()) };
        let Some(large) = &mut self.large else { return Ok(()) };
        if sequence != self.sequence {
            return Err(broken("its packets are not in order"));
        }
        if large.payload.len() + length > PAYLOAD_BYTES_MAX {
            return Err(broken("a packet is longer than any can be"));
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.start += HEADER_BYTES;
        let here = (self.end - self.start).min(length);
        large.payload.reserve(length);
        large.payload.extend_from_slice(&self.bytes[self.start..self.start + here]);
        self.start += here;
        (large.missing, large.continued) = (length - here, length == PART_BYTES);
        Ok(())
    }

    /// The next payload, for whoever does not care where it lies.
    ///
    /// # Errors
    /// As [`Wire::fill`], and when it is longer than `bytes_max`.
    pub(crate) async fn receive(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        loop {
            match self.front()? {
                Front::Payload => {
                    let payload = match &mut self.large {
                        Some(large) => std::mem::take(&mut large.payload),
                        None => self.payload().to_vec(),
                    };
                    self.advance();
                    if payload.len() > bytes_max {
                        return Err(broken("an answer is longer than expected"));
                    }
                    return Ok(payload);
                }
                Front::Large(length) if length.is_some_and(|length| length > bytes_max) => {
                    return Err(broken("an answer is longer than expected"));
                }
                Front::Large(_) => self.take_large(),
                Front::Nothing => self.fill().await?,
            }
        }
    }

    /// Sends a payload that lies in several pieces, in as many packets as it takes. Being cancelled
    /// leaves the connection unusable.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) async fn send(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut left = total;
        let mut part = self.begin_part(left);
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() {
                if part == 0 {
                    part = self.begin_part(left);
                }
                let room = SEND_BYTES.saturating_sub(self.out.len()).max(1);
                let (now, later) = piece.split_at(piece.len().min(part).min(room));
                self.out.extend_from_slice(now);
                (piece, part, left) = (later, part - now.len(), left - now.len());
                if self.out.len() >= SEND_BYTES {
                    self.flush().await?;
                }
            }
        }
        if total > 0 && total.is_multiple_of(PART_BYTES) {
            self.begin_part(0);
        }
        self.flush().await
    }

    /// Says good-bye as far as that goes without waiting: a server logs connections that just end.
    pub(super) fn leave(&mut self, quit: u8) {
        let mut task = Context::from_waker(Waker::noop());
        let mut socket = Pin::new(&mut self.stream);
        if socket.as_mut().poll_write(&mut task, &[1, 0, 0, 0, quit]).is_ready() {
            // What does not go now does not go.
            let _ = socket.poll_flush(&mut task);
        }
    }

    /// Writes a header and returns how many bytes follow it.
    fn begin_part(&mut self, left: usize) -> usize {
        let length = left.min(PART_BYTES);
        let low = u32::try_from(length).unwrap_or_default().to_le_bytes();
        self.out.extend_from_slice(&[low[0], low[1], low[2], self.sequence]);
        self.sequence = self.sequence.wrapping_add(1);
        length
    }

    async fn flush(&mut self) -> io::Result<()> {
        let result = match self.stream.write_all(&self.out).await {
            Ok(()) => self.stream.flush().await,
            failed => failed,
        };
        self.out.clear();
        result
    }

    fn header(&self) -> Option<(usize, u8)> {
        let header = self.bytes.get(self.start..self.end)?.get(..HEADER_BYTES)?;
        Some((usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16, header[3]))
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")
}

fn broken(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::net::UnixStream;

    use super::*;

    fn plain(socket: UnixStream) -> Stream {
        Stream::Left(Socket::Right(socket))
    }

    fn pair() -> (Wire, Wire) {
        let (one, other) = UnixStream::pair().unwrap();
        (Wire::new(plain(one)), Wire::new(plain(other)))
    }

    #[tokio::test]
    async fn payloads_of_every_length_arrive() {
        for length in [
            0,
            1,
            ROOM_BYTES_SHORT - HEADER_BYTES,
            ROOM_BYTES_SHORT - HEADER_BYTES + 1,
            SEND_BYTES,
            PART_BYTES - 1,
            PART_BYTES,
            PART_BYTES + 1,
            2 * PART_BYTES,
            2 * PART_BYTES + 5,
        ] {
            let (mut sender, mut receiver) = pair();
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (head, tail) = payload.split_at(length / 3);
            let sent = async {
                sender.send(&[head, tail]).await.unwrap();
                sender.send(&[b"next"]).await.unwrap();
            };
            let received = async {
                let first = receiver.receive(usize::MAX).await.unwrap();
                (first, receiver.receive(10).await.unwrap())
            };
            let ((), (first, next)) = tokio::join!(sent, received);
            assert!(first == payload, "{length} bytes");
            assert_eq!(next, b"next", "behind {length} bytes");
        }
    }

    #[tokio::test]
    async fn what_is_large_is_announced_before_it_is_taken() {
        let (mut sender, mut receiver) = pair();
        receiver.set_room(true);
        let sent = async {
            sender.send(&[&vec![7; ROOM_BYTES]]).await.unwrap();
            sender.send(&[&vec![8; PART_BYTES]]).await.unwrap();
        };
        let received = async {
            for expected in [Front::Large(Some(ROOM_BYTES)), Front::Large(None)] {
                while receiver.front().unwrap() == Front::Nothing {
                    receiver.fill().await.unwrap();
                }
                assert_eq!(receiver.front().unwrap(), expected);
                receiver.take_large();
                while receiver.front().unwrap() != Front::Payload {
                    receiver.fill().await.unwrap();
                }
                let payload = receiver.payload();
                assert!(payload.iter().all(|byte| *byte == payload[0]));
                receiver.advance();
            }
        };
        tokio::join!(sent, received);
    }

    #[tokio::test]
    async fn packets_out_of_order_are_an_error() {
        let (mut sender, mut receiver) = pair();
        sender.sequence = 3;
        sender.send(&[b"x"]).await.unwrap();
        assert_eq!(receiver.receive(10).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (mut sender, mut receiver) = pair();
        sender.send(&[b"longer than expected"]).await.unwrap();
        assert_eq!(receiver.receive(10).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(sender);
        let (sender, mut receiver) = pair();
        drop(sender);
        assert_eq!(receiver.receive(10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (one, other) = UnixStream::pair().unwrap();
                let mut raw = plain(one);
                raw.write_all(&bytes).await.unwrap();
                drop(raw);
                let mut receiver = Wire::new(plain(other));
                while receiver.receive(1_000).await.is_ok() {}
            });
        }
    }
}
