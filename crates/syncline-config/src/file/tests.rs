//! Whole files and what they become.

use secrecy::ExposeSecret;
use syncline_connect::{Replace, Selection, WriteMode};
use syncline_types::StreamName;

use super::*;
use crate::{
    model::{Limits, OnError},
    secret::tests::fake,
};

fn parse(text: &str) -> Result<File> {
    File::parse(Path::new("syncline.yaml"), text)
}

/// Everything that a file can say.
pub(crate) const FULL: &str = r#"
mask_key: ${MASK}
connections:
  shop:
    url: "mysql://repl:${SHOP_PASSWORD}@127.0.0.1:3306/shop?tinyint1=int"
    options:
      zero_dates: null
      tls_ca: /etc/ca.pem
      retries: 3
  warehouse: "postgres://loader@127.0.0.1/dw"
pipelines:
  orders:
    from: shop
    to: warehouse
    sync: full
    write: merge
    key: [id]
    columns: [id, name]
    where: "id > 0"
    parallel: 8
    chunk_rows: 5000
    memory: 256MiB
    idle_timeout: 2m
    limits: { rows_per_second: 50k, bytes_per_second: 50MB }
    on_error: dead_letter
    allow_empty: true
    steps:
      - drop: [internal_note]
      - rename: { full_name: name }
      - cast: { amount: "numeric(10,2)" }
      - set: { total: "quantity * price", two: "2" }
      - filter: "amount > 0 and status <> 'void'"
      - mask: { email: hash, phone: redact, note: "null" }
    streams:
      - shop.order_*
      - name: shop.customers
        to: public.clients
        write: overwrite
        replace: in_place
        key: [a, b]
        columns: [a]
        where: a = 1
        steps: []
  copy: { from: "sqlite:a b.db", to: warehouse }
"#;

#[test]
fn a_full_file_becomes_its_pipelines() {
    let file = parse(FULL).unwrap();
    assert_eq!(file.pipeline_names().collect::<Vec<_>>(), ["orders", "copy"]);
    assert_eq!(file.connection_names().collect::<Vec<_>>(), ["shop", "warehouse"]);
    let secrets = fake(&[("SHOP_PASSWORD", "p@ss/"), ("MASK", "m")], &[]);
    let pipelines = file.pipelines(&[], &secrets).unwrap();
    let [orders, copy] = pipelines.as_slice() else { panic!("{pipelines:?}") };

    assert_eq!((orders.id.as_str(), orders.from_name.as_deref()), ("orders", Some("shop")));
    assert_eq!(
        orders.from.to_string(),
        "mysql://repl@127.0.0.1:3306/shop?retries=3&tinyint1=int&tls_ca=/etc/ca.pem&zero_dates=null"
    );
    assert_eq!(orders.from.password.as_ref().unwrap().expose_secret(), "p@ss/");
    assert_eq!(orders.to.to_string(), "postgres://loader@127.0.0.1/dw");
    assert_eq!(orders.mask_key.as_ref().unwrap().expose_secret(), "m");
    assert_eq!(
        (orders.parallel, orders.chunk_rows, orders.memory_bytes, orders.idle_seconds),
        (8, 5_000, 256 << 20, 120)
    );
    let limits = Limits { rows_per_second: Some(50_000), bytes_per_second: Some(50_000_000) };
    assert_eq!((orders.limits, orders.on_error, orders.allow_empty), (limits, OnError::DeadLetter, true));

    let [pattern, customers] = orders.streams.as_slice() else { panic!("{:?}", orders.streams) };
    assert_eq!(pattern.selection, Selection::Glob("shop.order_*".into()));
    assert_eq!((pattern.write, pattern.write_said, pattern.line), (WriteMode::Merge, true, Some(35)));
    assert_eq!((pattern.key.as_slice(), pattern.columns.len()), (&["id".to_owned()][..], 2));
    assert_eq!((pattern.filter.as_deref(), pattern.steps.len()), (Some("id > 0"), 6));
    assert_eq!(customers.selection, Selection::Name(StreamName::new("shop", "customers")));
    assert_eq!(customers.to, Some(StreamName::new("public", "clients")));
    assert_eq!((customers.write, customers.replace), (WriteMode::Overwrite, Replace::InPlace));
    assert_eq!((customers.key.len(), customers.columns.len()), (2, 1));
    assert_eq!((customers.filter.as_deref(), customers.steps.len()), (Some("a = 1"), 0));
    assert_eq!(customers.line, Some(36));

    assert_eq!((copy.from_name.as_deref(), copy.to_name.as_deref()), (None, Some("warehouse")));
    assert_eq!(copy.from.to_string(), "sqlite:a b.db");
}

#[test]
fn what_is_not_said_has_a_default() {
    let file = parse("pipelines: { p: { from: 'a1:x', to: 'b1:' } }").unwrap();
    let pipelines = file.pipelines(&[], &fake(&[], &[])).unwrap();
    let [pipeline] = pipelines.as_slice() else { panic!("{pipelines:?}") };
    assert_eq!(
        (pipeline.parallel, pipeline.chunk_rows, pipeline.memory_bytes, pipeline.idle_seconds),
        (4, 100_000, 64 << 20, 60)
    );
    assert_eq!((pipeline.limits, pipeline.on_error, pipeline.allow_empty), Default::default());
    assert!(pipeline.mask_key.is_none());
    let [choice] = pipeline.streams.as_slice() else { panic!("{:?}", pipeline.streams) };
    assert_eq!((&choice.selection, &choice.to, choice.line), (&Selection::Default, &None, None));
    assert_eq!(
        (choice.write, choice.write_said, choice.replace),
        (WriteMode::Overwrite, false, Replace::Auto)
    );
    assert!(choice.key.is_empty() && choice.columns.is_empty() && choice.steps.is_empty());
    assert_eq!(choice.filter, None);
}

#[test]
fn only_the_secrets_of_chosen_pipelines_are_needed() {
    let file = parse(
        "mask_key: ${MASK}\nconnections:\n  a: \"pg://u:${A}@h\"\n  b: b1:x\npipelines:\n  one: {from: a, to: b}\n  two: {from: b, to: b}\n",
    )
    .unwrap();
    let none = fake(&[("SYNCLINE_MASK_KEY", "")], &[]);
    let ids = |names: &[&str], secrets: &dyn Secrets| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        file.pipelines(&names, secrets).map(|found| found.iter().map(|p| p.id.clone()).collect::<Vec<_>>())
    };
    assert_eq!(ids(&["two"], &none).unwrap(), ["two"]);
    assert_eq!(ids(&["two", "one", "two"], &fake(&[("A", "x")], &[])).unwrap(), ["one", "two"]);
    assert_eq!(
        ids(&[], &none).unwrap_err().to_string(),
        "could not read syncline.yaml:3:6: connection `a`: the environment variable `A` is not set, and the \
         password needs it. Set it, or name a file with ${file:PATH} [SYN-1005]"
    );
    assert_eq!(
        ids(&["twoo"], &none).unwrap_err().to_string(),
        "could not find pipeline `twoo`: syncline.yaml has no pipeline of that name. Did you mean `two`? [SYN-1001]"
    );
    assert_eq!(file.endpoint("b", &none).unwrap().to_string(), "b1:x");
    assert_eq!(
        file.endpoint("zzz", &none).unwrap_err().to_string(),
        "could not find connection `zzz`: syncline.yaml has no connection of that name. There is: a, b [SYN-1001]"
    );
}

#[test]
fn the_mask_key_is_in_the_file_or_the_environment() {
    let key = |line: &str, environment: &[(&'static str, &str)]| {
        let masks = "steps: [{mask: {a: hash}}]";
        let file = parse(&format!("{line}\npipelines: {{ p: {{ from: 'a1:', to: 'b1:', {masks} }} }}"))?;
        let pipelines = file.pipelines(&[], &fake(environment, &[("/k", "from file\n")]))?;
        Ok(pipelines[0].mask_key.as_ref().map(|key| key.expose_secret().to_owned()))
    };
    let error = |found: Result<Option<String>>| found.unwrap_err().to_string();
    assert_eq!(key("", &[]).unwrap(), None);
    assert_eq!(key("", &[("SYNCLINE_MASK_KEY", "e")]).unwrap().as_deref(), Some("e"));
    assert_eq!(key("mask_key: f", &[("SYNCLINE_MASK_KEY", "e")]).unwrap().as_deref(), Some("f"));
    assert_eq!(key("mask_key: 0123", &[]).unwrap().as_deref(), Some("0123"));
    assert_eq!(key("mask_key: ${file:/k}", &[]).unwrap().as_deref(), Some("from file"));
    assert_eq!(
        error(key("", &[("SYNCLINE_MASK_KEY", "")])),
        "could not read the mask key: the environment variable `SYNCLINE_MASK_KEY` is empty [SYN-1005]"
    );
    assert_eq!(
        error(key("mask_key: ''", &[])),
        "could not read syncline.yaml:1:11: `mask_key`: the key is empty [SYN-1004]"
    );
    assert_eq!(
        error(key("mask_key: ${K}", &[])),
        "could not read syncline.yaml:1:11: `mask_key`: the environment variable `K` is not set. \
         Set it, or name a file with ${file:PATH} [SYN-1005]"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let message = |name: &str| {
        let error = File::read(&path(name)).unwrap_err();
        assert_eq!(error.code(), &codes::BAD_FILE);
        error.to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    assert_eq!(
        message("none.yaml"),
        "could not read DIR/none.yaml: there is no such file. A connection would begin with its scheme, such \
         as `sqlite:` [SYN-1002]"
    );
    assert_eq!(message("."), "could not read DIR/.: it is a folder [SYN-1002]");
    fs::write(path("latin.yaml"), b"a: 1\nb: \xe4\n").unwrap();
    assert_eq!(message("latin.yaml"), "could not read DIR/latin.yaml: line 2 is not UTF-8 [SYN-1002]");
    fs::write(path("big.yaml"), " ".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(
        message("big.yaml"),
        "could not read DIR/big.yaml: it has more than 1048576 bytes. Is it the right file? [SYN-1002]"
    );
    fs::write(path("good.yaml"), FULL).unwrap();
    assert_eq!(File::read(&path("good.yaml")).unwrap().path(), path("good.yaml"));
}
