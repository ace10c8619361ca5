//! Free ports that stay free while their server is down.

use std::net::{Ipv4Addr, TcpListener};

use crate::seed::Rng;

/// Below the ports that Linux hands out for outgoing connections (32768 and up), so that nobody
/// takes the port of a server which is about to be started again.
const PORTS: std::ops::Range<u64> = 10_000..32_000;

/// A port on 127.0.0.1 that nobody listens on.
pub(crate) fn free() -> u16 {
    let mut rng = Rng::new(crate::seed::random());
    loop {
        let port = u16::try_from(PORTS.start + rng.below(PORTS.end - PORTS.start)).expect("a port number");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
