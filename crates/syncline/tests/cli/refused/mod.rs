//! Bad input: a clear error with its code and hint, the exit code as documented, nothing changed and
//! no value of a row said.

mod command_line;
mod connections;
mod files;
mod rights;
mod state;
mod values;

/// Stands in rows; nothing that is printed may hold it.
const SECRET: &str = "s3cr3t-r0w";
/// A password; nothing that is printed may hold it.
const PASSWORD: &str = "p4ssw0rd-zz";
