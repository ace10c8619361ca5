//! What connectors reach servers through when they speak the protocol themselves: a socket that
//! notices a dead peer, and encryption that means the same whatever the server is.

mod certificates;
mod encryption;
mod socket;

pub use certificates::{Certificates, client_config};
pub use encryption::Tls;
pub use socket::{Socket, Stream, encrypt, is_private, is_this_machine, tcp, unix};
