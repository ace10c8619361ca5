//! Real servers, private to the test that starts them.

pub mod mysql;
pub mod postgres;

/// Names the servers that the tests are to do without, separated by commas.
pub const WITHOUT: &str = "SYNCLINE_TEST_WITHOUT";

/// Whether the tester said to do without this server (or `small-disk`, which needs root). A test of
/// it begins with `if left_out("postgres") { return; }`; `cargo x test` repeats at its end what was
/// left out. A server that is missing and was not named fails its tests.
pub fn left_out(server: &str) -> bool {
    let named = std::env::var(WITHOUT).unwrap_or_default();
    let left_out = names(&named, server);
    if left_out {
        eprintln!("left out: {WITHOUT} names {server}");
    }
    left_out
}

fn names(list: &str, server: &str) -> bool {
    list.split(',').any(|name| name.trim() == server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_leave_a_server_out() {
        assert!(names("mysql, postgres", "postgres"));
        assert!(!names("mysql", "postgres") && !names("", "postgres") && !names("postgresql", "postgres"));
    }
}
