//! Numbers, truth and bits.

use super::{Case, Class};

const INTEGER: (&str, Class) = ("INTEGER", Class::Integer);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("t_bool", "boolean", ("BOOLEAN", Class::Integer), "boolean")
            .mysql("tinyint(1)", "boolean")
            .kept(&[("t", "1"), ("f", "0")]),
        Case::new("t_int2", "smallint", INTEGER, "bigint")
            .mysql("smallint", "smallint")
            .same(&["-32768", "-1", "0", "32767"]),
        Case::new("t_int4", "integer", INTEGER, "bigint").mysql("int", "integer").same(&[
            "-2147483648",
            "0",
            "2147483647",
        ]),
        Case::new("t_int8", "bigint", INTEGER, "bigint").mysql("bigint", "bigint").same(&[
            "-9223372036854775808",
            "9007199254740993",
            "9223372036854775807",
        ]),
        Case::new("t_oid", "oid", INTEGER, "bigint")
            .mysql("int unsigned", "bigint")
            .same(&["0", "4294967295"]),
        // SQLite keeps 64 bits, so the stored number is what the 32 bits mean exactly.
        Case::new("t_float4", "real", ("FLOAT4", Class::Real), "real")
            .mysql("float", "real")
            .same(&["Infinity", "-Infinity", "0", "0.5", "16777216"])
            .kept(&[
                ("0.1", "0.10000000149011612"),
                ("1e-45", "1.401298464324817e-45"),
                ("1.1754944e-38", "1.1754943508222875e-38"),
                ("-3.4028235e+38", "-3.4028234663852886e38"),
            ])
            .altered("-0", "0", "0")
            .refused(&["NaN"])
            .mysql_refuses(&["Infinity", "-Infinity"])
            .unsigned_in_mariadb("-0"),
        Case::new("t_float8", "double precision", ("REAL", Class::Real), "double precision")
            .mysql("double", "double precision")
            .same(&[
                "Infinity",
                "-Infinity",
                "0",
                "0.1",
                "0.30000000000000004",
                "123456789.12345679",
                "9007199254740993",
                "9.223372036854775e+18",
                "5e-324",
                "2.2250738585072014e-308",
                "-1.7976931348623157e+308",
            ])
            .altered("-0", "0", "0")
            .refused(&["NaN"])
            .mysql_refuses(&["Infinity", "-Infinity"])
            .unsigned_in_mariadb("-0"),
        // Text, so that every digit is kept; the type's name keeps SQLite from making numbers of it.
        Case::new("t_numeric", "numeric", ("NUMERIC_TEXT", Class::Text), "numeric")
            .mysql("longtext", "text")
            .same(&[
                "NaN",
                "Infinity",
                "-Infinity",
                "0",
                "0.000",
                "1.10",
                "10000",
                "0.00000000000000000001",
                "-123456789012345678901234567890.123456789",
                "100000000000000000000000000000000000000000000000000",
            ]),
        Case::new("t_numeric_12_2", "numeric(12,2)", ("DECIMAL_TEXT(12,2)", Class::Text), "numeric(12,2)")
            .mysql("decimal(12,2)", "numeric(12,2)")
            .same(&["0.00", "0.10", "-0.01", "9999999999.99", "-9999999999.99"])
            .refused(&["NaN"]),
        Case::new("t_numeric_20_0", "numeric(20,0)", ("DECIMAL_TEXT(20,0)", Class::Text), "numeric(20,0)")
            .mysql("decimal(20,0)", "numeric(20,0)")
            .same(&["18446744073709551615", "-99999999999999999999"]),
        Case::new(
            "t_numeric_38_10",
            "numeric(38,10)",
            ("DECIMAL_TEXT(38,10)", Class::Text),
            "numeric(38,10)",
        )
        .mysql("decimal(38,10)", "numeric(38,10)")
        .same(&["9999999999999999999999999999.9999999999", "-0.0000000001", "0.0000000000"]),
        Case::new(
            "t_numeric_38_38",
            "numeric(38,38)",
            ("DECIMAL_TEXT(38,38)", Class::Text),
            "numeric(38,38)",
        )
        .mysql("longtext", "text")
        .same(&["-0.99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001"]),
        Case::new(
            "t_numeric_76_38",
            "numeric(76,38)",
            ("DECIMAL_TEXT(76,38)", Class::Text),
            "numeric(76,38)",
        )
        .mysql("longtext", "text")
        .same(&[
            "99999999999999999999999999999999999999.99999999999999999999999999999999999999",
            "-0.00000000000000000000000000000000000001",
        ])
        .refused(&["NaN"])
        .mysql_keeps(&[("NaN", "NaN", "NaN")]),
        Case::new("t_numeric_77_2", "numeric(77,2)", ("NUMERIC_TEXT", Class::Text), "numeric")
            .mysql("longtext", "text")
            .same(&[
                "999999999999999999999999999999999999999999999999999999999999999999999999999.99",
                "NaN",
                "0.10",
            ]),
        Case::new("t_numeric_scaled_up", "numeric(5,-2)", ("NUMERIC_TEXT", Class::Text), "numeric")
            .mysql("longtext", "text")
            .same(&["0", "12300", "-9999900"]),
        Case::new("t_numeric_scaled_down", "numeric(2,5)", ("NUMERIC_TEXT", Class::Text), "numeric")
            .mysql("longtext", "text")
            .same(&["0.00012", "-0.00099", "0.00000"]),
        Case::opaque("t_money", "money", &["$0.00", "-$12.34", "$92,233,720,368,547,758.07"]),
        Case::new("t_bit", "bit", ("BIT_TEXT(1)", Class::Text), "bit(1)")
            .mysql("bit(1)", "boolean")
            .mysql_keeps(&[("0", "0", "f"), ("1", "1", "t")])
            .same(&["0", "1"]),
        Case::new("t_bit_5", "bit(5)", ("BIT_TEXT(5)", Class::Text), "bit(5)")
            .mysql("bit(5)", "bit(5)")
            .same(&["10101", "00000"]),
        Case::new("t_varbit", "bit varying", ("VARBIT_TEXT", Class::Text), "bit varying")
            .mysql("longtext", "text")
            .same(&[
                "",
                "0",
                "1",
                "000000001",
                "111111111111111111111111111111111111111111111111111111111111111111",
            ]),
        Case::new("t_varbit_8", "bit varying(8)", ("VARBIT_TEXT(8)", Class::Text), "bit varying(8)")
            .mysql("longtext", "text")
            .same(&["", "1", "01010101"]),
    ]
}
