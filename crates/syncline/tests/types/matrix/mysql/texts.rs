//! Characters and bytes.

use super::{Class, MysqlType, REFUSED};

const TEXT: (&str, Class) = ("TEXT", Class::Text);
const BLOB: (&str, Class) = ("BLOB", Class::Blob);

/// What looks like something else, is invisible, or needs an escape somewhere.
const ODD: &[&str] = &[
    "",
    " ",
    "blanks at the end  ",
    "\t\n\r\u{b}\u{c}",
    "line\nfeed\r\nand\ttab",
    "\u{1}\u{8}\u{1a}\u{1b}[31m\u{7f}",
    "it's \"quoted\" `so` %s {} @v :v ?",
    "back\\slash \\n \\\\ \\0 \\Z",
    "\\N",
    "\\.",
    "NULL",
    "null",
    "-0",
    "1e5",
    "0x10",
    "b'1'",
    "true",
    "0000-00-00",
    "ä ö ü ß é 漢字 עברית العربية",
    "🦀 👩‍👩‍👧‍👦 🇩🇪",
    "e\u{301} is not é",
    "\u{feff}mark \u{200b}no width \u{a0}hard",
    "\u{ffff}\u{10ffff}\u{e000}",
];

pub(super) fn types() -> Vec<MysqlType> {
    [characters(), charsets(), bytes(), labels()].into_iter().flatten().collect()
}

/// A text without anything that a client or a session could take for something else.
fn text(text: &str) -> String {
    format!("_utf8mb4 X'{}'", hex(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(one: MysqlType, values: &[&str]) -> MysqlType {
    values.iter().fold(one, |one, value| one.arrive(&[(&text(value), value)]))
}

/// Values that become others when they are stored.
fn stored(one: MysqlType, values: &[(&str, &str)]) -> MysqlType {
    values.iter().fold(one, |one, (value, kept)| one.arrive(&[(&text(value), kept)]))
}

fn characters() -> Vec<MysqlType> {
    let of = |name, declared| texts(MysqlType::new(name, declared, "text", TEXT), ODD);
    let sized =
        |name, declared, postgres, sqlite| MysqlType::new(name, declared, postgres, (sqlite, Class::Text));
    vec![
        of("m_tinytext", "tinytext"),
        // PostgreSQL has no place for the character NUL.
        of("m_text", "text").value("_utf8mb4 X'610062'", Err(REFUSED), Ok("a\0b")),
        of("m_mediumtext", "mediumtext"),
        of("m_longtext", "longtext"),
        texts(sized("m_varchar_40", "varchar(40)", "character varying(40)", "VARCHAR(40)"), ODD),
        texts(
            sized("m_varchar_7", "varchar(7)", "character varying(7)", "VARCHAR(7)"),
            &["", "       ", "abcdefg", "🦀🦀🦀🦀🦀🦀🦀", "a  "],
        ),
        // The server itself gives no blanks at the end of a `char`, whatever was stored.
        stored(
            sized("m_char_5", "char(5)", "character varying(5)", "VARCHAR(5)"),
            &[
                ("", ""),
                ("a", "a"),
                (" a", " a"),
                ("a  ", "a"),
                ("🦀é", "🦀é"),
                ("abcde", "abcde"),
                ("\t", "\t"),
            ],
        ),
        texts(
            sized("m_varchar_bin", "varchar(9) COLLATE utf8mb4_bin", "character varying(9)", "VARCHAR(9)"),
            &["A", "a", "a ", "ä"],
        ),
        texts(
            sized(
                "m_varchar_general",
                "varchar(9) COLLATE utf8mb4_general_ci",
                "character varying(9)",
                "VARCHAR(9)",
            ),
            &["A", "a", "ß"],
        ),
    ]
}

/// Columns that keep other bytes than UTF-8's.
fn charsets() -> Vec<MysqlType> {
    let of = |name, declared| {
        MysqlType::new(name, declared, "character varying(20)", ("VARCHAR(20)", Class::Text))
    };
    vec![
        texts(of("m_latin1", "varchar(20) CHARACTER SET latin1"), &["", "äöü ÿ é ", "\\N", "\u{a0}€"]),
        texts(of("m_ascii", "varchar(20) CHARACTER SET ascii"), &["", "a\\b\t'", "~\u{7f}\u{1} "]),
        texts(of("m_utf8mb3", "varchar(20) CHARACTER SET utf8mb3"), &["", "漢字 é\u{ffff}", "e\u{301} "]),
        texts(of("m_utf16", "varchar(20) CHARACTER SET utf16"), &["", "漢字 🦀", "\\N "]),
        texts(of("m_ucs2", "varchar(20) CHARACTER SET ucs2 COLLATE ucs2_bin"), &["", "漢字 é", "x "]),
        texts(of("m_cp1251", "varchar(20) CHARACTER SET cp1251"), &["", "Привет", "Ё\\ "]),
        texts(of("m_sjis", "varchar(20) CHARACTER SET sjis"), &["", "漢字", "ソ表"]),
        texts(of("m_gbk", "varchar(20) CHARACTER SET gbk"), &["", "漢字", "誠\\"]),
        texts(
            MysqlType::new("m_text_latin1", "text CHARACTER SET latin1", "text", TEXT),
            &["", "Grüße  ", "\\N"],
        ),
    ]
}

fn bytes() -> Vec<MysqlType> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let every_byte = hex(&every_byte);
    let binary = |name, declared, values: &[&str]| {
        let one = MysqlType::new(name, declared, "bytea", BLOB);
        values.iter().fold(one, |one, hex| one.arrive(&[(&format!("X'{hex}'"), &format!("\\x{hex}"))]))
    };
    let odd =
        ["", "00", "20", "6100", "6120", "610d0a09", "5c4e", "5c2e", "270a", "ff00ff", "1a", "c3", "eda080"];
    vec![
        // Filled up with zeros.
        binary("m_binary_4", "binary(4)", &["00000000", "61000000", "61202000", "ff5c4e0a"])
            .arrive(&[("X''", "\\x00000000"), ("X'61'", "\\x61000000")]),
        binary("m_varbinary_8", "varbinary(8)", &odd),
        binary("m_varbinary_300", "varbinary(300)", &[&every_byte]),
        binary("m_tinyblob", "tinyblob", &odd),
        binary("m_blob", "blob", &odd).arrive(&[(&format!("X'{every_byte}'"), &format!("\\x{every_byte}"))]),
        binary("m_mediumblob", "mediumblob", &odd),
        binary("m_longblob", "longblob", &[&every_byte, ""]),
    ]
}

/// Types whose values are words of a list.
fn labels() -> Vec<MysqlType> {
    let of = |name, declared| MysqlType::new(name, declared, "text", TEXT);
    vec![
        texts(
            of("m_enum", "enum('sad','it''s \"ok\", \\\\N','ünï','','NULL','2')"),
            &["sad", "it's \"ok\", \\N", "ünï", "", "NULL", "2"],
        ),
        // The servers themselves tell such a label as `crab ?`, which is another.
        texts(of("m_enum_beyond", "enum('crab 🦀','x')"), &["x", "crab 🦀"]).stays(),
        texts(of("m_enum_latin1", "enum('grün','x') CHARACTER SET latin1"), &["grün", "x"]),
        texts(of("m_set", "set('one','two','it''s','ünï')"), &["", "one", "one,two", "one,two,it's,ünï"])
            // In the list's order, and each once.
            .arrive(&[("'two,one,two'", "one,two"), ("5", "one,it's")]),
    ]
}
