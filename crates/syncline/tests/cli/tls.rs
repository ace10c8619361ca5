//! TLS to a server with a certificate of a private authority.

use syncline_testkit::{
    certificates::Authority,
    servers::{
        left_out,
        postgres::{Database, Options, Postgres},
    },
};

use crate::desk::Desk;

const SQL: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)";

struct Scene {
    desk: Desk,
    server: Postgres,
    from: Database,
    authority: Authority,
    stranger: Authority,
}

impl Scene {
    /// A server with a certificate for these names.
    fn new(
        names: &[&str],
        options: fn(&syncline_testkit::certificates::Certificate) -> Options,
    ) -> Option<Self> {
        if left_out("postgres") {
            return None;
        }
        let authority = Authority::new();
        let server = Postgres::start(options(&authority.issue(names)));
        let from = server.database(&server.create_database());
        from.sql(SQL);
        Some(Scene { desk: Desk::new(), server, from, authority, stranger: Authority::new() })
    }

    fn url(&self, host: &str, options: &str) -> String {
        format!("postgres://postgres@{host}:{}/{}?{options}", self.server.port(), self.from.name())
            .replace("AUTHORITY", self.authority.path().to_str().expect("UTF-8"))
            .replace("STRANGER", self.stranger.path().to_str().expect("UTF-8"))
    }

    /// Reads over it, and looks at the server whether it was encrypted.
    fn reads(&self, host: &str, options: &str, encrypted: bool) {
        let name = format!("&application_name={}", if encrypted { "enc" } else { "plain" });
        let url = self.url(host, &format!("{options}{name}"));
        self.from.sql(
            "DROP TABLE IF EXISTS seen; CREATE TABLE seen (ssl boolean);
           CREATE OR REPLACE FUNCTION note() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.seen SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid(); RETURN 1; END $$",
        );
        // What is written to this end tells how its session came.
        self.from.sql("DROP TABLE IF EXISTS u; CREATE TABLE u (id int PRIMARY KEY);
           CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.note(); RETURN NULL; END $$;
           CREATE TRIGGER see AFTER INSERT ON u FOR EACH STATEMENT EXECUTE FUNCTION see()");
        self.desk.run(&["copy", &url, &url, "--stream", "t=u", "--write", "append"]).done();
        assert_eq!(self.from.sql("SELECT count(*) FROM u"), "100", "{options}");
        assert_eq!(
            self.from.sql("SELECT string_agg(DISTINCT ssl::text, ' ') FROM seen"),
            if encrypted { "true" } else { "false" },
            "{options}"
        );
    }

    fn refuses(&self, host: &str, options: &str, exit: i32, code: &str) -> crate::desk::Failed {
        let url = self.url(host, options);
        let ran = self.desk.run(&["copy", &url, "blackhole:", "--stream", "t"]);
        assert_eq!(ran.last()["code"], *code, "{host} {options}: {}", ran.finished);
        ran.failed(exit, code).hinted()
    }
}

#[test]
fn a_right_certificate_is_trusted_by_its_authority_only() {
    let Some(scene) = Scene::new(&["localhost", "127.0.0.1"], |certificate| Options::new().tls(certificate))
    else {
        return;
    };
    for host in ["localhost", "127.0.0.1"] {
        scene.reads(host, "tls=verify&tls_ca=AUTHORITY", true);
        scene.reads(host, "sslmode=verify-full&sslrootcert=AUTHORITY", true);
        scene.reads(host, "sslmode=verify-ca&sslrootcert=AUTHORITY", true);
        scene.refuses(host, "tls=verify&tls_ca=STRANGER", 1, "SYN-2005");
        scene.refuses(host, "sslmode=verify-ca&sslrootcert=STRANGER", 1, "SYN-2005");
        // The system trusts no private authority.
        scene.refuses(host, "tls=verify", 1, "SYN-2005");
    }
    scene.reads("127.0.0.1", "tls=require", true);
    scene.reads("127.0.0.1", "sslmode=require", true);
    scene.reads("127.0.0.1", "tls=disable", false);
    scene.reads("127.0.0.1", "sslmode=disable", false);
    // On this machine there is nobody in between.
    scene.reads("127.0.0.1", "sslmode=prefer", false);
    scene.reads("127.0.0.1", "connect_timeout=5", false);
    scene.refuses("db.invalid", "sslmode=prefer", 2, "SYN-1004").names(&["verify-full"]);
    scene.refuses("127.0.0.1", "sslmode=nonsense", 2, "SYN-1004").names(&["verify-full"]);
    scene.refuses("127.0.0.1", "sslmode=disable&tls=verify", 2, "SYN-1004");
    scene.refuses("127.0.0.1", "tls=verify&tls_ca=/no/such/file", 1, "SYN-2005").names(&["/no/such/file"]);
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_only_its_authority_is_asked_for() {
    let Some(scene) = Scene::new(&["db.example"], |certificate| Options::new().tls(certificate)) else {
        return;
    };
    for host in ["localhost", "127.0.0.1"] {
        scene.refuses(host, "tls=verify&tls_ca=AUTHORITY", 1, "SYN-2005");
        scene.refuses(host, "sslmode=verify-full&sslrootcert=AUTHORITY", 1, "SYN-2005");
        scene.refuses(host, "sslmode=verify-ca&sslrootcert=STRANGER", 1, "SYN-2005");
        scene.reads(host, "sslmode=verify-ca&sslrootcert=AUTHORITY", true);
        scene.reads(host, "tls=require", true);
    }
}

#[test]
fn a_server_that_wants_tls_or_has_none_is_told_apart() {
    let Some(scene) = Scene::new(&["127.0.0.1"], |certificate| Options::new().tls_only(certificate)) else {
        return;
    };
    scene.reads("127.0.0.1", "tls=verify&tls_ca=AUTHORITY", true);
    let refused = scene.refuses("127.0.0.1", "tls=disable", 1, "SYN-2002");
    refused.names(&["127.0.0.1"]);
    let plain = Postgres::start(Options::new());
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?tls=require", plain.port());
    scene.desk.run(&["copy", &url, "blackhole:"]).failed(1, "SYN-2005").hints("tls=disable");
}

#[test]
fn a_client_shows_its_certificate() {
    let Some(scene) =
        Scene::new(&["127.0.0.1"], |certificate| Options::new().client_certificates(certificate))
    else {
        return;
    };
    let own = |certificate: &syncline_testkit::certificates::Certificate| {
        format!(
            "tls=verify&tls_ca=AUTHORITY&tls_cert={}&tls_key={}",
            certificate.certificate.display(),
            certificate.key.display()
        )
    };
    let right = scene.authority.issue(&["postgres"]);
    scene.reads("127.0.0.1", &own(&right), true);
    scene.refuses("127.0.0.1", &own(&scene.authority.issue(&["somebody"])), 1, "SYN-2002");
    let ran = scene.desk.run(&["copy", &scene.url("127.0.0.1", "tls=verify&tls_ca=AUTHORITY"), "blackhole:"]);
    let code = ran.last()["code"].as_str().unwrap_or_default().to_owned();
    assert!(["SYN-2002", "SYN-2005"].contains(&code.as_str()), "{}", ran.finished);
    ran.failed(1, &code).hinted();
    let half = format!("tls=verify&tls_ca=AUTHORITY&tls_cert={}", right.certificate.display());
    scene.refuses("127.0.0.1", &half, 2, "SYN-1004").names(&["tls_key"]);
}
