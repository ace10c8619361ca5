//! Dates, times and spans.
//!
//! SQLite's own functions know the years 1 to 9999 and no infinity; what is beyond is refused there.

use super::{Case, Class};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("t_date", "date", ("DATE", Class::Text), "date")
            .mysql("date", "date")
            .same(&["0001-01-01", "1582-10-10", "1970-01-01", "2024-02-29", "9999-12-31"])
            .refused(&[
                "infinity",
                "-infinity",
                "0001-12-31 BC",
                "4713-01-01 BC",
                "10000-01-01",
                "5874897-12-31",
            ]),
        Case::new("t_time", "time", ("TIME", Class::Text), "time without time zone")
            .mysql("time(6)", "interval")
            .same(&["00:00:00", "00:00:00.000001", "12:30:00.5", "23:59:59.999999", "24:00:00"]),
        Case::new("t_time_3", "time(3)", ("TIME(3)", Class::Text), "time(3) without time zone")
            .mysql("time(3)", "interval")
            .same(&["23:59:59.999", "24:00:00"]),
        Case::opaque(
            "t_timetz",
            "timetz",
            &["00:00:00-15:59:59", "24:00:00+14", "12:00:00.000001+05:45", "23:59:59.999999+00"],
        ),
        Case::opaque("t_timetz_0", "time(0) with time zone", &["12:00:00-03"]),
        Case::new("t_timestamp", "timestamp", ("TIMESTAMP", Class::Text), "timestamp without time zone")
            .mysql("datetime(6)", "timestamp without time zone")
            .same(&[
                "0001-01-01 00:00:00",
                "1969-12-31 23:59:59.999999",
                "1999-12-31 23:59:59",
                "2000-01-01 00:00:00.000001",
                "9999-12-31 23:59:59.999999",
            ])
            .refused(&[
                "infinity",
                "-infinity",
                "0001-12-31 23:59:59.999999 BC",
                "10000-01-01 00:00:00",
                "4714-11-24 00:00:00 BC",
                "294246-12-31 23:59:59.999999",
            ])
            // 64 bits count microseconds from 1970 here, and from 2000 there.
            .unreadable(&["294247-01-10 04:00:54.775808", "294276-12-31 23:59:59.999999"]),
        Case::new(
            "t_timestamp_0",
            "timestamp(0)",
            ("TIMESTAMP(0)", Class::Text),
            "timestamp(0) without time zone",
        )
        .mysql("datetime", "timestamp(0) without time zone")
        .same(&["1999-12-31 23:59:59"]),
        Case::new(
            "t_timestamp_3",
            "timestamp(3)",
            ("TIMESTAMP(3)", Class::Text),
            "timestamp(3) without time zone",
        )
        .mysql("datetime(3)", "timestamp(3) without time zone")
        .same(&["1999-12-31 23:59:59.001", "1999-12-31 23:59:59.5"]),
        Case::new("t_timestamptz", "timestamptz", ("TIMESTAMPTZ", Class::Text), "timestamp with time zone")
            .mysql("timestamp(6)", "timestamp with time zone")
            .kept(&[
                ("0001-01-01 00:00:00+00", "0001-01-01 00:00:00+00:00"),
                ("1969-12-31 23:59:59.999999+00", "1969-12-31 23:59:59.999999+00:00"),
                ("2024-03-31 02:30:00+05:45", "2024-03-30 20:45:00+00:00"),
                ("9999-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999+00:00"),
            ])
            .refused(&["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"])
            // A `timestamp` of MySQL counts seconds from 1970 to 2038.
            .mysql_refuses(&[
                "0001-01-01 00:00:00+00",
                "1969-12-31 23:59:59.999999+00",
                "9999-12-31 23:59:59.999999+00",
            ])
            .unreadable(&["294276-12-31 23:59:59.999999+00"]),
        Case::new(
            "t_timestamptz_3",
            "timestamptz(3)",
            ("TIMESTAMPTZ(3)", Class::Text),
            "timestamp(3) with time zone",
        )
        .mysql("timestamp(3)", "timestamp(3) with time zone")
        .kept(&[("2024-01-01 00:00:00.125+00", "2024-01-01 00:00:00.125+00:00")]),
        // Months, days and microseconds, each with its own sign.
        Case::new("t_interval", "interval", ("INTERVAL", Class::Text), "interval")
            .mysql("longtext", "text")
            .kept(&[
                ("0", "PT0S"),
                ("1 mon", "P1M"),
                ("30 days", "P30D"),
                ("24:00:00", "PT24H"),
                ("-00:00:00.000001", "PT-0.000001S"),
                ("1 year 2 mons -3 days 04:05:06.7", "P1Y2M-3DT4H5M6.7S"),
                ("-1 year -2 mons +3 days -04:05:06.789", "P-1Y-2M3DT-4H-5M-6.789S"),
                (
                    "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807",
                    "P178956970Y7M2147483647DT2562047788H54.775807S",
                ),
                (
                    "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807",
                    "P-178956970Y-8M-2147483648DT-2562047788H-54.775807S",
                ),
            ]),
        Case::new("t_interval_0", "interval(0)", ("INTERVAL", Class::Text), "interval")
            .mysql("longtext", "text")
            .kept(&[("1 day 00:00:01", "P1DT1S")]),
        Case::new("t_interval_days", "interval day to second(3)", ("INTERVAL", Class::Text), "interval")
            .mysql("longtext", "text")
            .kept(&[("1 day 02:03:04.005", "P1DT2H3M4.005S")]),
    ]
}
