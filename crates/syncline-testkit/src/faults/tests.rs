//! Every fault, seen by a plain client of a server that answers each byte, or pours bytes out.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;

/// Sends back what it gets; after the byte `P` it pours out a megabyte as well.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut piece) {
                    let pour = piece[..read].contains(&b'P');
                    if stream.write_all(&piece[..read]).is_err()
                        || pour && stream.write_all(&[0; 1 << 20]).is_err()
                    {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect(proxy.addr()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

/// Sends one byte and waits for its echo.
fn echo(client: &mut TcpStream) -> Result<(), ErrorKind> {
    let mut answer = [0];
    client.write_all(b"x").and_then(|()| client.read_exact(&mut answer)).map_err(|error| error.kind())
}

#[test]
fn passes_bytes_both_ways_and_counts_them() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    client.write_all(b"Pa").unwrap();
    let mut answer = vec![0; (1 << 20) + 2];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..2], b"Pa");
    assert_eq!((proxy.bytes_passed(Flow::Up), proxy.bytes_passed(Flow::Down)), (2, (1 << 20) + 2));
}

#[test]
fn a_polite_end_is_passed_on() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    client.write_all(b"end").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = vec![];
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"end");
}

#[test]
fn a_cut_resets_and_refuses_until_it_heals() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    echo(&mut client).unwrap();
    proxy.cut();
    assert_eq!(client.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    let refused = TcpStream::connect(proxy.addr()).map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    proxy.heal();
    echo(&mut connect(&proxy)).unwrap();
}

#[test]
fn a_stalled_connection_stays_open_and_goes_on_when_healed() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    echo(&mut client).unwrap();
    proxy.stall();
    let mut new = connect(&proxy);
    for stream in [&mut client, &mut new] {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(echo(stream), Err(ErrorKind::WouldBlock));
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    proxy.heal();
    for stream in [&mut client, &mut new] {
        stream.read_exact(&mut [0]).unwrap();
        echo(stream).unwrap();
    }
}

#[test]
fn a_delay_holds_for_each_direction_and_lets_the_wire_be_full() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    proxy.delay(Duration::from_millis(100));
    let started = Instant::now();
    echo(&mut client).unwrap();
    let round_trip = started.elapsed();
    assert!(round_trip >= Duration::from_millis(200), "{round_trip:?}");
    let started = Instant::now();
    client.write_all(b"P").unwrap();
    client.read_exact(&mut vec![0; (1 << 20) + 1]).unwrap();
    let megabyte = started.elapsed();
    // 64 chunks one after another would take 6.4 s.
    assert!(megabyte < Duration::from_secs(3), "{megabyte:?}");
}

#[test]
fn a_narrow_wire_takes_its_time() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    proxy.bandwidth(2 << 20);
    let started = Instant::now();
    client.write_all(b"P").unwrap();
    client.read_exact(&mut vec![0; (1 << 20) + 1]).unwrap();
    let took = started.elapsed();
    assert!(took > Duration::from_millis(450) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_cut_comes_after_the_bytes_asked_for() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    echo(&mut client).unwrap();
    proxy.cut_after(Flow::Down, 100_000);
    client.write_all(b"P").unwrap();
    let mut answer = vec![];
    let error = client.read_to_end(&mut answer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(answer.len() <= 100_000, "{} bytes", answer.len());
    assert_eq!(proxy.bytes_passed(Flow::Down), 100_001);
    proxy.heal();
    echo(&mut connect(&proxy)).unwrap();
}

#[test]
fn bytes_to_the_server_can_be_what_cuts() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    proxy.cut_after(Flow::Up, 3);
    let mut error = None;
    for _ in 0..100 {
        if let Err(kind) = echo(&mut client) {
            error = Some(kind);
            break;
        }
    }
    let broken = [Some(ErrorKind::ConnectionReset), Some(ErrorKind::BrokenPipe)];
    assert!(broken.contains(&error), "{error:?}");
    assert_eq!(proxy.bytes_passed(Flow::Up), 3);
}

#[test]
fn a_server_that_is_away_is_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody);
    let mut client = connect(&proxy);
    assert_eq!(client.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_dropped_proxy_lets_go() {
    let proxy = Proxy::start(server());
    let mut client = connect(&proxy);
    echo(&mut client).unwrap();
    drop(proxy);
    assert!(echo(&mut client).is_err());
}
