//! Globs over stream names: `shop.order_*`, `order_{eu,us}`, `**`.

use globset::{GlobBuilder, GlobMatcher};
use syncline_types::{Error, Result, StreamName, codes};

/// A glob over `namespace.table`. `*` and `?` do not cross the dot, `**` does. Without a dot it
/// means tables of the default namespace; `**` alone means all there are.
#[derive(Clone, Debug)]
pub struct NameGlob {
    matcher: GlobMatcher,
    /// Whether it names a namespace.
    qualified: bool,
    everything: bool,
}

/// What stands for the dot between namespace and table while matching: `*` does not cross it.
const SEPARATOR: &str = "/";
/// What stands for a `/` inside a name.
const SLASH: &str = "\u{1}";

impl NameGlob {
    /// Reads a glob.
    ///
    /// # Errors
    /// [`codes::BAD_VALUE`] when it is none, such as `[a`.
    pub fn new(glob: &str) -> Result<Self> {
        let pattern = glob.replace('/', SLASH).replacen('.', SEPARATOR, 1);
        let matcher = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| {
                Error::new(&codes::BAD_VALUE, "read the pattern", format!("`{glob}`")).because(error.kind())
            })?
            .compile_matcher();
        Ok(NameGlob { matcher, qualified: glob.contains('.'), everything: glob == "**" })
    }

    /// Whether a name matches; `in_default`: it is in the connection's default namespace.
    pub fn matches(&self, name: &StreamName, in_default: bool) -> bool {
        let table = name.table.replace('/', SLASH);
        if self.everything {
            return true;
        }
        match (&name.namespace, self.qualified) {
            (_, false) => in_default && self.matcher.is_match(table),
            (Some(namespace), true) => {
                self.matcher.is_match(format!("{}{SEPARATOR}{table}", namespace.replace('/', SLASH)))
            }
            (None, true) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_on_their_side_of_the_dot() {
        let matches = |glob: &str, name: &str, in_default| {
            NameGlob::new(glob).unwrap().matches(&StreamName::parse(name).unwrap(), in_default)
        };
        for (glob, name, in_default, expected) in [
            ("order_*", "public.order_items", true, true),
            ("order_*", "other.order_items", false, false),
            ("shop.order_*", "shop.order_items", false, true),
            ("shop.*", "shop2.orders", false, false),
            ("s*.orders", "shop.orders", false, true),
            ("*.orders", "shop.orders", false, true),
            ("**", "any.thing", false, true),
            ("order_{eu,us}", "public.order_us", true, true),
            ("order_[ab]", "public.order_c", true, false),
            ("*", "public.a/b", true, true),
            ("*", "public.\"a.b\"", true, true),
        ] {
            assert_eq!(matches(glob, name, in_default), expected, "{glob} {name}");
        }
        assert_eq!(NameGlob::new("[a").unwrap_err().code(), &codes::BAD_VALUE);
    }
}
