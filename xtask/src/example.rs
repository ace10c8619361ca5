//! `cargo x example NAME`: an example from end to end, against servers that it starts itself.

use std::fs;

use crate::{
    Failure,
    nearest::nearest,
    needs,
    run::{cargo, root, run},
};

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    let names = names();
    let known = names.join(", ");
    let [name] = arguments else {
        return Err(Failure::usage(format!("`example` takes the name of one: {known}")));
    };
    if !names.contains(name) {
        return Err(Failure::usage(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("there is no example `{name}`. Did you mean `{near}`?"),
            None => format!("there is no example `{name}`; there are {known}"),
        }));
    }
    needs::ensure(&needs::left_out()?)?;
    run(cargo().args(["build", "--release", "-p", "syncline"]))?;
    let program = format!("example-{name}");
    run(cargo().args(["run", "--release", "-p", "syncline-examples", "--bin", &program]))
}

/// The folders with a pipeline file.
fn names() -> Vec<String> {
    let folders = fs::read_dir(root().join("examples")).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|folder| folder.path().join("syncline.yaml").exists())
        .filter_map(|folder| folder.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_example_is_bad_usage() {
        assert!(names().contains(&"bulk".to_owned()));
        let failure = command(&["bukl".to_owned()]).err().unwrap();
        assert_eq!(failure.code, 2);
        assert!(failure.message.contains("Did you mean `bulk`?"), "{}", failure.message);
        assert_eq!(command(&[]).err().unwrap().code, 2);
    }
}
