//! The place that a snapshot is: every transaction is either in it or told behind it.

use syncline_testkit::{
    conformance::a_transaction_is_in_a_snapshot_or_behind_its_place, servers::mysql::Product,
};
use syncline_types::codes;

use super::rig::{Rig, products, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_in_the_snapshot_or_behind_its_place() {
    for product in products() {
        for parallel in [1, 3] {
            let rig = Rig::new(product, "CREATE TABLE t (n int)").await;
            let reads = rig.reads(&["t"]).await;
            let at = rig.log.keep(&reads, None).await.expect("the place can be kept");
            let insert = |sql: &str| drop(rig.sql(sql));
            a_transaction_is_in_a_snapshot_or_behind_its_place(
                rig.log.as_ref(),
                &reads[0],
                &at,
                parallel,
                insert,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn without_a_lock_the_place_is_not_known_but_in_mariadb() {
    for product in products() {
        let server = server(product, &[]);
        let rig =
            Rig::on(&server, "CREATE TABLE t (n int); CREATE TABLE m (n int) ENGINE = MyISAM", "").await;
        let (name, user) = (rig.database.name(), "u@'127.0.0.1'");
        rig.sql(&format!(
            "CREATE USER {user} IDENTIFIED BY 'p'; GRANT SELECT ON {name}.* TO {user};
             GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}"
        ));
        let as_user =
            Rig::over(server.port(), server.database(name), r#", "user": "u", "password": "p""#).await;
        let reads = as_user.reads(&["t"]).await;
        for parallel in [1, 3] {
            let taken = as_user.log.snapshot(&reads, parallel).await;
            match product {
                Product::Mariadb => drop(taken.expect("it says where each snapshot is")),
                Product::Mysql => {
                    let error = taken.err().expect("nobody can know");
                    assert_eq!(error.code(), &codes::UNSUPPORTED, "{error}");
                    assert!(error.to_string().contains("LOCK TABLES"), "{error}");
                }
            }
        }
        rig.sql(&format!("GRANT LOCK TABLES ON {name}.* TO {user}"));
        as_user.log.snapshot(&reads, 3).await.expect("a lock is enough");
        // Whoever reads it sees what comes meanwhile.
        let error = rig.log.snapshot(&rig.reads(&["m"]).await, 1).await.err().expect("it has no snapshots");
        assert_eq!(error.code(), &codes::KEY_MISSING, "{error}");
        rig.sql("SET GLOBAL binlog_row_image = 'MINIMAL'");
        let findings = rig.log.inspect(&reads).await.expect("it can be looked at");
        let told =
            findings.iter().filter_map(|finding| finding.error.as_ref()).next().expect("it is refused");
        assert!(told.to_string().contains("binlog_row_image = 'FULL'"), "{told}");
    }
}
