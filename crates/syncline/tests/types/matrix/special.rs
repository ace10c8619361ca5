//! Types that users make, and types that only PostgreSQL knows.

use super::{Case, Class};

const TEXT: (&str, Class) = ("TEXT", Class::Text);

pub(super) fn cases() -> Vec<Case> {
    [made(), lists(), places(), internal()].into_iter().flatten().collect()
}

/// Enumerations, domains and composites.
fn made() -> Vec<Case> {
    vec![
        // Its labels are checks of PostgreSQL's, and checks are not copied to another system.
        Case::new("t_enum", "mood", TEXT, "text").mysql("longtext", "text")
            .with("CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\", \\N', 'ünï 🦀', '')")
            .same(&["sad", "it's \"ok\", \\N", "ünï 🦀", ""]),
        Case::new("t_domain_int", "positive", ("INTEGER", Class::Integer), "bigint").mysql("int", "integer")
            .with("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
            .same(&["1", "2147483647"]),
        Case::new("t_domain_text", "word", TEXT, "text").mysql("longtext", "text")
            .with("CREATE DOMAIN word AS text CHECK (VALUE !~ '\\s')")
            .same(&["", "word", "\\N"]),
        Case::new("t_domain_of_domain", "shorter", ("VARCHAR(5)", Class::Text), "text").mysql("varchar(5)", "character varying(5)")
            .with("CREATE DOMAIN short AS varchar(5); CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 4)")
            .same(&["abc", ""]),
        Case::new("t_domain_numeric", "price", ("DECIMAL_TEXT(10,2)", Class::Text), "numeric(10,2)").mysql("decimal(10,2)", "numeric(10,2)")
            .with("CREATE DOMAIN price AS numeric(10,2)")
            .same(&["99999999.99", "0.10"])
            .refused(&["NaN"]),
        Case::new("t_domain_enum", "some_colour", TEXT, "text").mysql("longtext", "text")
            .with("CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE DOMAIN some_colour AS colour CHECK (VALUE <> 'blue')")
            .same(&["red"]),
        Case::opaque("t_domain_list", "numbers", &["{1,2,NULL}", "{}"])
            .with("CREATE DOMAIN numbers AS int[] CHECK (cardinality(VALUE) < 9)"),
        Case::opaque("t_composite", "\"both\"", &["(1,\"x,y\")", "(,\"\")", "(,)", "(-1,\"\"\"\\\\ \")"])
            .with("CREATE TYPE \"both\" AS (a int, b text)"),
        // Nested, and with a field that PostgreSQL cannot compare.
        Case::opaque("t_composite_nested", "outside", &["(\"(1,\"\"{a,NULL}\"\")\",\"[1,2)\",\"{ }\")", "(,,)"])
            .with("CREATE TYPE inside AS (a int, b text[]); CREATE TYPE outside AS (i inside, r int4range, j json)"),
    ]
}

/// Arrays and ranges.
fn lists() -> Vec<Case> {
    vec![
        Case::opaque(
            "t_ints",
            "integer[]",
            &["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={1,2}", "[-1:0][2:3]={{1,2},{3,4}}"],
        ),
        Case::opaque(
            "t_texts",
            "text[]",
            &[
                "{}",
                "{\"\",NULL,\"NULL\",\"null\"}",
                "{\"a,b\",\"\\\"\",\"\\\\\",\"{}\",\" \",it's}",
                "{{\"\n\"},{\"\t\"}}",
                "{{{🦀}}}",
            ],
        ),
        Case::opaque("t_numerics", "numeric(10,2)[]", &["{1.10,NaN,-0.01}"]),
        Case::opaque("t_floats", "double precision[]", &["{NaN,Infinity,-0,0.30000000000000004,5e-324}"]),
        Case::opaque("t_dates", "date[]", &["{infinity,0044-03-15}", "{\"0044-03-15 BC\"}"]),
        Case::opaque("t_stamps", "timestamptz[]", &["{\"2024-01-01 00:00:00+00\",infinity}"]),
        Case::opaque("t_byteas", "bytea[]", &["{\"\\\\x\",\"\\\\x00ff\"}"]),
        Case::opaque("t_jsons", "json[]", &["{\"{\\\"b\\\":1, \\\"a\\\" : 1}\",NULL}"]),
        Case::opaque("t_enums", "size[]", &["{}", "{small,NULL,\"very large\"}"])
            .with("CREATE TYPE size AS ENUM ('small', 'very large')"),
        Case::opaque("t_composites", "item[]", &["{\"(1,x)\",\"(,\\\"a \\\"\\\"b\\\"\\\"\\\")\",NULL}"])
            .with("CREATE TYPE item AS (a int, b text)"),
        Case::opaque("t_int4range", "int4range", &["empty", "[1,5)", "(,)", "[1,)", "(,-5)"]),
        Case::opaque("t_numrange", "numrange", &["[1.10,2.0]", "(,0)", "[0,Infinity]"]),
        Case::opaque("t_daterange", "daterange", &["[2024-01-01,infinity)", "[2024-01-01,2024-01-02)"]),
        Case::opaque(
            "t_tstzrange",
            "tstzrange",
            &["[\"2024-01-01 00:00:00+00\",\"2024-01-02 00:00:00+00\")"],
        ),
        Case::opaque("t_multirange", "int4multirange", &["{}", "{[1,2),[5,)}"]),
        Case::opaque("t_nummultirange", "nummultirange", &["{[1.5,2.50],(3,4)}"]),
        Case::opaque("t_ranges", "int4range[]", &["{empty,\"[1,2)\"}"]),
        Case::opaque("t_own_range", "floats", &["[0.1,0.2)", "(-Infinity,Infinity)"])
            .with("CREATE TYPE floats AS RANGE (subtype = float8)"),
    ]
}

/// Addresses in networks and in the plane.
fn places() -> Vec<Case> {
    vec![
        Case::opaque(
            "t_inet",
            "inet",
            &["192.168.0.1", "192.168.0.1/24", "::1", "2001:db8::1/64", "::ffff:1.2.3.4"],
        ),
        Case::opaque("t_cidr", "cidr", &["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"]),
        Case::opaque("t_macaddr", "macaddr", &["08:00:2b:01:02:03"]),
        Case::opaque("t_macaddr8", "macaddr8", &["08:00:2b:01:02:03:04:05"]),
        Case::opaque("t_point", "point", &["(1.5,-0)", "(0.30000000000000004,NaN)", "(Infinity,1e-300)"]),
        Case::opaque("t_line", "line", &["{1,-1,0}"]),
        Case::opaque("t_lseg", "lseg", &["[(1,2),(3,4)]"]),
        Case::opaque("t_box", "box", &["(1,1),(0,0)"]),
        Case::opaque("t_path", "path", &["[(1,2),(3,4)]", "((1,2),(3,4))"]),
        Case::opaque("t_polygon", "polygon", &["((0,0),(0,1),(1,1.25))"]),
        Case::opaque("t_circle", "circle", &["<(0,0),1.5>"]),
        Case::opaque("t_boxes", "box[]", &["{(1,1),(0,0);(3,3),(2,2)}"]),
    ]
}

/// What PostgreSQL keeps about itself.
fn internal() -> Vec<Case> {
    vec![
        Case::opaque("t_pg_lsn", "pg_lsn", &["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"]),
        Case::opaque("t_snapshot", "pg_snapshot", &["10:20:10,14,15"]),
        Case::opaque("t_txid_snapshot", "txid_snapshot", &["10:20:10,14,15"]),
        Case::opaque("t_xid", "xid", &["4294967295"]),
        Case::opaque("t_xid8", "xid8", &["18446744073709551615"]),
        Case::opaque("t_tid", "tid", &["(0,1)"]),
        Case::opaque("t_oidvector", "oidvector", &["1 2 4294967295", ""]),
        Case::opaque("t_regtype", "regtype", &["integer", "timestamp with time zone", "text[]"]),
        Case::opaque("t_regclass", "regclass", &["pg_class", "information_schema.tables"]),
        Case::opaque("t_refcursor", "refcursor", &["c1", ""]),
        Case::opaque("t_aclitem", "aclitem", &["postgres=r/postgres"]),
    ]
}
