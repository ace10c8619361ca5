//! How every session is set up, whatever the server's or the user's own settings are.

use syncline_types::{Error, Result, codes};

use super::{Client, Family};

/// What both families know. Nothing of ours is ended for being slow; a number 0 stays one; values
/// that do not fit are errors; times are in UTC; notes are counted among the warnings.
const SETTINGS: &str = "SET SESSION time_zone = '+00:00', \
    sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', \
    autocommit = 1, completion_type = 0, sql_notes = 1, sql_auto_is_null = 0, sql_safe_updates = 0, \
    sql_big_selects = 1, sql_select_limit = 18446744073709551615, \
    net_write_timeout = 604800, net_read_timeout = 604800, wait_timeout = 604800";

const OF_MYSQL: &str = "SET SESSION max_execution_time = 0, information_schema_stats_expiry = 0";

const OF_MARIADB: &str = "SET SESSION max_statement_time = 0, idle_transaction_timeout = 0, \
    idle_readonly_transaction_timeout = 0, idle_write_transaction_timeout = 0, \
    system_versioning_asof = DEFAULT";

/// Prepares a session, and asks who it is.
pub(super) async fn set_up(client: &mut Client) -> Result<()> {
    let place = client.config().place();
    let of_family = match client.server.family {
        Family::Mysql => OF_MYSQL,
        Family::Mariadb => OF_MARIADB,
    };
    let isolation = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE";
    for sql in ["SET NAMES utf8mb4", SETTINGS, of_family, isolation] {
        client.run(sql, "set up a session on", &place).await?;
    }
    let sql = "SELECT CONNECTION_ID(), @@max_allowed_packet";
    let rows = client.texts(sql, "set up a session on", &place).await?;
    let Some([Some(session), Some(bytes_max)]) = rows.first().map(Vec::as_slice) else {
        return Err(Error::new(&codes::UNSUPPORTED, "set up a session on", &place)
            .because("the server does not say who the session is"));
    };
    client.beside.session = session.clone();
    client.packet_bytes_max = bytes_max.parse().unwrap_or(0);
    Ok(())
}
