//! What has come since the last run: a tenth of the table, merged into the rest at PostgreSQL.

use super::mysql;
use crate::{
    measure::{Candidate, compare},
    servers::{DATABASE, End, SHOP, Servers, pipe},
};

const STATE: &str = "incremental";

fn arguments(servers: &Servers) -> Vec<String> {
    let (from, to) = (servers.mysql(End::Source).url(SHOP), servers.postgres(End::Target).url(DATABASE));
    let mut all = vec!["copy".to_owned(), from, to];
    all.extend(["--stream", "arriving=orders", "--sync", "incremental", "--cursor", "id"].map(str::to_owned));
    all
}

fn syncline(servers: &Servers) -> syncline_testkit::process::Program {
    let arguments = arguments(servers);
    servers.syncline_in(STATE, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(super) fn into_postgres(servers: &Servers) {
    let rows = servers.in_mysql("orders");
    servers.in_postgres("orders");
    let (new, old) = (rows / 10, rows - rows / 10);
    let source = servers.mysql(End::Source);
    source.sql(SHOP, "CREATE TABLE IF NOT EXISTS arriving LIKE orders");
    // The source has nine tenths while the target is prepared.
    let nine_tenths = || {
        source.sql(
            SHOP,
            &format!("TRUNCATE arriving; INSERT INTO arriving SELECT * FROM orders ORDER BY id LIMIT {old}"),
        )
    };
    let the_rest = || {
        source.sql(
            SHOP,
            &format!(
                "INSERT INTO arriving SELECT * FROM orders ORDER BY id LIMIT {new} OFFSET {old};
                 ANALYZE TABLE arriving"
            ),
        )
    };
    let mark = source.sql(SHOP, &format!("SELECT id FROM orders ORDER BY id LIMIT 1 OFFSET {}", old - 1));
    let condition = format!("where id > {}", mark.trim());
    let first_run = || {
        nine_tenths();
        servers.drop("orders");
        let _ = std::fs::remove_dir_all(servers.folder().join(STATE));
        syncline(servers).run().expect_code(0);
        the_rest();
        servers.postgres(End::Target).psql(DATABASE, "CHECKPOINT");
    };
    compare(
        &format!("{} -> PG orders, {new} new beside {old}", mysql::title(servers)),
        rows,
        mysql::bytes(servers, "orders"),
        &[
            Candidate {
                name: "COPY into a temporary table, INSERT ... ON CONFLICT",
                is_pipe: true,
                prepare: Box::new(first_run),
                command: Box::new(|| {
                    let out = mysql::reader(servers, "orders", mysql::BYTEA, &condition);
                    let columns = servers.postgres(End::Target).psql(
                        DATABASE,
                        "SELECT string_agg(attname || ' = excluded.' || attname, ', ') FROM pg_attribute
                         WHERE attrelid = 'orders'::regclass AND attnum > 0 AND attname <> 'id'",
                    );
                    let into = format!(
                        "psql -X -q -v ON_ERROR_STOP=1 '{}' -c 'begin' -c 'create temporary table t (like orders) on commit drop' \
                         -c \"copy t from stdin (null 'NULL')\" \
                         -c 'insert into orders select * from t on conflict (id) do update set {}' -c 'commit'",
                        servers.postgres(End::Target).url(DATABASE),
                        columns.trim()
                    );
                    pipe(&format!("{out} | {into}"))
                }),
            },
            Candidate {
                name: "syncline, four (default)",
                is_pipe: false,
                prepare: Box::new(first_run),
                command: Box::new(|| syncline(servers)),
            },
        ],
        &|| servers.arrived("orders"),
    );
}
