//! What an update has changed in a JSON document, applied to the document as it was.

use super::{DEPTH_MAX, Raw, write_raw, write_text};
use crate::log::fields::{Broken, Fields};

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// A document of which some members are others now.
enum Node<'a> {
    /// As it lies there.
    Raw(Raw<'a>),
    Object(Vec<(Vec<u8>, Node<'a>)>),
    Array(Vec<Node<'a>>),
}

/// A step on the way to a member.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(Vec<u8>),
    Place(usize),
}

/// Writes the document that these changes make of another one.
pub(in crate::log) fn apply(before: &[u8], changes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
    let mut root = Node::Raw(Raw::read(before)?);
    let mut changes = Fields(changes);
    while !changes.is_empty() {
        let operation = changes.u8()?;
        let path = steps(changes.counted()?)?;
        let value = match operation {
            REPLACE | INSERT => Some(Node::Raw(Raw::read(changes.counted()?)?)),
            REMOVE => None,
            _ => return Err(Broken),
        };
        root.change(operation, &path, value)?;
    }
    root.write(0, out)
}

impl<'a> Node<'a> {
    fn change(&mut self, operation: u8, path: &[Step], value: Option<Node<'a>>) -> Result<(), Broken> {
        let Some((last, way)) = path.split_last() else {
            *self = value.filter(|_| operation == REPLACE).ok_or(Broken)?;
            return Ok(());
        };
        let mut parent = self;
        for step in way {
            parent = parent.member(step)?;
        }
        match (operation, value) {
            (REPLACE, Some(value)) => *parent.member(last)? = value,
            (INSERT, Some(value)) => parent.insert(last, value)?,
            _ => parent.remove(last)?,
        }
        Ok(())
    }

    /// Makes a list of the members of what lies there.
    fn open(&mut self) -> Result<(), Broken> {
        let Node::Raw(raw) = self else { return Ok(()) };
        let container = raw.container().ok_or(Broken)?;
        let places = 0..container.len()?;
        *self = match container.object {
            true => {
                let member = |at| Ok((container.key(at)?.to_vec(), Node::Raw(container.value(at)?)));
                Node::Object(places.map(member).collect::<Result<_, Broken>>()?)
            }
            false => {
                let member = |at| Ok(Node::Raw(container.value(at)?));
                Node::Array(places.map(member).collect::<Result<_, Broken>>()?)
            }
        };
        Ok(())
    }

    fn member(&mut self, step: &Step) -> Result<&mut Node<'a>, Broken> {
        self.open()?;
        match (self, step) {
            (Node::Object(members), Step::Key(name)) => {
                let found = members.iter_mut().find(|(key, _)| key == name);
                found.map(|(_, value)| value).ok_or(Broken)
            }
            (Node::Array(members), Step::Place(at)) => members.get_mut(*at).ok_or(Broken),
            _ => Err(Broken),
        }
    }

    fn insert(&mut self, step: &Step, value: Node<'a>) -> Result<(), Broken> {
        self.open()?;
        match (self, step) {
            (Node::Object(members), Step::Key(name)) => {
                // Keys are in the order of their lengths, then of their bytes.
                let order = |key: &[u8]| (key.len(), key.to_vec());
                let at = members.partition_point(|(key, _)| order(key) < order(name));
                if members.get(at).is_some_and(|(key, _)| key == name) {
                    return Err(Broken);
                }
                members.insert(at, (name.clone(), value));
            }
            (Node::Array(members), Step::Place(at)) => members.insert((*at).min(members.len()), value),
            _ => return Err(Broken),
        }
        Ok(())
    }

    fn remove(&mut self, step: &Step) -> Result<(), Broken> {
        self.open()?;
        match (self, step) {
            (Node::Object(members), Step::Key(name)) => {
                let at = members.iter().position(|(key, _)| key == name).ok_or(Broken)?;
                members.remove(at);
            }
            (Node::Array(members), Step::Place(at)) if *at < members.len() => {
                members.remove(*at);
            }
            _ => return Err(Broken),
        }
        Ok(())
    }

    fn write(&self, depth: usize, out: &mut Vec<u8>) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return Err(Broken);
        }
        let comma = |at: usize, out: &mut Vec<u8>| {
            if at > 0 {
                out.extend(b", ")
            }
        };
        match self {
            Node::Raw(raw) => return write_raw(*raw, depth, out),
            Node::Object(members) => {
                out.push(b'{');
                for (at, (key, value)) in members.iter().enumerate() {
                    comma(at, out);
                    write_text(key, out)?;
                    out.extend(b": ");
                    value.write(depth + 1, out)?;
                }
                out.push(b'}');
            }
            Node::Array(members) => {
                out.push(b'[');
                for (at, value) in members.iter().enumerate() {
                    comma(at, out);
                    value.write(depth + 1, out)?;
                }
                out.push(b']');
            }
        }
        Ok(())
    }
}

/// The steps of a path such as `$.a[3]."b c"`.
fn steps(path: &[u8]) -> Result<Vec<Step>, Broken> {
    let mut rest = std::str::from_utf8(path).map_err(|_| Broken)?.strip_prefix('$').ok_or(Broken)?;
    let mut steps = vec![];
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let step;
        (step, rest) = match first {
            '[' => {
                let (place, after) = after.split_once(']').ok_or(Broken)?;
                (Step::Place(place.trim().parse().map_err(|_| Broken)?), after)
            }
            '.' if after.starts_with('"') => {
                let end = closing_quote(after).ok_or(Broken)?;
                let name: String = serde_json::from_str(&after[..=end]).map_err(|_| Broken)?;
                (Step::Key(name.into_bytes()), &after[end + 1..])
            }
            '.' => {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                (Step::Key(after.as_bytes()[..end].to_vec()), &after[end..])
            }
            _ => return Err(Broken),
        };
        steps.push(step);
    }
    if steps.len() > DEPTH_MAX { Err(Broken) } else { Ok(steps) }
}

/// Where the text ends that begins with a quote.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        if escaped {
            escaped = false;
            return None;
        }
        escaped = byte == b'\\';
        (byte == b'"').then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[7, {"a": 1}]`
    const DOCUMENT: &[u8] = &[2, 2, 0, 24, 0, 5, 7, 0, 0, 10, 0, 1, 0, 13, 0, 11, 0, 1, 0, 5, 1, 0, b'a'];

    fn applied(changes: &[&[u8]]) -> Result<String, Broken> {
        let mut out = vec![];
        apply(DOCUMENT, &changes.concat(), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn changes_make_another_document() {
        assert_eq!(applied(&[]).unwrap(), r#"[7, {"a": 1}]"#);
        let replace = b"\0\x04$[0]\x04\x0c\x02hi";
        let insert = b"\x01\x0a$[1].\"b c\"\x03\x05\x02\0";
        let front = b"\x01\x04$[0]\x02\x04\x01";
        let remove = b"\x02\x06$[2].a";
        assert_eq!(applied(&[replace]).unwrap(), r#"["hi", {"a": 1}]"#);
        assert_eq!(applied(&[replace, insert]).unwrap(), r#"["hi", {"a": 1, "b c": 2}]"#);
        assert_eq!(applied(&[insert, front, remove]).unwrap(), r#"[true, 7, {"b c": 2}]"#);
        for broken in [
            &b"\0\x04$[9]\x02\x04\x01"[..],
            b"\x03\x01$",
            b"\x02\x01$",
            b"\x02\x05$[0].",
            b"\x01\x06$[1].a\x02\x04\x01",
        ] {
            assert_eq!(applied(&[broken]), Err(Broken), "{broken:?}");
        }
    }

    #[test]
    fn paths_have_keys_of_any_letters() {
        let key = |key: &str| Step::Key(key.as_bytes().to_vec());
        assert_eq!(
            steps(br#"$.a[3]."b \"]c".d"#).unwrap(),
            [key("a"), Step::Place(3), key("b \"]c"), key("d")]
        );
        assert_eq!(steps(b"$").unwrap(), []);
        for broken in ["", "a", "$a", "$[x]", "$[1", "$.\"a"] {
            assert_eq!(steps(broken.as_bytes()), Err(Broken), "{broken}");
        }
    }
}
