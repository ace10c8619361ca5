//! Pipelines from the command line.

use syncline_types::StreamName;

use super::*;
use crate::secret::tests::fake;

fn args() -> CopyArgs {
    CopyArgs { from: "sqlite:shop.db".into(), to: "pg://u:pw@h/dw".into(), ..CopyArgs::default() }
}

fn pipeline(args: &CopyArgs) -> Result<Pipeline> {
    args.pipeline(&fake(&[("PW", "secret"), ("OTHER", "other"), ("HOST", "h")], &[]))
}

#[test]
fn arguments_become_a_pipeline() {
    let made = pipeline(&CopyArgs {
        streams: vec!["shop.orders=public.o".into(), "a_*".into(), "\"x=y\"=\"a.b\"".into()],
        write: Some(WriteMode::Merge),
        sync: Some("full".into()),
        key: vec!["id".into()],
        columns: vec!["id".into(), "name".into()],
        filter: Some("id > 0".into()),
        parallel: Some(2),
        chunk_rows: Some(10),
        memory: Some("1GiB".into()),
        idle_timeout: Some("5m".into()),
        limit_rows: Some("50k/s".into()),
        limit_bytes: Some("50MB".into()),
        on_error: Some(OnError::DeadLetter),
        allow_empty: true,
        name: Some("nightly".into()),
        ..args()
    })
    .unwrap();
    assert_eq!((made.id.as_str(), made.from.to_string().as_str()), ("nightly", "sqlite:shop.db"));
    assert_eq!((made.from_name, made.to_name), (None, None));
    assert!(made.mask_key.is_none());
    assert_eq!((made.parallel, made.chunk_rows, made.memory_bytes, made.idle_seconds), (2, 10, 1 << 30, 300));
    assert_eq!(made.limits.rows_per_second.zip(made.limits.bytes_per_second), Some((50_000, 50_000_000)));
    assert_eq!((made.on_error, made.allow_empty), (OnError::DeadLetter, true));
    let chosen: Vec<_> = made.streams.iter().map(|s| (s.selection.clone(), s.to.clone())).collect();
    assert_eq!(
        chosen,
        [
            (Selection::Name(StreamName::new("shop", "orders")), Some(StreamName::new("public", "o"))),
            (Selection::Glob("a_*".into()), None),
            (Selection::Name(StreamName::bare("x=y")), Some(StreamName::bare("a.b"))),
        ]
    );
    for choice in &made.streams {
        assert_eq!((choice.write, choice.write_said, choice.line), (WriteMode::Merge, true, None));
        assert_eq!((choice.key.len(), choice.columns.len()), (1, 2));
        assert_eq!(choice.filter.as_deref(), Some("id > 0"));
    }
}

#[test]
fn without_streams_there_is_one_choice_of_all() {
    let made = pipeline(&CopyArgs { replace: Some(Replace::InPlace), ..args() }).unwrap();
    let [choice] = made.streams.as_slice() else { panic!("{:?}", made.streams) };
    assert_eq!((&choice.selection, choice.write), (&Selection::Default, WriteMode::Overwrite));
    assert_eq!((choice.write_said, choice.replace), (false, Replace::InPlace));
}

#[test]
fn mistakes_name_their_option() {
    for (args, expected) in [
        (
            CopyArgs { from: "shop.db".into(), ..args() },
            "`FROM`: it is no connection. A connection begins with its scheme, such as `sqlite:shop.db` or \
             `postgres://user@host/database` [SYN-1001]",
        ),
        (
            CopyArgs { to: "pg://u:hunter2@x@h".into(), ..args() },
            "`TO`: the URL holds an `@` that could mean another host. In a user or password write @ as %40, \
             / as %2F, ? as %3F and # as %23, or put the whole of it into ${NAME} [SYN-1007]",
        ),
        (
            CopyArgs { to: "pg://u:${NO}@h".into(), ..args() },
            "`TO`: the environment variable `NO` is not set, and the password needs it. Set it, or name a \
             file with ${file:PATH} [SYN-1005]",
        ),
        (
            CopyArgs { sync: Some("folow".into()), ..args() },
            "`--sync`: there is no `folow`. Did you mean `follow`? [SYN-1004]",
        ),
        (CopyArgs { parallel: Some(100), ..args() }, "`--parallel`: 100 is not between 1 and 64 [SYN-1004]"),
        (
            CopyArgs { chunk_rows: Some(0), ..args() },
            "`--chunk-rows`: 0 is not between 1 and 10000000 [SYN-1004]",
        ),
        (
            CopyArgs { limit_rows: Some("x".into()), ..args() },
            "`--limit-rows`: `x` is no number of rows per second. It looks like 50000 or 50k [SYN-1004]",
        ),
        (
            CopyArgs { limit_bytes: Some("0".into()), ..args() },
            "`--limit-bytes`: a limit of 0 would let nothing through. Leave it out for no limit [SYN-1004]",
        ),
        (
            CopyArgs { name: Some("a/b".into()), ..args() },
            "`--name`: a name has only letters from a to z, digits, `_`, `-` and `.` [SYN-1004]",
        ),
        (
            CopyArgs { key: vec!["a".into(), "a".into()], ..args() },
            "`--key`: the column `a` is listed twice [SYN-1004]",
        ),
        (CopyArgs { filter: Some(String::new()), ..args() }, "`--where`: the condition is empty [SYN-1004]"),
        (
            CopyArgs { streams: vec!["a=".into()], ..args() },
            "`--stream`: `a=` names no target after the `=`. Leave the `=` out for the same name [SYN-1004]",
        ),
        (
            CopyArgs { streams: vec!["=b".into()], ..args() },
            "`--stream`: `` is no stream's name: a part of the name is empty. Names look like orders, \
             shop.orders or \"a.b\".orders [SYN-1004]",
        ),
        (
            CopyArgs { streams: vec!["a*=b".into()], ..args() },
            "`--stream`: `a*` may match many streams, which cannot all become one table. Leave the target \
             out, or name the streams one by one [SYN-1004]",
        ),
        (
            CopyArgs { write: Some(WriteMode::Append), replace: Some(Replace::Auto), ..args() },
            "`--replace`: it says how an overwrite is published, and nothing is overwritten here. Remove it, \
             or overwrite [SYN-1004]",
        ),
    ] {
        let message =
            pipeline(&args).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error.to_string());
        assert_eq!(message, format!("could not use {expected}"));
    }
}

fn incremental() -> CopyArgs {
    CopyArgs { sync: Some("incremental".into()), cursor: Some("id".into()), ..args() }
}

#[test]
fn incremental_runs_merge_unless_told_otherwise() {
    let made = pipeline(&CopyArgs { lookback: Some("10m".into()), ..incremental() }).unwrap();
    assert_eq!((made.sync, made.lookback.as_deref()), (Sync::Incremental, Some("10m")));
    let choice = &made.streams[0];
    assert_eq!((choice.cursor.as_deref(), choice.write), (Some("id"), WriteMode::Merge));
    let made = pipeline(&CopyArgs { write: Some(WriteMode::Append), ..incremental() }).unwrap();
    assert_eq!(made.streams[0].write, WriteMode::Append);
    // What belongs to merges needs no word about merging.
    let deleting = CopyArgs { deletes: Some(Deletes::Apply), ..incremental() };
    assert_eq!(pipeline(&deleting).unwrap().streams[0].deletes, Deletes::Apply);
    assert!(pipeline(&CopyArgs { write: Some(WriteMode::Append), ..deleting }).is_err());
}

/// Ids that runs in state directories are found by: they must never change.
#[test]
fn ids_stay_what_they_are() {
    for (args, expected) in [
        (args(), "copy-d23155a045aa"),
        (
            CopyArgs {
                from: "mysql://u@h:3306/shop?tinyint1=int".into(),
                streams: vec!["shop.orders=o".into(), "a*".into()],
                write: Some(WriteMode::Merge),
                key: vec!["id".into()],
                filter: Some("id > 0".into()),
                ..args()
            },
            "copy-18d1c93a6a5f",
        ),
        (incremental(), "copy-d5b731cff415"),
    ] {
        assert_eq!(pipeline(&args).unwrap().id, expected);
    }
}

#[test]
fn an_id_is_made_of_what_is_copied_and_not_of_how() {
    let base = pipeline(&args()).unwrap().id;
    let id = |args: CopyArgs| pipeline(&args).unwrap().id;
    let same = [
        CopyArgs { to: "pg://u:${PW}@h/dw".into(), ..args() },
        CopyArgs { to: "PG://u:${OTHER}@${HOST}/dw".into(), ..args() },
        CopyArgs { to: "pg://u@h/dw?password=x".into(), ..args() },
        CopyArgs { to: "pg://u@h/dw?api_token=x".into(), ..args() },
        CopyArgs { write: Some(WriteMode::Overwrite), ..args() },
        CopyArgs { sync: Some("full".into()), ..args() },
        CopyArgs { parallel: Some(1), chunk_rows: Some(1), limit_rows: Some("1".into()), ..args() },
        CopyArgs { on_error: Some(OnError::DeadLetter), allow_empty: true, ..args() },
        CopyArgs { columns: vec!["a".into()], ..args() },
    ];
    for (at, same) in same.into_iter().enumerate() {
        assert_eq!(id(same), base, "number {at}");
    }
    let others = [
        CopyArgs { from: "sqlite:shop2.db".into(), ..args() },
        CopyArgs { from: "pg://u:pw@h/dw".into(), to: "sqlite:shop.db".into(), ..args() },
        CopyArgs { to: "pg://v:pw@h/dw".into(), ..args() },
        CopyArgs { to: "pg://u:pw@h:1/dw".into(), ..args() },
        CopyArgs { to: "pg://u:pw@h/dw?schema=x".into(), ..args() },
        CopyArgs { streams: vec!["a".into()], ..args() },
        CopyArgs { streams: vec!["a".into(), "b".into()], ..args() },
        CopyArgs { streams: vec!["a=b".into()], ..args() },
        CopyArgs { streams: vec!["a*".into()], ..args() },
        CopyArgs { write: Some(WriteMode::Append), ..args() },
        CopyArgs { key: vec!["a".into()], ..args() },
        CopyArgs { key: vec!["a".into(), "b".into()], ..args() },
        CopyArgs { filter: Some("a".into()), ..args() },
        incremental(),
    ];
    for (at, other) in others.into_iter().enumerate() {
        assert_ne!(id(other), base, "number {at}");
    }
    let base = id(incremental());
    assert_eq!(id(CopyArgs { lookback: Some("5".into()), ..incremental() }), base);
    assert_ne!(id(CopyArgs { cursor: Some("other".into()), ..incremental() }), base);
    assert_ne!(id(CopyArgs { write: Some(WriteMode::Append), ..incremental() }), base);
}
