//! Every error code, in one list. A code never changes its meaning; a retired number is not reused.
//!
//! 1000s: command line and pipeline file. 2000s: reaching the other system. 3000s: schemas.
//! 4000s: values. 5000s: runs and their state. 6000s: ourselves. `docs/errors.md` says what to do
//! about each; a test holds the two lists together.

use crate::error::{Code, ErrorKind as Kind, Retry};

macro_rules! codes {
    ($($name:ident = $number:literal, $kind:ident, $retry:ident, $title:literal, $advice:literal;)*) => {
        $(#[doc = $title] pub static $name: Code =
            Code { number: $number, kind: Kind::$kind, retry: Retry::$retry, title: $title, advice: $advice };)*
        /// All codes, by number.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    BAD_USAGE = 1001, Config, Never, "the command line does not make sense",
        "`syncline help COMMAND` shows how it is written";
    BAD_FILE = 1002, Config, Never, "the pipeline file cannot be read or is not valid YAML",
        "Correct the file there";
    UNKNOWN_KEY = 1003, Config, Never, "an option or key that does not exist",
        "`syncline schema` prints all keys, `syncline help COMMAND` all options";
    BAD_VALUE = 1004, Config, Never, "an option or key has a value it cannot have",
        "Give it a value it can have";
    MISSING_SECRET = 1005, Config, Never, "an environment variable or secret file that is named is not there",
        "Set the variable, or name a file that is there";
    UNKNOWN_CONNECTOR = 1006, Config, Never, "no connector for this URL scheme",
        "`syncline connectors` lists them";
    BAD_URL = 1007, Config, Never, "a connection URL cannot be understood",
        "Write `scheme://user:password@host:port/path?option=value`; percent-encode `@ / : ? #` inside a part";
    UNKNOWN_COLUMN = 1008, Config, Never, "a step or option names a column that the stream lacks",
        "Name a column that is there; steps see what the steps before them left";
    BAD_EXPRESSION = 1009, Config, Never, "an expression cannot be parsed or does not fit the columns",
        "Correct the expression; it is written as in SQL";
    NEEDS_DECISION = 1010, Config, Never, "Syncline would have to guess, and a wrong guess would cost data",
        "Say what is meant";
    NO_MASK_KEY = 1011, Config, Never, "a `hash` mask has no key",
        "Set SYNCLINE_MASK_KEY, or write mask_key: ${NAME} into the file";
    MARK_UNUSABLE = 1012, Config, Never, "the mark of earlier incremental runs does not fit this one",
        "Change it back, or empty the target table: then everything is copied again";
    LOOKBACK_TOO_WIDE = 1013, Config, Never, "more rows lie near the mark than can be remembered",
        "Make the look-back shorter, or merge instead of appending";

    UNREACHABLE = 2001, Unreachable, Backoff, "the server cannot be reached or the connection broke",
        "Check host, port and that the server runs";
    LOGIN_REFUSED = 2002, Auth, Never, "the server refused the user or password",
        "Check user, password and the server's own access rules";
    PERMISSION_DENIED = 2003, Permission, Never, "the user may not do this",
        "`syncline plan` names the missing grants";
    TIMED_OUT = 2004, Timeout, Backoff, "no answer within the deadline",
        "Try again, or give it more time with --idle-timeout";
    TLS_FAILED = 2005, Auth, Never, "the server's certificate could not be verified, or TLS was refused",
        "Check the host name, and name the authority with tls_ca=FILE; tls=disable must be said";
    SERVER_BUSY = 2006, Unreachable, Backoff, "the server is starting, stopping or out of connections",
        "Try again once the server answers";
    LOCKED = 2007, Conflict, Backoff, "another session holds a lock we need",
        "Look for a long transaction on the table, and try again";
    DISK_FULL = 2008, Exhausted, Never, "no space is left",
        "Make room; the same command goes on";
    SERVER_REFUSED = 2009, Unsupported, Never, "the server refused a statement for a reason we do not know",
        "Look into the server's own log";
    DATABASE_MISSING = 2010, NotFound, Never, "the database, file or folder does not exist",
        "Check the URL";

    STREAM_MISSING = 3001, NotFound, Never, "no such table or stream",
        "Check the name";
    COLUMN_MISSING = 3002, Schema, Never, "a column is missing",
        "Add it at the target, or leave it out with a `drop` step or --columns";
    TYPE_MISMATCH = 3003, Schema, Never, "a column's type cannot take the source's values",
        "Add a `cast` step, or change the target";
    KEY_MISSING = 3004, Schema, Never, "a key is needed and there is none, or it is not unique",
        "Name a unique key with --key COL,..., or use --write append";
    TARGET_IN_USE = 3005, Schema, Never, "the target has something attached that publishing would break",
        "Use --write merge, which leaves the table in place";
    NAME_TAKEN = 3006, Schema, Never, "two streams would land in one table, or a name is not usable",
        "Name targets with --stream SRC=DST";
    UNMAPPED_TYPE = 3007, Schema, Never, "a type has no counterpart in the target",
        "Convert it with a `cast` step, or leave it out with a `drop` step or --columns";
    EMPTY_SOURCE = 3008, Schema, Never, "the source is empty and the target is not",
        "Write --allow-empty if the target is to be emptied";
    SCHEMA_CHANGED = 3009, Schema, Never, "the table changed between planning and reading",
        "Run again";

    VALUE_REFUSED = 4001, Value, Never, "the target cannot hold a value of this row",
        "Correct it at the source, or set such rows aside with --on-error dead_letter";
    VALUE_UNREADABLE = 4002, Value, Never, "a value in the source does not fit its column's type",
        "Correct it at the source, or set such rows aside with --on-error dead_letter";
    STEP_FAILED = 4003, Value, Never, "a step failed on this row",
        "Correct the expression or the row, or set such rows aside with --on-error dead_letter";
    DUPLICATE_KEY = 4004, Value, Never, "two rows have the same key",
        "Name a key that is unique, or remove one of the rows";
    ROW_INVALID = 4005, Value, Never, "a row breaks its JSON Schema",
        "Correct the row or the schema, or set such rows aside with --on-error dead_letter";
    LOG_INCOMPLETE = 4006, Value, Never, "the log does not tell a value that is needed",
        "Let the log have whole rows: ALTER TABLE ... REPLICA IDENTITY FULL, binlog_row_image=FULL";

    ALREADY_RUNNING = 5001, Conflict, Never, "this pipeline is already running",
        "Wait for it, or stop it";
    STATE_LOST = 5002, Conflict, Never, "the target holds an unfinished run that this state does not know",
        "Use that run's --state, or begin again with --restart";
    RUN_CHANGED = 5003, Conflict, Never, "the unfinished run had other steps or another schema",
        "Change them back, or begin again with --restart";
    FENCED = 5004, Fenced, Never, "a newer run has taken over",
        "Nothing is to be done here: the other run goes on";
    SNAPSHOT_LOST = 5005, PositionLost, Backoff, "the snapshot that was being read is gone",
        "Run again: a new snapshot is taken";
    STATE_FAILED = 5006, Exhausted, Never, "the state directory cannot be read or written",
        "Make room, or name another directory with --state DIR";
    INTERRUPTED = 5007, Interrupted, Never, "stopped on request",
        "The same command goes on";
    STREAMS_FAILED = 5008, Conflict, Never, "some streams failed and others did not",
        "Each has said why; the same command goes on with them";
    NO_SUCH_RUN = 5009, NotFound, Never, "the state directory knows no such pipeline or dead letter",
        "`syncline status` lists pipelines";
    PLAN_BLOCKED = 5010, Conflict, Never, "the plan shows what would make a run fail",
        "Each blocker in the plan says what to do";
    RUN_UNFINISHED = 5011, Conflict, Never, "an unfinished run of the pipeline stands in the way",
        "The same command goes on with that run; --restart throws it away";
    LOG_LOST = 5012, PositionLost, Never, "the source's log no longer has what comes next",
        "Copy the streams again with --restart, and give the source's log more room to wait";

    BROKEN_INVARIANT = 6001, Internal, Never, "a mistake in Syncline itself",
        "Please report it with the log (--log-level debug); nothing half done is visible";
    UNSUPPORTED = 6002, Unsupported, Never, "the connector cannot do this",
        "`syncline connectors` shows what each can do";
    BAD_BYTES = 6003, Corrupt, Never, "bytes that do not follow their own format",
        "If it was changed by hand, begin again with --restart";
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_unique_and_ascending() {
        let numbers: Vec<u16> = super::ALL.iter().map(|code| code.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
    }
}
