//! Numbers, truth and bits.

use syncline_testkit::servers::mysql::Product::{Mariadb, Mysql};

use super::{Class, MysqlType};

const INTEGER: (&str, Class) = ("INTEGER", Class::Integer);

pub(super) fn types() -> Vec<MysqlType> {
    [whole(), fractions(), bits()].into_iter().flatten().collect()
}

fn whole() -> Vec<MysqlType> {
    let same = |name, declared, postgres, values: &[&str]| {
        let pairs: Vec<(&str, &str)> = values.iter().map(|value| (*value, *value)).collect();
        MysqlType::new(name, declared, postgres, INTEGER).arrive(&pairs)
    };
    vec![
        same("m_int1", "tinyint", "smallint", &["-128", "0", "127"]),
        same("m_int1_unsigned", "tinyint unsigned", "smallint", &["0", "255"]),
        same("m_int2", "smallint", "smallint", &["-32768", "32767"]),
        same("m_int2_unsigned", "smallint unsigned", "integer", &["0", "65535"]),
        same("m_int3", "mediumint", "integer", &["-8388608", "8388607"]),
        same("m_int3_unsigned", "mediumint unsigned", "bigint", &["0", "16777215"]),
        same("m_int4", "int", "integer", &["-2147483648", "2147483647"]),
        same("m_int4_unsigned", "int unsigned", "bigint", &["0", "4294967295"]),
        same(
            "m_int8",
            "bigint",
            "bigint",
            &["-9223372036854775808", "9007199254740993", "9223372036854775807"],
        ),
        // How many digits are shown is no part of a number.
        same("m_zerofill", "int(5) unsigned zerofill", "bigint", &["42", "4294967295"]),
        MysqlType::new(
            "m_int8_unsigned",
            "bigint unsigned",
            "numeric(20,0)",
            ("DECIMAL_TEXT(20,0)", Class::Text),
        )
        .arrive(&[
            ("0", "0"),
            ("9223372036854775808", "9223372036854775808"),
            ("18446744073709551615", "18446744073709551615"),
        ]),
        // 0 stands for no year at all.
        same("m_year", "year", "smallint", &["1901", "2024", "2155"]).arrive(&[("0", "0"), ("'0'", "2000")]),
        MysqlType::new("m_bool", "tinyint(1)", "boolean", ("BOOLEAN", Class::Integer))
            .kept(&[("0", "f", "0"), ("1", "t", "1")])
            .unreadable(&["2", "-1", "127"]),
    ]
}

fn fractions() -> Vec<MysqlType> {
    let decimal = |name, declared, postgres, sqlite, values: &[&str]| {
        let pairs: Vec<(&str, &str)> = values.iter().map(|value| (*value, *value)).collect();
        MysqlType::new(name, declared, postgres, (sqlite, Class::Text)).arrive(&pairs)
    };
    vec![
        decimal(
            "m_decimal_65_30",
            "decimal(65,30)",
            "numeric(65,30)",
            "DECIMAL_TEXT(65,30)",
            &[
                "99999999999999999999999999999999999.999999999999999999999999999999",
                "-99999999999999999999999999999999999.999999999999999999999999999999",
                "-0.000000000000000000000000000001",
                "0.000000000000000000000000000000",
            ],
        ),
        decimal(
            "m_decimal_65_0",
            "decimal(65,0)",
            "numeric(65,0)",
            "DECIMAL_TEXT(65,0)",
            &["99999999999999999999999999999999999999999999999999999999999999999", "-1"],
        ),
        decimal(
            "m_decimal_38_10",
            "decimal(38,10)",
            "numeric(38,10)",
            "DECIMAL_TEXT(38,10)",
            &["9999999999999999999999999999.9999999999", "-0.0000000001"],
        ),
        decimal(
            "m_decimal_10_2",
            "decimal(10,2)",
            "numeric(10,2)",
            "DECIMAL_TEXT(10,2)",
            &["-99999999.99", "0.00", "0.10", "-0.01"],
        ),
        decimal("m_decimal", "decimal", "numeric(10,0)", "DECIMAL_TEXT(10,0)", &["9999999999"]),
        decimal(
            "m_decimal_unsigned",
            "decimal(12,4) unsigned",
            "numeric(12,4)",
            "DECIMAL_TEXT(12,4)",
            &["99999999.9999", "0.0001"],
        ),
        MysqlType::new("m_float", "float", "real", ("FLOAT4", Class::Real))
            .arrive(&[("0", "0"), ("0.5", "0.5"), ("16777216", "1.6777216e+07")])
            .kept(&[
                ("0.1", "0.1", "0.10000000149011612"),
                ("3.4028234663852886e38", "3.4028235e+38", "3.4028234663852886e38"),
                ("1.1754943508222875e-38", "1.1754944e-38", "1.1754943508222875e-38"),
            ]),
        // Rounded by the server when it was stored.
        MysqlType::new("m_float_7_2", "float(7,2)", "real", ("FLOAT4", Class::Real))
            .kept(&[("1.5", "1.5", "1.5"), ("1234.567", "1234.57", "1234.5699462890625")]),
        MysqlType::new("m_double", "double", "double precision", ("REAL", Class::Real)).arrive(&[
            ("0", "0"),
            ("0.1", "0.1"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("123456789.12345679", "123456789.12345679"),
            ("9007199254740993", "9.007199254740992e+15"),
            ("5e-324", "5e-324"),
            ("2.2250738585072014e-308", "2.2250738585072014e-308"),
            ("-1.7976931348623157e308", "-1.7976931348623157e+308"),
        ]),
        // MySQL keeps the sign of a zero, as PostgreSQL does; MariaDB and SQLite drop it.
        MysqlType::new("m_double_zero", "double", "double precision", ("REAL", Class::Real))
            .on(Mysql)
            .kept(&[("-0e0", "-0", "0")])
            .crossing(Ok("0.0")),
        MysqlType::new("m_double_unsigned_zero", "double", "double precision", ("REAL", Class::Real))
            .on(Mariadb)
            .arrive(&[("-0e0", "0")]),
        MysqlType::new("m_double_10_3", "double(10,3)", "double precision", ("REAL", Class::Real))
            .arrive(&[("1.0625", "1.062"), ("-9999999.999", "-9999999.999")]),
    ]
}

fn bits() -> Vec<MysqlType> {
    const BITS_64: &str = "1000000000000000000000000000000000000000000000000000000000000001";
    vec![
        MysqlType::new("m_bit", "bit(1)", "boolean", ("BOOLEAN", Class::Integer))
            .kept(&[("b'0'", "f", "0"), ("b'1'", "t", "1")]),
        MysqlType::new("m_bit_8", "bit(8)", "bit(8)", ("BIT_TEXT(8)", Class::Text)).arrive(&[
            ("b'00000101'", "00000101"),
            ("b'0'", "00000000"),
            ("255", "11111111"),
        ]),
        MysqlType::new("m_bit_13", "bit(13)", "bit(13)", ("BIT_TEXT(13)", Class::Text)).arrive(&[
            ("b'1000000000101'", "1000000000101"),
            ("9", "0000000001001"),
            ("10", "0000000001010"),
            ("92", "0000001011100"),
        ]),
        MysqlType::new("m_bit_64", "bit(64)", "bit(64)", ("BIT_TEXT(64)", Class::Text))
            .arrive(&[(&format!("b'{BITS_64}'"), BITS_64)])
            .arrive(&[("18446744073709551615", &"1".repeat(64)), ("0", &"0".repeat(64))]),
    ]
}
