//! Takes the rows of a COPY out of a connection before the driver sees them.
//!
//! The driver would keep whole messages, and room for several of the largest, outside of any budget.
//! Here a row waits in the socket until its reader has room for it, and its length is known before
//! its bytes are taken. Everything that is not a row goes on to the driver.
//!
//! A message is a letter, the length of what follows with the length itself, in four bytes, and the
//! rest. `d` is CopyData: PostgreSQL sends a row in each, the first behind COPY's signature.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Room for rows of usual sizes: many at once, still in the processor's cache.
const ROOM_BYTES: usize = 256 << 10;
/// Room while there are no rows to take.
const ROOM_BYTES_CLOSED: usize = 16 << 10;
const HEADER_BYTES: usize = 5;
const COPY_DATA: u8 = b'd';

/// A connection's tap. Closed, it lets everything through.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Incoming>>);

/// Bytes that have been received and that nobody has taken yet. Where messages begin is known from
/// the connection's beginning, so that the tap can be opened and closed at any time.
pub(crate) struct Incoming {
    open: bool,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of a message that is for the driver and is not all passed on yet.
    passing: usize,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// A row of so many bytes, which is all here.
    Row(usize),
    /// A row of so many bytes, for which there is no room yet: [`Incoming::make_room`].
    Large(usize),
    /// Something else, or not enough to tell.
    Nothing,
}

impl Tap {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Incoming { open: false, bytes: vec![0; ROOM_BYTES_CLOSED], start: 0, end: 0, passing: 0 }
    }
}

impl Incoming {
    /// From now on rows are kept for the reader.
    pub(crate) fn open(&mut self) {
        self.open = true;
        if self.bytes.len() < ROOM_BYTES {
            self.bytes.resize(ROOM_BYTES, 0);
        }
    }

    /// From now on everything goes to the driver.
    pub(crate) fn close(&mut self) {
        self.open = false;
    }

    /// What the reader can take.
    pub(crate) fn front(&self) -> Front {
        match self.message() {
            Some((COPY_DATA, length)) if self.open && self.passing == 0 => {
                if self.end - self.start >= HEADER_BYTES + length {
                    Front::Row(length)
                } else if HEADER_BYTES + length > self.bytes.len() {
                    Front::Large(length)
                } else {
                    Front::Nothing
                }
            }
            _ => Front::Nothing,
        }
    }

    /// The bytes of the row in front.
    pub(crate) fn row(&self, length: usize) -> &[u8] {
        let from = self.start + HEADER_BYTES;
        self.bytes.get(from..from + length).unwrap_or_default()
    }

    /// Goes on behind the row in front.
    pub(crate) fn advance(&mut self, length: usize) {
        self.start = (self.start + HEADER_BYTES + length).min(self.end);
        if self.start == self.end && self.bytes.len() > ROOM_BYTES {
            self.bytes = vec![0; ROOM_BYTES];
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for a large row, which is then received.
    pub(crate) fn make_room(&mut self, length: usize) {
        let mut larger = vec![0; HEADER_BYTES + length];
        let known = self.end - self.start;
        larger[..known].copy_from_slice(&self.bytes[self.start..self.end]);
        (self.bytes, self.start, self.end) = (larger, 0, known);
    }

    /// Letter and length of the message in front, without its header.
    fn message(&self) -> Option<(u8, usize)> {
        let header = self.bytes.get(self.start..self.end)?.get(..HEADER_BYTES)?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        Some((header[0], (length as usize).saturating_sub(4)))
    }

    /// Hands bytes that are for the driver on to it. False when there are none.
    fn pass(&mut self, out: &mut ReadBuf<'_>) -> bool {
        if self.passing == 0 {
            self.passing = match self.message() {
                Some((letter, length)) if letter != COPY_DATA || !self.open => HEADER_BYTES + length,
                _ => return false,
            };
        }
        let count = (self.end - self.start).min(self.passing).min(out.remaining());
        out.put_slice(&self.bytes[self.start..self.start + count]);
        self.start += count;
        self.passing -= count;
        count > 0
    }

    /// Receives more. Zero bytes are the end.
    fn poll_receive(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(stream.poll_read(task, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

/// A connection's stream with its tap.
pub(super) struct Tapped<S> {
    stream: S,
    tap: Tap,
}

impl<S> Tapped<S> {
    pub(super) fn new(stream: S, tap: Tap) -> Self {
        Tapped { stream, tap }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Tapped { stream, tap } = self.get_mut();
        let mut incoming = tap.lock();
        loop {
            if incoming.pass(out) {
                return Poll::Ready(Ok(()));
            }
            if incoming.front() != Front::Nothing {
                // It is the reader's turn, who polls again when it has taken its rows.
                return Poll::Pending;
            }
            if ready!(incoming.poll_receive(Pin::new(&mut *stream), task))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tapped<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Encrypts a stream, and puts the tap where its bytes are plain.
pub(super) struct TapBehindTls<T> {
    pub(super) tls: T,
    pub(super) tap: Tap,
}

impl<S, T> TlsConnect<S> for TapBehindTls<T>
where
    T: TlsConnect<S, Stream: Send, Future: Send + 'static>,
{
    type Stream = Tapped<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.tls.connect(stream);
        let tap = self.tap;
        Box::pin(async move { Ok(Tapped::new(connecting.await?, tap)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn message(letter: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 4).unwrap();
        [&[letter], length.to_be_bytes().as_slice(), payload].concat()
    }

    /// What a server sends: an answer, rows of some sizes, the end.
    fn sent(rows: &[Vec<u8>]) -> Vec<u8> {
        let rows = rows.iter().flat_map(|row| message(COPY_DATA, row));
        [message(b'H', &[1, 0, 0]), rows.collect(), message(b'c', b""), message(b'Z', b"T")].concat()
    }

    /// Reads in pieces of `piece` bytes; returns what the driver and what the reader got.
    async fn read(bytes: Vec<u8>, piece: usize, open: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut server, stream) = tokio::io::duplex(piece);
        let tap = Tap::default();
        if open {
            tap.lock().open();
        }
        let mut tapped = Tapped::new(stream, tap.clone());
        let server = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut server, &bytes).await.unwrap();
        });
        let (mut driver, mut rows) = (vec![], vec![]);
        let mut out = vec![0; 7];
        loop {
            let read = std::future::poll_fn(|task| {
                let mut incoming = tap.lock();
                match incoming.front() {
                    Front::Row(length) => {
                        rows.push(incoming.row(length).to_vec());
                        incoming.advance(length);
                        return Poll::Ready(None);
                    }
                    Front::Large(length) => incoming.make_room(length),
                    Front::Nothing => {}
                }
                drop(incoming);
                let mut buffer = ReadBuf::new(&mut out);
                let polled = Pin::new(&mut tapped).poll_read(task, &mut buffer);
                if polled.is_pending() && tap.lock().front() != Front::Nothing {
                    return Poll::Ready(None);
                }
                polled.map(|read| read.map(|()| Some(buffer.filled().len())).unwrap())
            });
            match read.await {
                None => {}
                Some(0) => break,
                Some(count) => driver.extend_from_slice(&out[..count]),
            }
        }
        server.await.unwrap();
        assert_eq!(tapped.read(&mut out).await.unwrap(), 0);
        (driver, rows)
    }

    #[tokio::test]
    async fn rows_go_to_the_reader_and_everything_else_to_the_driver() {
        let rows: Vec<Vec<u8>> = [0, 1, 4, 5, 300, ROOM_BYTES - 5, ROOM_BYTES, 3 * ROOM_BYTES, 2]
            .map(|length| vec![7; length])
            .to_vec();
        for piece in [1 << 20, 4_096, 1_000] {
            let (driver, got) = read(sent(&rows), piece, true).await;
            assert_eq!(driver, sent(&[]));
            assert!(got == rows, "pieces of {piece}");
        }
        let few: Vec<Vec<u8>> = rows[..5].to_vec();
        for piece in 1..20 {
            let (driver, got) = read(sent(&few), piece, true).await;
            assert_eq!((driver, got), (sent(&[]), few.clone()), "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_closed_tap_lets_everything_through() {
        let rows = vec![vec![1; 10], vec![2; 40_000]];
        assert_eq!(read(sent(&rows), 1_000, false).await, (sent(&rows), vec![]));
    }

    #[tokio::test]
    async fn room_for_a_large_row_is_given_back() {
        let mut incoming = Incoming::default();
        incoming.open();
        incoming.make_room(10 * ROOM_BYTES);
        let (mut server, mut stream) = tokio::io::duplex(64 << 20);
        tokio::io::AsyncWriteExt::write_all(&mut server, &message(COPY_DATA, &vec![1; 10 * ROOM_BYTES]))
            .await
            .unwrap();
        while incoming.front() == Front::Nothing || matches!(incoming.front(), Front::Large(_)) {
            std::future::poll_fn(|task| incoming.poll_receive(Pin::new(&mut stream), task)).await.unwrap();
        }
        incoming.advance(10 * ROOM_BYTES);
        assert_eq!((incoming.bytes.len(), incoming.front()), (ROOM_BYTES, Front::Nothing));
    }
}
