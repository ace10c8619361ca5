//! The program on all tables at once: what its plan says, what was rejected, and its verdict.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::desk::{Desk, number};

/// Rows of a stream that were rejected, by code.
pub(crate) type Rejected = BTreeMap<String, BTreeMap<String, u64>>;

/// The exit code of a verification that found differences.
const DIFFERENT: i32 = 3;

/// Rows that are refused do not end it.
const SET_ASIDE: &[&str] = &["--name", "types", "--on-error", "dead_letter"];

/// A route between two databases, over the tables that a glob names.
pub(crate) struct Route<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) glob: &'a str,
}

/// What a plan says of a stream.
pub(crate) struct Planned {
    /// The type that the column `v` gets.
    pub(crate) target_type: String,
    pub(crate) warnings: Vec<String>,
}

/// What verification found in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Rows that did not arrive.
    pub(crate) missing: u64,
    /// Rows that the source cannot hand out.
    pub(crate) unreadable: u64,
    /// Rows that are not what they were, or come from nowhere.
    pub(crate) wrong: u64,
}

impl Route<'_> {
    fn command(&self, command: &[&str], options: &[&str]) -> Vec<String> {
        let ends = [self.from, self.to, "--stream", self.glob];
        [command, &ends, options].concat().into_iter().map(str::to_owned).collect()
    }

    /// What is planned for each table.
    pub(crate) fn plan(&self) -> BTreeMap<String, Planned> {
        let ran = self.desk.run(&self.command(&["plan"], &[])).expect_code(0);
        let plan = ran.of("plan").remove(0);
        // The source's findings about all its tables stand with the first one.
        let all: Vec<String> = list(&plan["streams"]).iter().flat_map(warnings).collect();
        let of = |name: &str| {
            let names = [format!("`{name}`"), format!(".{name}`")];
            all.iter().filter(|told| names.iter().any(|name| told.contains(name))).cloned().collect()
        };
        let planned = |stream: &Value| {
            let name = table(&stream["stream"]);
            (name.clone(), Planned { target_type: target_type(stream), warnings: of(&name) })
        };
        let planned: BTreeMap<String, Planned> = list(&plan["streams"]).iter().map(planned).collect();
        let told = planned.values().map(|planned| planned.warnings.len()).sum::<usize>();
        assert_eq!(told, all.len(), "each warning names its table: {all:#?}");
        planned
    }

    /// What is planned for each column of a table, and all that the plan warns of.
    pub(crate) fn plan_of_columns(&self, name: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let ran = self.desk.run(&self.command(&["plan"], &[])).expect_code(0);
        let plan = ran.of("plan").remove(0);
        let stream = list(&plan["streams"]).iter().find(|stream| table(&stream["stream"]) == name);
        let stream = stream.unwrap_or_else(|| panic!("{name} is not planned: {plan}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let columns = list(&stream["columns"]).iter();
        (
            columns.map(|column| (text(&column["name"]), text(&column["target_type"]))).collect(),
            warnings(stream),
        )
    }

    /// The tables that the plan refuses with this code, and no other.
    pub(crate) fn blocked(&self, code: &str) -> BTreeSet<String> {
        let ran = self.desk.run(&self.command(&["plan"], &[])).expect_code(1);
        let plan = ran.of("plan").remove(0);
        let mut blocked = BTreeSet::new();
        for stream in list(&plan["streams"]) {
            for finding in list(&stream["findings"]).iter().filter(|finding| finding["severity"] == "blocker")
            {
                assert_eq!(finding["code"], code, "{finding}");
                blocked.insert(table(&stream["stream"]));
            }
        }
        blocked
    }

    /// Copies all, and returns what was rejected.
    pub(crate) fn copy(&self, options: &[&str]) -> Rejected {
        self.desk.run(&self.command(&["copy"], &[SET_ASIDE, options].concat())).done();
        self.letters()
    }

    /// Follows up to where the log ends, and returns what was rejected.
    pub(crate) fn follow(&self) -> Rejected {
        let follow = ["--sync", "follow", "--until-caught-up"];
        self.desk.run(&self.command(&["copy"], &[SET_ASIDE, &follow].concat())).expect_code(0);
        self.letters()
    }

    fn letters(&self) -> Rejected {
        let letters = self.desk.run(&["dlq", "list", "types"]).expect_code(0);
        let mut rejected = Rejected::new();
        for letter in letters.of("dead_letter") {
            let code = letter["code"].as_str().expect("a letter has a code").to_owned();
            *rejected.entry(table(&letter["stream"])).or_default().entry(code).or_default() += 1;
        }
        self.desk.run(&["dlq", "drop", "types"]).expect_code(0);
        rejected
    }

    /// Compares both ends.
    pub(crate) fn verify(&self) -> BTreeMap<String, Verdict> {
        let ran = self.desk.run(&self.command(&["verify"], &[]));
        let summary = ran.last();
        assert_eq!(summary["event"], "summary", "{}", ran.finished);
        let verdicts: BTreeMap<String, Verdict> = list(&summary["streams"])
            .iter()
            .map(|stream| {
                let count = |field: &str| number(&stream[field]);
                let wrong = count("different") + count("extra");
                let verdict = Verdict { missing: count("missing"), unreadable: count("unreadable"), wrong };
                (table(&stream["stream"]), verdict)
            })
            .collect();
        let differs = verdicts.values().any(|verdict| *verdict != Verdict::EQUAL);
        let code = if differs { DIFFERENT } else { 0 };
        assert_eq!(ran.finished.code, Some(code), "{}", ran.finished);
        verdicts
    }
}

impl Verdict {
    pub(crate) const EQUAL: Verdict = Verdict { missing: 0, unreadable: 0, wrong: 0 };
}

/// The type that the column `v` gets.
fn target_type(stream: &Value) -> String {
    let column = list(&stream["columns"]).iter().find(|column| column["name"] == "v");
    column.and_then(|column| column["target_type"].as_str()).unwrap_or_default().to_owned()
}

fn warnings(stream: &Value) -> Vec<String> {
    let warnings = list(&stream["findings"]).iter().filter(|finding| finding["severity"] == "warning");
    warnings.map(|finding| finding["message"].as_str().unwrap_or_default().to_owned()).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// A stream's name without its namespace.
fn table(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned()
}
