//! Running other programs in the repository's root, with their output shown as it comes.

use std::{
    env,
    io::{self, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::Failure;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the root")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    announce(command);
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::failed(format!("{} failed", text(command)))) }
}

/// Runs it to its end, passing its standard output on to `shown` and each line of it to `line` as well.
/// Returns whether it succeeded.
pub(crate) fn run_and_read(
    command: &mut Command,
    shown: &mut impl Write,
    mut line: impl FnMut(&str),
) -> Result<bool, Failure> {
    announce(command);
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(command, &error))?;
    let mut output = child.stdout.take().expect("it was asked for");
    let mut pending = vec![];
    let mut piece = vec![0; 4096];
    loop {
        let read = output.read(&mut piece).map_err(|error| Failure::failed(error.to_string()))?;
        if read == 0 {
            break;
        }
        // As it comes, not line by line: a test's name is shown before it is done.
        let passed_on = shown.write_all(&piece[..read]).and_then(|()| shown.flush());
        passed_on.map_err(|error| Failure::failed(error.to_string()))?;
        pending.extend_from_slice(&piece[..read]);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            line(&String::from_utf8_lossy(&pending[..end]));
            pending.drain(..=end);
        }
    }
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    Ok(status.success())
}

fn announce(command: &Command) {
    eprintln!("$ {}", text(command));
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    Failure::failed(format!("could not run `{}`: {error}", text(command)))
}

/// The command as one would type it.
fn text(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| format!(" {}", argument.to_string_lossy()));
    program.into_owned() + &arguments.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_the_end_is_told() {
        let (mut shown, mut lines) = (vec![], vec![]);
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; printf 'two\nrest'; exit 3"]);
        let succeeded = run_and_read(&mut command, &mut shown, |line| lines.push(line.to_owned())).ok();
        assert_eq!((succeeded, lines), (Some(false), vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(shown, b"one\ntwo\nrest");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run(&mut Command::new("/no/such/program")).err().unwrap();
        assert!(failure.message.contains("could not run `program`"), "{}", failure.message);
    }
}
