//! Every error code, in one list. A code never changes its meaning; a retired number is not reused.
//!
//! 1000s: command line and pipeline file. 2000s: reaching the other system. 3000s: schemas.
//! 4000s: values. 5000s: runs and their state. 6000s: ourselves. `docs/errors.md` says what to do
//! about each; a test holds the two lists together.

use crate::error::{Code, ErrorKind as Kind, Retry};

macro_rules! codes {
    ($($name:ident = $number:literal, $kind:ident, $retry:ident, $title:literal;)*) => {
        $(#[doc = $title] pub static $name: Code =
            Code { number: $number, kind: Kind::$kind, retry: Retry::$retry, title: $title };)*
        /// All codes, by number.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    BAD_USAGE = 1001, Config, Never, "the command line does not make sense";
    BAD_FILE = 1002, Config, Never, "the pipeline file cannot be read or is not valid YAML";
    UNKNOWN_KEY = 1003, Config, Never, "an option or key that does not exist";
    BAD_VALUE = 1004, Config, Never, "an option or key has a value it cannot have";
    MISSING_SECRET = 1005, Config, Never, "an environment variable or secret file that is named is not there";
    UNKNOWN_CONNECTOR = 1006, Config, Never, "no connector for this URL scheme";
    BAD_URL = 1007, Config, Never, "a connection URL cannot be understood";
    UNKNOWN_COLUMN = 1008, Config, Never, "a step or option names a column that the stream lacks";
    BAD_EXPRESSION = 1009, Config, Never, "an expression cannot be parsed or does not fit the columns";
    NEEDS_DECISION = 1010, Config, Never, "Syncline would have to guess, and a wrong guess would cost data";
    NO_MASK_KEY = 1011, Config, Never, "a `hash` mask has no key";

    UNREACHABLE = 2001, Unreachable, Backoff, "the server cannot be reached or the connection broke";
    LOGIN_REFUSED = 2002, Auth, Never, "the server refused the user or password";
    PERMISSION_DENIED = 2003, Permission, Never, "the user may not do this";
    TIMED_OUT = 2004, Timeout, Backoff, "no answer within the deadline";
    TLS_FAILED = 2005, Auth, Never, "the server's certificate could not be verified, or TLS was refused";
    SERVER_BUSY = 2006, Unreachable, Backoff, "the server is starting, stopping or out of connections";
    LOCKED = 2007, Conflict, Backoff, "another session holds a lock we need";
    DISK_FULL = 2008, Exhausted, Never, "no space is left";
    SERVER_REFUSED = 2009, Unsupported, Never, "the server refused a statement for a reason we do not know";
    DATABASE_MISSING = 2010, NotFound, Never, "the database, file or folder does not exist";

    STREAM_MISSING = 3001, NotFound, Never, "no such table or stream";
    COLUMN_MISSING = 3002, Schema, Never, "a column is missing";
    TYPE_MISMATCH = 3003, Schema, Never, "a column's type cannot take the source's values";
    KEY_MISSING = 3004, Schema, Never, "a key is needed and there is none, or it is not unique";
    TARGET_IN_USE = 3005, Schema, Never, "the target has something attached that publishing would break";
    NAME_TAKEN = 3006, Schema, Never, "two streams would land in one table, or a name is not usable";
    UNMAPPED_TYPE = 3007, Schema, Never, "a type has no counterpart in the target";
    EMPTY_SOURCE = 3008, Schema, Never, "the source is empty and the target is not";
    SCHEMA_CHANGED = 3009, Schema, Never, "the table changed between planning and reading";

    VALUE_REFUSED = 4001, Value, Never, "the target cannot hold a value of this row";
    VALUE_UNREADABLE = 4002, Value, Never, "a value in the source does not fit its column's type";
    STEP_FAILED = 4003, Value, Never, "a step failed on this row";
    DUPLICATE_KEY = 4004, Value, Never, "two rows have the same key";

    ALREADY_RUNNING = 5001, Conflict, Never, "this pipeline is already running";
    STATE_LOST = 5002, Conflict, Never, "the target holds an unfinished run that this state does not know";
    RUN_CHANGED = 5003, Conflict, Never, "the unfinished run had other steps or another schema";
    FENCED = 5004, Fenced, Never, "a newer run has taken over";
    SNAPSHOT_LOST = 5005, PositionLost, Backoff, "the snapshot that was being read is gone";
    STATE_FAILED = 5006, Exhausted, Never, "the state directory cannot be read or written";
    INTERRUPTED = 5007, Interrupted, Never, "stopped on request";
    STREAMS_FAILED = 5008, Conflict, Never, "some streams failed and others did not";
    NO_SUCH_RUN = 5009, NotFound, Never, "the state directory knows no such pipeline or dead letter";
    PLAN_BLOCKED = 5010, Conflict, Never, "the plan shows what would make a run fail";

    BROKEN_INVARIANT = 6001, Internal, Never, "a mistake in Syncline itself";
    UNSUPPORTED = 6002, Unsupported, Never, "the connector cannot do this";
    BAD_BYTES = 6003, Corrupt, Never, "bytes that do not follow their own format";
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_unique_and_ascending() {
        let numbers: Vec<u16> = super::ALL.iter().map(|code| code.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
