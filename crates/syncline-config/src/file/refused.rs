//! Every way in which a file is refused, with the line.

use std::path::Path;

use proptest::prelude::*;

use super::File;

fn parse(text: &str) -> syncline_types::Result<File> {
    File::parse(Path::new("syncline.yaml"), text)
}

/// The message of a file that is refused, without "could not read ".
#[track_caller]
fn refused(text: &str, expected: &str) {
    let message = parse(text).map(|_| "accepted".to_owned()).unwrap_or_else(|error| error.to_string());
    assert_eq!(message.strip_prefix("could not read ").unwrap_or(&message), expected, "{text}");
}

/// A file whose pipeline `p` has these further lines; the first of them is line 8, column 5.
fn with(lines: &str) -> String {
    let head = "connections:\n  shop: sqlite:shop.db\n  ware: pg://h/dw\npipelines:\n  p:\n    from: shop\n    to: ware\n";
    lines.lines().fold(head.to_owned(), |text, line| text + "    " + line + "\n")
}

#[test]
fn texts_that_are_no_pipeline_file() {
    refused("", "syncline.yaml: it is empty [SYN-1002]");
    refused("# nothing\n", "syncline.yaml: it is empty [SYN-1002]");
    refused("hello", "syncline.yaml:1:1: the file: this is a text, and must be a map [SYN-1004]");
    refused("[1]", "syncline.yaml:1:1: the file: this is a list, and must be a map [SYN-1004]");
    refused("{}", "syncline.yaml:1:1: the file has no `pipelines` [SYN-1004]");
    refused("pipelines: {}", "syncline.yaml:1:12: `pipelines`: there is no pipeline [SYN-1004]");
    refused(
        "pipelines:\n",
        "syncline.yaml:1:1: `pipelines` has no value. Give it one, or leave the key out [SYN-1004]",
    );
    refused(
        "pipelines: [a]",
        "syncline.yaml:1:12: `pipelines`: this is a list, and must be a map of names [SYN-1004]",
    );
    refused("a: 1\na: 2\n", "syncline.yaml:2:1: the key `a` stands in this map twice [SYN-1002]");
    refused(
        "pipelines:\n  p: {}\n  p: {}\n",
        "syncline.yaml:3:3: the key `p` stands in this map twice [SYN-1002]",
    );
    refused(
        &with("where: a: b"),
        "syncline.yaml:8:13: mapping values are not allowed in this context. Put texts with `: `, ` #` or a \
         leading `*`, `@`, `[` or `{` into quotes [SYN-1002]",
    );
    refused(
        &with("streams: [*_log]"),
        "syncline.yaml:8:15: a text that begins with `*` refers to an anchor, and there is none. Put a \
         pattern that begins with `*` into quotes [SYN-1002]",
    );
}

#[test]
fn unknown_keys() {
    refused(
        "pipelines: {}\nconections: {}\n",
        "syncline.yaml:2:1: unknown key `conections` in the file. Did you mean `connections`? [SYN-1003]",
    );
    refused(
        "connections:\n  a:\n    url: b1:x\n    optoins: {}\npipelines: {}",
        "syncline.yaml:4:5: unknown key `optoins` in connection `a`. Did you mean `options`? [SYN-1003]",
    );
    refused(
        &with("stream: [a]"),
        "syncline.yaml:8:5: unknown key `stream` in pipeline `p`. Did you mean `streams`? [SYN-1003]",
    );
    refused(
        &with("limits:\n  rows: 5"),
        "syncline.yaml:9:7: unknown key `rows` in `limits` of pipeline `p`. Did you mean `rows_per_second`? [SYN-1003]",
    );
    refused(
        &with("streams:\n  - a\n  - name: b\n    colums: [x]\n"),
        "syncline.yaml:11:9: unknown key `colums` in stream 2 of pipeline `p`. Did you mean `columns`? [SYN-1003]",
    );
    refused(
        &with("streams: [{name: a, zzzzz: 1}]"),
        "syncline.yaml:8:25: unknown key `zzzzz` in stream 1 of pipeline `p`. There is: name, to, write, \
         cursor, key, columns, where, steps, replace, deletes [SYN-1003]",
    );
    // The key is found also where it came by a merge key.
    refused(
        "pipelines:\n  a: &a\n    from: a1:x\n    too: b1:x\n  b:\n    <<: *a\n",
        "syncline.yaml:4:5: unknown key `too` in pipeline `a`. Did you mean `to`? [SYN-1003]",
    );
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    refused(
        &with("schedule: x"),
        "syncline.yaml:8:5: `schedule` in pipeline `p` belongs to pipelines that start by themselves, which this \
         version does not have. Remove it [SYN-1003]",
    );
    refused(
        &with("sync: follow\nwrite: append\ndeletes: soft"),
        "syncline.yaml:10:14: `deletes` of pipeline `p`: in a log of changes a deletion is a row of its own, and no \
         row is marked. Leave it out, or merge [SYN-1004]",
    );
    refused(
        &with("stall_after: 60s"),
        "syncline.yaml:8:18: `stall_after` of pipeline `p`: it is about following changes, and this pipeline does \
         not. Remove it, or write sync: follow (--sync follow) [SYN-1004]",
    );
    refused(
        &with("sync: follow\nover_budget: release"),
        "syncline.yaml:9:18: `over_budget` of pipeline `p`: there is no budget that could be exceeded. Name one with \
         --log-budget SIZE (log_budget: SIZE) [SYN-1004]",
    );
    refused(
        &with("sync: follow\ncursor: id"),
        "syncline.yaml:9:13: `cursor` of pipeline `p`: it belongs to incremental runs, and here every change is \
         followed. Remove it, or make the runs incremental [SYN-1004]",
    );
    refused(
        &with("sync: ful"),
        "syncline.yaml:8:11: `sync` of pipeline `p`: there is no `ful`. Did you mean `full`? [SYN-1004]",
    );
}

#[test]
fn incremental_runs_need_a_cursor_and_full_ones_have_none() {
    let needs = "syncline.yaml:8:11: `sync` of pipeline `p`: incremental runs need a cursor, and it is not \
        guessed. Name a column that is set to a higher value whenever a row changes, with --cursor COL \
        (cursor: COL) [SYN-1004]";
    refused(&with("sync: incremental"), needs);
    refused(&with("sync: incremental\nstreams: [{name: a, cursor: id}, b]"), needs);
    assert!(parse(&with("sync: incremental\nstreams: [{name: a, cursor: id}]")).is_ok());
    assert!(
        parse(&with("sync: incremental\ncursor: id\nlookback: 100\nstreams: [a, {name: b, write: append}]"))
            .is_ok()
    );
    let full = "it belongs to incremental runs, and these are full copies. Remove it, or make the runs \
        incremental [SYN-1004]";
    refused(&with("cursor: id"), &format!("syncline.yaml:8:13: `cursor` of pipeline `p`: {full}"));
    refused(
        &with("sync: full\nstreams: [{name: a, cursor: id}]"),
        &format!("syncline.yaml:9:33: `cursor` of stream 1 of pipeline `p`: {full}"),
    );
    refused(&with("lookback: 1h"), &format!("syncline.yaml:8:15: `lookback` of pipeline `p`: {full}"));
    let overwrite = "an incremental run reads a part of the rows, which cannot replace all others. Merge or \
        append, or make the runs full [SYN-1004]";
    refused(
        &with("sync: incremental\ncursor: id\nwrite: overwrite"),
        &format!("syncline.yaml:10:12: `write` of pipeline `p`: {overwrite}"),
    );
    refused(
        &with("sync: incremental\ncursor: id\nstreams: [{name: a, write: overwrite}]"),
        &format!("syncline.yaml:10:32: `write` of stream 1 of pipeline `p`: {overwrite}"),
    );
    refused(
        &with("sync: incremental\ncursor: ''"),
        "syncline.yaml:9:13: `cursor` of pipeline `p`: the column's name is empty [SYN-1004]",
    );
    refused(
        &with("sync: incremental\ncursor: id\nlookback: soon"),
        "syncline.yaml:10:15: `lookback` of pipeline `p`: `soon` is nothing to look back by. It looks like \
         30s, 10m, 2h or 1d for times, and like 100 for numbers [SYN-1004]",
    );
}

#[test]
fn missing_keys_and_values() {
    refused(
        "pipelines:\n  # first\n  p:\n    from: a1:x\n",
        "syncline.yaml:3:3: pipeline `p` has no `to` [SYN-1004]",
    );
    refused(
        "connections:\n  a: {}\npipelines: {p: {from: a, to: a}}",
        "syncline.yaml:2:3: connection `a` has no `url` [SYN-1004]",
    );
    refused(
        &with("streams:\n  - a\n  - to: x\n"),
        "syncline.yaml:10:9: stream 2 of pipeline `p` has no `name` [SYN-1004]",
    );
    for key in ["where", "parallel", "streams", "write", "steps", "memory", "limits", "allow_empty"] {
        refused(
            &with(&format!("{key}:\non_error: stop")),
            &format!(
                "syncline.yaml:8:5: `{key}` of pipeline `p` has no value. Give it one, or leave the key out [SYN-1004]"
            ),
        );
    }
    refused(
        "connections:\n  a:\n    url: b1:x\n    options:\n      x:\npipelines: {p: {from: a, to: a}}",
        "syncline.yaml:5:7: `x` of `options` of connection `a` has no value. Give it one, or leave the key out [SYN-1004]",
    );
}

#[test]
fn values_of_the_wrong_type() {
    for (lines, expected) in [
        (
            "parallel: four",
            "8:15: `parallel` of pipeline `p`: this is a text, and must be a whole number, 0 or more",
        ),
        (
            "parallel: -1",
            "8:15: `parallel` of pipeline `p`: this is the number -1, and must be a whole number, 0 or more",
        ),
        (
            "parallel: 1.5",
            "8:15: `parallel` of pipeline `p`: this is the number 1.5, and must be a whole number, 0 or more",
        ),
        ("streams: shop", "8:14: `streams` of pipeline `p`: this is a text, and must be a list"),
        ("streams: [[a]]", "8:15: stream 1 of pipeline `p`: this is a list, and must be a text or a map"),
        ("streams: [5]", "8:15: stream 1 of pipeline `p`: this is the number 5, and must be a text or a map"),
        ("key: id", "8:10: `key` of pipeline `p`: this is a text, and must be a list"),
        ("key: [[a]]", "8:11: item 1 of `key` of pipeline `p`: this is a list, and must be a text"),
        (
            "allow_empty: yes",
            "8:18: `allow_empty` of pipeline `p`: this is a text, and must be `true` or `false`",
        ),
        ("limits: 5", "8:13: `limits` of pipeline `p`: this is the number 5, and must be a map"),
        ("where: [a]", "8:12: `where` of pipeline `p`: this is a list, and must be a text"),
        (
            "write: [a]",
            "8:12: `write` of pipeline `p`: this is a list, and must be one of: overwrite, append, merge",
        ),
    ] {
        refused(&with(lines), &format!("syncline.yaml:{expected} [SYN-1004]"));
    }
    refused(
        "connections: pg://u:hunter2@h\npipelines: {}",
        "syncline.yaml:1:14: `connections`: this is a text, and must be a map of names [SYN-1004]",
    );
}

#[test]
fn values_that_cannot_be() {
    for (lines, expected) in [
        ("write: mrege", "8:12: `write` of pipeline `p` cannot be `mrege`. Did you mean `merge`?"),
        ("write: xxx", "8:12: `write` of pipeline `p` cannot be `xxx`. There is: overwrite, append, merge"),
        (
            "on_error: dead-letter",
            "8:15: `on_error` of pipeline `p` cannot be `dead-letter`. Did you mean `dead_letter`?",
        ),
        ("parallel: 0", "8:15: `parallel` of pipeline `p`: 0 is not between 1 and 64"),
        ("parallel: 65", "8:15: `parallel` of pipeline `p`: 65 is not between 1 and 64"),
        ("chunk_rows: 0", "8:17: `chunk_rows` of pipeline `p`: 0 is not between 1 and 10000000"),
        ("memory: 1MB", "8:13: `memory` of pipeline `p`: 1000000 is not between 16777216 and 1099511627776"),
        ("memory: 1000", "8:13: `memory` of pipeline `p`: 1000 is not between 16777216 and 1099511627776"),
        (
            "memory: 64M",
            "8:13: `memory` of pipeline `p`: `64M` is no size. Write MB for millions of bytes or MiB for 1,048,576",
        ),
        (
            "idle_timeout: soon",
            "8:19: `idle_timeout` of pipeline `p`: `soon` is no duration. Durations look like 90s, 2m, 1h or 90",
        ),
        ("idle_timeout: 0", "8:19: `idle_timeout` of pipeline `p`: 0 is not between 1 and 86400"),
        (
            "limits:\n  bytes_per_second: fast",
            "9:25: `bytes_per_second` of `limits` of pipeline `p`: `fast` is no size. Sizes look like 50MB \
             (50,000,000 bytes), 64MiB or 1048576",
        ),
        (
            "limits:\n  rows_per_second: 0",
            "9:24: `rows_per_second` of `limits` of pipeline `p`: a limit of 0 would let nothing through. Leave \
             it out for no limit",
        ),
        (
            "streams: []",
            "8:14: `streams` of pipeline `p`: the list is empty. Without `streams`, all tables of the default \
             namespace are copied",
        ),
        ("key: []", "8:10: `key` of pipeline `p`: the list is empty"),
        ("columns: []", "8:14: `columns` of pipeline `p`: the list is empty"),
        ("steps: []", "8:12: `steps` of pipeline `p`: the list is empty"),
        ("key: [a, b, a]", "8:17: item 3 of `key` of pipeline `p`: the column `a` is listed twice"),
        ("columns: [a, '']", "8:18: item 2 of `columns` of pipeline `p`: the column's name is empty"),
        ("where: ' '", "8:12: `where` of pipeline `p`: the condition is empty"),
        (
            "streams:\n  - a.b.c",
            "9:9: stream 1 of pipeline `p`: `a.b.c` is no stream's name: a stream name has at most two parts, \
             `namespace.table`. Names look like orders, shop.orders or \"a.b\".orders",
        ),
        (
            "streams:\n  - {name: a, to: b..c}",
            "9:23: `to` of stream 1 of pipeline `p`: `b..c` is no stream's name: a part of the name is empty. \
             Names look like orders, shop.orders or \"a.b\".orders",
        ),
        (
            "streams:\n  - name: a*\n    to: b",
            "10:13: `to` of stream 1 of pipeline `p`: `a*` may match many streams, which cannot all become one \
             table. Leave the target out, or name the streams one by one",
        ),
        ("streams:\n  - {name: a, key: []}", "9:24: `key` of stream 1 of pipeline `p`: the list is empty"),
        (
            "streams:\n  - {name: a, steps: []}",
            "9:26: `steps` of stream 1 of pipeline `p`: the list is empty. An empty list is for a stream that \
             shall not have the pipeline's steps",
        ),
        (
            "write: append\nreplace: in_place",
            "9:14: `replace` of pipeline `p`: it says how an overwrite is published, and nothing is \
             overwritten here. Remove it, or overwrite",
        ),
        (
            "streams:\n  - a\n  - {name: b, write: merge, replace: auto}",
            "10:42: `replace` of stream 2 of pipeline `p`: it says how an overwrite is published, and nothing \
             is overwritten here. Remove it, or overwrite",
        ),
    ] {
        refused(&with(lines), &format!("syncline.yaml:{expected} [SYN-1004]"));
    }
}

#[test]
fn steps() {
    for (lines, expected) in [
        (
            "steps:\n  - fliter: a",
            "9:9: step 1 of pipeline `p`: there is no step `fliter`, did you mean `filter`?",
        ),
        (
            "steps:\n  - drop: [a]\n  - enrich: x",
            "10:9: step 2 of pipeline `p`: there is no step `enrich`; there are rename, drop, cast, set, filter, mask, validate",
        ),
        (
            "streams:\n  - name: a\n    steps:\n      - mask: {b: hsah}",
            "11:23: `b` of `mask` of step 1 of stream 1 of pipeline `p`: there is no mask `hsah`, did you mean `hash`?",
        ),
        (
            "steps:\n  - mask:\n      a: null",
            "10:14: `a` of `mask` of step 1 of pipeline `p`: the mask `null` is written in quotes: \"null\"",
        ),
        ("steps:\n  - drop: a", "9:15: `drop` of step 1 of pipeline `p`: this is a text, and must be a list"),
        (
            "steps:\n  - set: {a: }",
            "9:15: `a` of `set` of step 1 of pipeline `p` has no value. Give it one, or leave the key out",
        ),
        (
            "steps: [{drop: [a], filter: b}]",
            "8:13: step 1 of pipeline `p`: a step has one key, and here `filter` follows `drop`: write each step \
             as an item of its own",
        ),
        (
            "steps: [filter]",
            "8:13: step 1 of pipeline `p`: this is a text, and must be a step, a map with one of the keys rename, \
             drop, cast, set, filter, mask, validate",
        ),
    ] {
        refused(&with(lines), &format!("syncline.yaml:{expected} [SYN-1004]"));
    }
}

#[test]
fn connections_and_names() {
    let ends = |from: &str| {
        format!(
            "connections:\n  shop: a1:x\n  ware: b1:x\npipelines:\n  p:\n    to: ware\n    from: {from}\n"
        )
    };
    refused(
        &ends("shpo"),
        "syncline.yaml:7:11: `from` of pipeline `p`: there is no connection `shpo`. Did you mean `shop`? [SYN-1004]",
    );
    refused(
        &ends("zzz"),
        "syncline.yaml:7:11: `from` of pipeline `p`: there is no connection `zzz`. There is: shop, ware [SYN-1004]",
    );
    refused(
        &ends("//u:hunter2@h"),
        "syncline.yaml:7:11: `from` of pipeline `p`: this is neither the name of a connection nor a URL. A URL \
         begins with its scheme, such as `postgres://` [SYN-1004]",
    );
    refused(
        "pipelines: {p: {from: shop, to: shop}}",
        "syncline.yaml:1:23: `from` of pipeline `p`: there is no connection `shop`. Define it under \
         `connections`, or write a URL [SYN-1004]",
    );
    refused(
        &ends("pg://u:hunter2/@h"),
        "syncline.yaml:7:11: `from` of pipeline `p`: the URL holds an `@` that could mean another host. In a \
         user or password write @ as %40, / as %2F, ? as %3F and # as %23, or put the whole of it into ${NAME} \
         [SYN-1007]",
    );
    refused(
        "connections:\n  a:\n    url: pg://h:x/d\npipelines: {}",
        "syncline.yaml:3:10: `url` of connection `a`: the port is not a number from 1 to 65535 [SYN-1007]",
    );
    refused(
        "connections:\n  a: {url: 'pg://h/d?a=1', options: {a: 2}}\npipelines: {}",
        "syncline.yaml:2:41: `a` of `options` of connection `a`: `a` is given in the URL and under `options` [SYN-1004]",
    );
    refused(
        "connections:\n  a: {url: 'pg://h/d', options: {a: '${'}}\npipelines: {}",
        "syncline.yaml:2:37: `a` of `options` of connection `a`: a `${` has no closing `}`. A literal ${ is \
         written $${ [SYN-1004]",
    );
    refused(
        "pipelines:\n  a b: {from: 'a1:', to: 'b1:'}",
        "syncline.yaml:2:3: pipeline `a b`: a name has only letters from a to z, digits, `_`, `-` and `.` [SYN-1004]",
    );
    refused(
        "pipelines:\n  .a: {from: 'a1:', to: 'b1:'}",
        "syncline.yaml:2:3: pipeline `.a`: a name begins with a letter or a digit [SYN-1004]",
    );
    refused(
        "pipelines:\n  Orders: {from: 'a1:', to: 'b1:'}\n  orders: {from: 'a1:', to: 'b1:'}",
        "syncline.yaml:3:3: pipeline `orders`: its name differs from `Orders` only in upper and lower case [SYN-1004]",
    );
    let long = "x".repeat(65);
    refused(
        &format!("connections:\n  {long}: 'a1:'\npipelines: {{}}"),
        &format!("syncline.yaml:2:3: connection `{long}`: the name has more than 64 characters [SYN-1004]"),
    );
}

proptest! {
    /// Whatever stands in a file, there is an answer.
    #[test]
    fn any_text_is_answered(text in ".*", words in proptest::collection::vec(0..WORDS.len(), 0..40)) {
        let _ = parse(&text);
        let _ = parse(&words.iter().map(|word| WORDS[*word]).collect::<String>());
        let _ = parse(&with(&words.iter().map(|word| WORDS[*word]).collect::<String>()));
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\"",
    "&a ",
    "*a",
    "<<: ",
    "~",
    "5",
    "x",
    "pipelines:",
    "connections:",
    "streams:",
    "name: ",
    "steps:",
    "key: ",
    "options:",
    "url: ",
    "a1:x",
    "${",
    "limits:",
    "memory: ",
];
