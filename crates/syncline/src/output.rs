//! What is printed: reports on standard output, what happens meanwhile on standard error; with
//! `--output json` one object a line on standard output.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use syncline_types::{Error, civil::write_timestamp};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl Output {
    /// Prints a line of a report, for people only.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        if self == Output::Text {
            print(&mut std::io::stdout(), text.as_ref());
        }
    }

    /// Prints an object, for programs only.
    pub(crate) fn object(self, value: &impl Serialize) {
        if self == Output::Json {
            let text = serde_json::to_string(value)
                .unwrap_or_else(|error| json!({"event": "error", "message": error.to_string()}).to_string());
            print(&mut std::io::stdout(), &text);
        }
    }

    /// Prints why it ended badly.
    pub(crate) fn error(self, error: &Error) {
        match self {
            Output::Text => print(
                &mut std::io::stderr(),
                &format!("error: {}. {} [{}]", error.sentence(), error.advice(), error.code()),
            ),
            Output::Json => self.object(&json!({
                "event": "error",
                "code": error.code().to_string(),
                "message": error.sentence(),
                "hint": error.advice(),
            })),
        }
    }
}

/// Whoever closes our output early (`| head`) does not want to hear about it.
fn print(to: &mut dyn Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

/// A table of texts, columns as wide as their widest text; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>], indent: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
            format!("{:indent$}{}", "", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        })
        .collect()
}

/// A count with thin groups: `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// How many there are of something: `1 change`, `2 000 changes`.
pub(crate) fn counted_as(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Bytes in the unit that leaves one to three digits before the point.
pub(crate) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1_000.0 || unit == "TB" {
            return if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_000.0;
    }
    format!("{number} B")
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds if seconds < 3_600.0 => {
            format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
        }
        seconds => {
            format!("{:.0} h {:.0} min", (seconds / 3_600.0).floor(), (seconds % 3_600.0 / 60.0).floor())
        }
    }
}

/// A moment in UTC, to the second.
pub(crate) fn time(micros: i64) -> String {
    let mut text = String::new();
    write_timestamp(micros - micros.rem_euclid(1_000_000), false, &mut text);
    text
}

/// The same for programs, by RFC 3339.
pub(crate) fn told_time(micros: i64) -> String {
    format!("{}Z", time(micros).replace(' ', "T"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([count(7), count(1_234), count(12_345_678)], ["7", "1 234", "12 345 678"]);
        assert_eq!([bytes(999), bytes(1_500), bytes(2_340_000)], ["999 B", "1.5 kB", "2.3 MB"]);
        assert_eq!([duration(3.24), duration(75.0), duration(3_700.0)], ["3.2 s", "1 min 15 s", "1 h 1 min"]);
    }

    #[test]
    fn tables_line_up() {
        let rows = [vec!["a".to_owned(), "b".into()], vec!["long".into(), "ü".into()]];
        assert_eq!(table(&rows, 2), ["  a     b", "  long  ü"]);
    }
}
