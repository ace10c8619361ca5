//! Names and patterns of streams.

use super::*;

#[test]
fn a_name_with_wildcards_outside_quotes_is_a_pattern() {
    let name = |text: &str| Ok(Selection::Name(StreamName::parse(text).unwrap()));
    let glob = |text: &str| Ok(Selection::Glob(text.to_owned()));
    for (text, expected) in [
        ("orders", name("orders")),
        ("shop.orders", name("shop.orders")),
        ("\"a.b\".c", name("\"a.b\".c")),
        ("\"what*\"", name("\"what*\"")),
        ("shop.\"a[\"\"*\"", name("shop.\"a[\"\"*\"")),
        ("shop.order_*", glob("shop.order_*")),
        ("**", glob("**")),
        ("order_[0-9]", glob("order_[0-9]")),
        ("{a,b}.c?", glob("{a,b}.c?")),
        ("shop.\"a\"*", Err("`shop.\"a\"*` is a pattern with quotes, which have no meaning in one")),
        ("a[", Err("`a[` is no pattern: unclosed character class; missing ']'")),
        ("a.b.c", Err("`a.b.c` is no stream's name: a stream name has at most two parts, `namespace.table`")),
        ("", Err("`` is no stream's name: a part of the name is empty")),
        ("\"a", Err("`\"a` is no stream's name: a quote is not closed")),
    ] {
        let found = selection(text);
        assert_eq!(
            found.as_ref().map_err(|problem| problem.reason.as_str()),
            expected.as_ref().map_err(|e| *e),
            "{text}"
        );
    }
}
