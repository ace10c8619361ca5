//! Dates and times. What is no day of the calendar can only be stored without strict mode.

use super::{Class, MysqlType, REFUSED};

pub(super) fn types() -> Vec<MysqlType> {
    vec![
        MysqlType::new("m_date", "date", "date", ("DATE", Class::Text))
            .arrive(&[
                ("'0001-01-01'", "0001-01-01"),
                ("'1000-01-01'", "1000-01-01"),
                ("'1582-10-10'", "1582-10-10"),
                ("'2024-02-29'", "2024-02-29"),
                ("'9999-12-31'", "9999-12-31"),
            ])
            .value("'0000-01-01'", Ok("0001-01-01 BC"), Err(REFUSED))
            .stays()
            .unreadable(&["'0000-00-00'", "'2024-00-00'", "'2024-02-00'"]),
        MysqlType::new(
            "m_datetime",
            "datetime",
            "timestamp(0) without time zone",
            ("TIMESTAMP(0)", Class::Text),
        )
        .arrive(&[
            ("'0001-01-01 00:00:00'", "0001-01-01 00:00:00"),
            ("'1969-12-31 23:59:59'", "1969-12-31 23:59:59"),
            // An hour that the zones of some servers leave out.
            ("'2024-03-31 02:30:00'", "2024-03-31 02:30:00"),
            ("'9999-12-31 23:59:59'", "9999-12-31 23:59:59"),
        ])
        .unreadable(&["'0000-00-00 00:00:00'", "'2024-01-00 10:00:00'"]),
        MysqlType::new(
            "m_datetime_3",
            "datetime(3)",
            "timestamp(3) without time zone",
            ("TIMESTAMP(3)", Class::Text),
        )
        .arrive(&[
            ("'1999-12-31 23:59:59.999'", "1999-12-31 23:59:59.999"),
            ("'1999-12-31 23:59:59.5'", "1999-12-31 23:59:59.5"),
        ]),
        MysqlType::new(
            "m_datetime_6",
            "datetime(6)",
            "timestamp without time zone",
            ("TIMESTAMP", Class::Text),
        )
        .arrive(&[
            ("'1000-01-01 00:00:00.000001'", "1000-01-01 00:00:00.000001"),
            ("'9999-12-31 23:59:59.999999'", "9999-12-31 23:59:59.999999"),
        ]),
        MysqlType::new(
            "m_timestamp",
            "timestamp",
            "timestamp(0) with time zone",
            ("TIMESTAMPTZ(0)", Class::Text),
        )
        .kept(&[
            ("'1970-01-01 00:00:01'", "1970-01-01 00:00:01+00", "1970-01-01 00:00:01+00:00"),
            ("'2024-10-27 00:30:00'", "2024-10-27 00:30:00+00", "2024-10-27 00:30:00+00:00"),
            ("'2038-01-19 03:14:07'", "2038-01-19 03:14:07+00", "2038-01-19 03:14:07+00:00"),
        ])
        .unreadable(&["'0000-00-00 00:00:00'"]),
        MysqlType::new(
            "m_timestamp_6",
            "timestamp(6)",
            "timestamp with time zone",
            ("TIMESTAMPTZ", Class::Text),
        )
        .kept(&[
            (
                "'1970-01-01 00:00:01.000001'",
                "1970-01-01 00:00:01.000001+00",
                "1970-01-01 00:00:01.000001+00:00",
            ),
            (
                "'2038-01-19 03:14:07.999999'",
                "2038-01-19 03:14:07.999999+00",
                "2038-01-19 03:14:07.999999+00:00",
            ),
        ]),
        // A span, and no time of a day.
        MysqlType::new("m_time", "time", "interval", ("INTERVAL", Class::Text)).kept(&[
            ("'00:00:00'", "00:00:00", "PT0S"),
            ("'23:59:59'", "23:59:59", "PT23H59M59S"),
            ("'-00:00:01'", "-00:00:01", "PT-1S"),
            ("'24:00:00'", "24:00:00", "PT24H"),
            ("'838:59:59'", "838:59:59", "PT838H59M59S"),
            ("'-838:59:59'", "-838:59:59", "PT-838H-59M-59S"),
        ]),
        MysqlType::new("m_time_6", "time(6)", "interval", ("INTERVAL", Class::Text)).kept(&[
            ("'-00:00:00.000001'", "-00:00:00.000001", "PT-0.000001S"),
            ("'100:00:00.5'", "100:00:00.5", "PT100H0.5S"),
            ("'-837:59:59.999999'", "-837:59:59.999999", "PT-837H-59M-59.999999S"),
        ]),
    ]
}
