//! Who we are, and as whom a server runs: most servers refuse to run as root.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

/// A system user by number.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The account that a server is to run as: the named one if we are root, else our own (`None`).
pub(crate) fn of_server(name: &str) -> Option<Account> {
    is_root().then(|| {
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
        find(&users, name).unwrap_or_else(|| {
            panic!("no user `{name}` on this machine: install the server from the system's packages")
        })
    })
}

/// Gives a file or folder to the account that has to read it.
pub(crate) fn give(path: &Path, account: Option<Account>) {
    if let Some(Account { uid, gid }) = account {
        chown(path, Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("could not give {} to user {uid}: {error}", path.display()));
    }
}

fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        found.then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:112:119:,,,:/var/lib:/bin/bash\n";
        let found = find(users, "postgres").expect("it is there");
        assert_eq!((found.uid, found.gid), (112, 119));
        assert!(find(users, "postgre").is_none());
    }
}
