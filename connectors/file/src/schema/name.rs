//! The names of folders and of hidden files, which any file system takes.

use std::fmt::Write;

use syncline_types::{Error, Result, codes};

/// What file systems give a file's name at most.
const NAME_BYTES_MAX: usize = 255;

/// A pipeline's name takes at most so many bytes of a hidden file's.
const PIPELINE_BYTES_MAX: usize = 120;

/// The folder of a stream: its name, with `/ \ % :`, control characters and a leading dot as `%` and two
/// digits.
///
/// # Errors
/// When no folder can have the name.
pub(crate) fn folder_name(stream: &str) -> Result<String> {
    let name = encode(stream, |c| matches!(c, '/' | '\\' | '%' | ':') || c.is_control());
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name,
    };
    let unfit = |reason: String| {
        Error::new(&codes::NAME_TAKEN, "make a folder for", format!("`{stream}`"))
            .because(reason)
            .hint("Give it another name, as in --stream SRC=DST (to: DST)")
    };
    match name.len() {
        0 => Err(unfit("its name is empty".into())),
        bytes if bytes > NAME_BYTES_MAX => Err(unfit(format!(
            "the folder's name would have {bytes} bytes, and {NAME_BYTES_MAX} are possible"
        ))),
        _ => Ok(name),
    }
}

/// The stream that a folder is named for. What is no name of ours stays as it is.
pub(crate) fn stream_name(folder: &str) -> String {
    let mut bytes = vec![];
    let mut rest = folder.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| folder.to_owned())
}

/// A hidden file of a pipeline beside the streams' folders: `.syncline-PIPELINE.KIND`.
pub(crate) fn hidden(pipeline: &str, kind: &str) -> String {
    let mut name = encode(pipeline, |c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
    if name.len() > PIPELINE_BYTES_MAX {
        let sum = xxhash_rust::xxh3::xxh3_64(pipeline.as_bytes());
        name.truncate(PIPELINE_BYTES_MAX - 20);
        let _ = write!(name, "..{sum:016x}");
    }
    format!("{HIDDEN}{name}.{kind}")
}

/// How every hidden file of ours beside the streams' folders begins.
pub(crate) const HIDDEN: &str = ".syncline-";

fn encode(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_their_streams_names() {
        for (stream, folder) in [
            ("orders", "orders"),
            ("a/b\\c:d%e", "a%2Fb%5Cc%3Ad%25e"),
            (".hidden", "%2Ehidden"),
            ("..", "%2E."),
            ("über größe", "über größe"),
            ("a\nb", "a%0Ab"),
        ] {
            assert_eq!(folder_name(stream).unwrap(), folder);
            assert_eq!(stream_name(folder), stream);
        }
        assert_eq!(stream_name("100%"), "100%");
        assert_eq!(folder_name("").unwrap_err().code(), &codes::NAME_TAKEN);
        assert!(folder_name(&"ü".repeat(128)).is_err());
    }

    #[test]
    fn long_pipelines_stay_apart() {
        let name = |end: &str| hidden(&format!("{}{end}", "x".repeat(300)), "lock");
        assert!(name("a").len() < 200 && name("a") != name("b"));
        assert_eq!(hidden("a/b", "lock"), ".syncline-a%2Fb.lock");
    }
}
