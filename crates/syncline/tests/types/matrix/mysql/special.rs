//! Documents, shapes, and what only one of the two has.

use syncline_testkit::servers::mysql::Product::{Mariadb, Mysql};

use super::{Class, MysqlType, REFUSED};

const BLOB: (&str, Class) = ("BLOB", Class::Blob);
const JSON: (&str, Class) = ("JSON_TEXT", Class::Text);

pub(super) fn types() -> Vec<MysqlType> {
    [documents(), shapes(), others()].into_iter().flatten().collect()
}

fn documents() -> Vec<MysqlType> {
    let deep = format!("{}1{}", "[".repeat(90), "]".repeat(90));
    let deep_sql = format!("'{deep}'");
    vec![
        // In MySQL's own order, each name once, and numbers of 64 bits.
        MysqlType::new("m_json_binary", "json", "jsonb", JSON)
            .on(Mysql)
            .arrive(&[
                ("'{\"bb\": 1,\"a\" : [1,2, null]}'", "{\"a\": [1, 2, null], \"bb\": 1}"),
                ("'{\"a\": 1, \"a\": 2}'", "{\"a\": 2}"),
                ("'9007199254740993'", "9007199254740993"),
                ("'18446744073709551615'", "18446744073709551615"),
                ("'1.10'", "1.1"),
                ("'null'", "null"),
                ("'\"\"'", "\"\""),
                ("'{}'", "{}"),
                ("_utf8mb4 X'22f09fa6805c6e5c5c5c2222'", "\"🦀\\n\\\\\\\"\""),
                (&deep_sql, &deep),
            ])
            // MariaDB takes 32 levels.
            .crossing(Err(REFUSED))
            // PostgreSQL writes all digits.
            .kept(&[
                (
                    "'123456789012345678901234567890'",
                    "123456789012345680000000000000",
                    "1.2345678901234568e29",
                ),
                ("'1e30'", "1000000000000000000000000000000", "1e30"),
            ]),
        // As it was written: blanks, order, names that are there twice, and all digits.
        // Digits that a double cannot have are refused by MySQL's.
        MysqlType::new("m_json_text", "json", "json", JSON)
            .on(Mariadb)
            .arrive(&[("'{\"b\":1, \"a\" : 1, \"a\":2}'", "{\"b\":1, \"a\" : 1, \"a\":2}")])
            .crossing(Ok("{\"a\": 2, \"b\": 1}"))
            .arrive(&[("'123456789012345678901234567890.10'", "123456789012345678901234567890.10")])
            .crossing(Err(REFUSED))
            .arrive(&[("'[1e400]'", "[1e400]")])
            .crossing(Err(REFUSED))
            .arrive(&[("'  [ 1.10 ,null ]'", "  [ 1.10 ,null ]")])
            .crossing(Ok("[1.1, null]"))
            .arrive(&[("_utf8mb4 X'7b0a20202261223a20310a7d'", "{\n  \"a\": 1\n}")])
            .crossing(Ok("{\"a\": 1}"))
            .arrive(&[("'\"1\"'", "\"1\""), ("'null'", "null"), ("_utf8mb4 X'22f09fa68022'", "\"🦀\"")]),
    ]
}

fn shapes() -> Vec<MysqlType> {
    let shape = |name, declared| MysqlType::new(name, declared, "bytea", BLOB);
    vec![
        shape("m_geometry", "geometry").arrive(&[
            ("ST_GeomFromText('POINT(1 2)')", "\\x0101000000000000000000f03f0000000000000040"),
            (
                "ST_GeomFromText('LINESTRING(0 0,1 -1)')",
                "\\x01020000000200000000000000000000000000000000000000000000000000f03f000000000000f0bf",
            ),
            (
                "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))')",
                "\\x0107000000010000000101000000000000000000f03f0000000000000040",
            ),
        ]),
        shape("m_point", "point")
            .arrive(&[("ST_GeomFromText('POINT(0.1 -1e300)')", "\\x01010000009a9999999999b93f9c7500883ce437fe")]),
        shape("m_polygon", "polygon").arrive(&[(
            "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')",
            "\\x0103000000010000000400000000000000000000000000000000000000000000000000f03f0000000000000000000000000000f03f000000000000f03f00000000000000000000000000000000",
        )]),
        // The reference system is part of the value. The server keeps the longitude first.
        shape("m_point_4326", "point")
            .on(Mysql)
            .arrive(&[("ST_GeomFromText('POINT(1 2)', 4326)", "\\x0101000020e61000000000000000000040000000000000f03f")]),
        shape("m_point_system", "point")
            .on(Mariadb)
            .arrive(&[("ST_GeomFromText('POINT(1 2)', 4326)", "\\x0101000020e6100000000000000000f03f0000000000000040")]),
    ]
}

fn others() -> Vec<MysqlType> {
    vec![
        MysqlType::opaque("m_vector", "vector(3)")
            .on(Mysql)
            .arrive(&[("STRING_TO_VECTOR('[1,-2.5,3e10]')", "[1.00000e+00,-2.50000e+00,3.00000e+10]")])
            .crossed("longtext"),
        MysqlType::new("m_uuid", "uuid", "uuid", ("UUID", Class::Text))
            .on(Mariadb)
            .arrive(&[
                ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                ("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            ])
            .crossed("char(36) ascii ascii_bin"),
        MysqlType::opaque("m_inet6", "inet6")
            .on(Mariadb)
            .arrive(&[
                ("'2001:db8::1'", "2001:db8::1"),
                ("'::ffff:1.2.3.4'", "::ffff:1.2.3.4"),
                ("'::'", "::"),
            ])
            .crossed("longtext"),
        MysqlType::opaque("m_inet4", "inet4")
            .on(Mariadb)
            .arrive(&[("'192.168.0.1'", "192.168.0.1")])
            .crossed("longtext"),
    ]
}
