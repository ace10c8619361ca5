//! Characters, bytes and documents.

use super::{Case, Class, Fate, REFUSED};

const TEXT: (&str, Class) = ("TEXT", Class::Text);

/// What looks like something else, is invisible, or needs an escape somewhere.
const ODD: &[&str] = &[
    "",
    " ",
    "  blanks on both sides  ",
    "\t\n\r\u{b}\u{c}",
    "line\nfeed\r\nand\ttab",
    "\u{1}\u{2}\u{7}\u{8}\u{1b}[31m\u{1f}\u{7f}",
    "it's \"quoted\" `so` [too] $$ $1 %s {}",
    "back\\slash \\n \\\\ \\x41",
    "\\N",
    "\\.",
    "NULL",
    "null",
    "123",
    "-0",
    "1e5",
    "0x10",
    " 12 ",
    "inf",
    "nan",
    "true",
    "2024-01-01",
    "ä ö ü ß é ñ ø 漢字 עברית العربية",
    "🦀 👩‍👩‍👧‍👦 🇩🇪 🏳️‍🌈",
    "e\u{301} is not é, a\u{30a}\u{327}",
    "\u{feff}mark \u{200b}no width \u{202e}turned \u{a0}hard",
    "\u{ffff}\u{10ffff}\u{e000}",
];

pub(super) fn cases() -> Vec<Case> {
    let every_byte: String = (0..=255_u8).map(|byte| format!("{byte:02x}")).collect();
    let large = "1".to_owned() + &"0".repeat(400);
    vec![
        Case::new("t_text", "text", TEXT, "text").mysql("longtext", "text").same(ODD),
        Case::new("t_varchar", "character varying", TEXT, "text").mysql("longtext", "text").same(ODD),
        Case::new("t_varchar_7", "character varying(7)", ("VARCHAR(7)", Class::Text), "text")
            .mysql("varchar(7)", "character varying(7)")
            .same(&["", " ", "abcdefg", "🦀🦀🦀🦀🦀🦀🦀", "\\N\t\n'\""]),
        // Padding is part of the value here, and kept.
        Case::new("t_char_5", "character(5)", ("CHAR(5)", Class::Text), "text")
            .mysql("varchar(5)", "character varying(5)")
            .kept(&[("", "     "), ("a", "a    "), (" a", " a   "), ("abcde", "abcde"), ("🦀é", "🦀é   ")]),
        Case::new("t_char", "character(1)", ("CHAR(1)", Class::Text), "text")
            .mysql("varchar(1)", "character varying(1)")
            .kept(&[("", " "), ("x", "x")]),
        Case::new("t_bpchar", "bpchar", TEXT, "text").mysql("longtext", "text").same(&[
            "",
            "a",
            "ends in blanks  ",
        ]),
        Case::new("t_name", "name", ("VARCHAR(63)", Class::Text), "text")
            .mysql("varchar(63)", "character varying(63)")
            .same(&["", "it's", "sixty_three_bytes_sixty_three_bytes_sixty_three_bytes_sixty_thr"]),
        Case::opaque("t_single_char", "\"char\"", &["", "q", " ", "\\", "\\303"]),
        Case::new("t_bytea", "bytea", ("BLOB", Class::Blob), "bytea")
            .mysql("longblob", "bytea")
            .same(&["\\x", "\\x00", "\\x5c4e", "\\x270a", "\\xff00ff"])
            .same(&[&format!("\\x{every_byte}")]),
        Case::new("t_uuid", "uuid", ("UUID", Class::Text), "uuid")
            .mysql("char(36) ascii ascii_bin", "character varying(36)")
            .same(&[
                "00000000-0000-0000-0000-000000000000",
                "00000000-0000-0000-0000-000000000012",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
            ]),
        // As written: blanks, order, doubled keys and digits.
        Case::new("t_json", "json", ("JSON_TEXT", Class::Text), "json")
            .mysql("json", "jsonb")
            .same(&[
                "{\"b\":1, \"a\" : 1, \"a\":2}",
                "{\n  \"a\": 1\n}",
                "  [ 1.10,1E+5 ,null, -0.0 ]\n",
                "123456789012345678901234567890.10",
                "9007199254740993",
                "1e400",
                "12",
                "\"\\u0000 \\ud83e\\udd80 \\/\"",
                "\"1\"",
                "null",
                "{}",
            ])
            .json_of_mysql(&[
                ("{\n  \"a\": 1\n}", Ok("{\"a\": 1}"), Ok("{\"a\": 1}")),
                ("{\"b\":1, \"a\" : 1, \"a\":2}", Ok("{\"a\": 2, \"b\": 1}"), Ok("{\"a\": 2, \"b\": 1}")),
                (
                    "  [ 1.10,1E+5 ,null, -0.0 ]\n",
                    Ok("[1.1, 100000.0, null, -0.0]"),
                    Ok("[1.1, 100000.0, null, 0.0]"),
                ),
                // More digits than a double has.
                ("123456789012345678901234567890.10", Err(REFUSED), Err(REFUSED)),
                ("1e400", Err(REFUSED), Err(REFUSED)),
                // `jsonb` has no place for the character NUL.
                ("\"\\u0000 \\ud83e\\udd80 \\/\"", Ok("\"\\u0000 🦀 /\""), Err(REFUSED)),
            ]),
        // In PostgreSQL's own order, and with its digits.
        Case::new("t_jsonb", "jsonb", ("JSON_TEXT", Class::Text), "json")
            .mysql("json", "jsonb")
            .same(&[
                "{\"a\": 9007199254740993, \"bb\": [1.10, null]}",
                "123456789012345678901234567890.10",
                "\"🦀 \\\" \\\\ \\n\"",
                "null",
                "12",
                "[]",
            ])
            .kept(&[
                ("{\"bb\": 1, \"a\": 2, \"bb\": 3}", "{\"a\": 2, \"bb\": 3}"),
                ("-1e-5", "-0.00001"),
                ("1.0", "1.0"),
            ])
            .value("1e400", Fate::Kept(large))
            .json_of_mysql(&[
                (
                    "{\"a\": 9007199254740993, \"bb\": [1.10, null]}",
                    Ok("{\"a\": 9007199254740993, \"bb\": [1.1, null]}"),
                    Ok("{\"a\": 9007199254740993, \"bb\": [1.1, null]}"),
                ),
                ("123456789012345678901234567890.10", Err(REFUSED), Err(REFUSED)),
                ("1e400", Err(REFUSED), Err(REFUSED)),
            ]),
        Case::opaque("t_xml", "xml", &["<a>ä</a>", "text <b/> beside", "", "<a b=\"&lt;\"/>"]),
        Case::opaque("t_jsonpath", "jsonpath", &["$.\"a\"[*]?(@ > 1)", "strict $"]),
        Case::opaque("t_tsvector", "tsvector", &["", "'a':1A 'fat':2B,4C 'it''s'"]),
        Case::opaque("t_tsquery", "tsquery", &["", "'fat' & ( 'rat' | !'cat':AB )"]),
    ]
}
