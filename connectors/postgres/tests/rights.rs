//! What a user lacks is told before anything is copied.

use std::time::Duration;

use syncline_connect::{Connector, Context, Memory};
use syncline_postgres::{Postgres, PostgresConfig};
use syncline_testkit::servers::{left_out, postgres};
use syncline_types::codes;

#[tokio::test]
async fn who_may_make_no_temporary_tables_cannot_apply_changes() {
    if left_out("postgres") {
        return;
    }
    let server = postgres::shared();
    let database = server.create_database();
    let user = format!("{database}_writer");
    server.psql(
        &database,
        &format!(
            "CREATE ROLE {user} LOGIN PASSWORD 'right'; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
             GRANT CREATE ON SCHEMA public TO {user}; GRANT CREATE ON DATABASE {database} TO {user}"
        ),
    );
    let json = format!(
        r#"{{"user": "{user}", "password": "right", "host": "127.0.0.1", "port": {}, "path": "{database}"}}"#,
        server.port()
    );
    let config: PostgresConfig = serde_json::from_str(&json).expect("the configuration is right");
    let cx = Context::new(Memory::new(32 << 20), Duration::from_secs(20));
    let sink = Postgres::sink(config, cx).await.expect("the server can be written");
    let findings = sink.inspect_applier().await.expect("it can be asked");
    let error = findings.first().and_then(|finding| finding.error.clone()).expect("it is told");
    assert_eq!(error.code(), &codes::PERMISSION_DENIED, "{error}");
    let grant = format!("GRANT TEMPORARY ON DATABASE {database} TO {user}");
    assert!(error.to_string().contains(&grant), "{error}");
    server.psql(&database, &grant);
    assert!(sink.inspect_applier().await.expect("it can be asked").is_empty());
    server.psql(&database, &format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}
