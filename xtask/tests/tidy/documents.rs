//! Pages: the ones that people look for are there, and links lead somewhere.

/// What everybody expects in the root.
const FRONT_PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

pub(crate) fn missing_pages(exists: impl Fn(&str) -> bool) -> Vec<String> {
    FRONT_PAGES.iter().filter(|page| !exists(page)).map(|page| format!("{page} is missing")).collect()
}

/// Relative links of a page to files that are not there.
pub(crate) fn dead_links(page: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    links(text)
        .into_iter()
        .filter_map(|(line, link)| {
            let path = link.split(['#', '?']).next().unwrap_or_default();
            let outside = link.contains("://") || link.starts_with("mailto:") || path.is_empty();
            (!outside && !exists(&resolve(folder, path)))
                .then(|| format!("{page}:{line}: `{link}` leads nowhere"))
        })
        .collect()
}

/// A link's path from the root. Parts are taken off here, since a part that does not exist has no parent.
fn resolve(folder: &str, path: &str) -> String {
    let start = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = vec![];
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The targets of inline links and of `[name]: target` lines, with their line; code is left out.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = vec![];
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.extend(target.split_whitespace().next().map(|target| (number + 1, target)));
        }
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2) {
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
            found.extend(targets.map(|target| (number + 1, target.trim_matches(['<', '>']))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_page_is_found() {
        assert_eq!(missing_pages(|page| page != "CHANGELOG.md"), ["CHANGELOG.md is missing"]);
    }

    #[test]
    fn dead_links_are_found_and_others_are_not() {
        let text = "See [a](a.md#part), [b](../b.md \"title\"), [root](/docs/a.md), [web](https://example.org/x).\n\
                    `[no](link.md)` and [here](#part)\n\
                    ```\n[no](link.md)\n```\n\
                    [dead](gone.md) [`code`](also/gone.rs)\n[name]: missing.md\n";
        let exists = |path: &str| ["docs/a.md", "b.md"].contains(&path);
        let found = dead_links("docs/page.md", text, exists);
        assert_eq!(
            found,
            [
                "docs/page.md:6: `gone.md` leads nowhere",
                "docs/page.md:6: `also/gone.rs` leads nowhere",
                "docs/page.md:7: `missing.md` leads nowhere"
            ]
        );
    }
}
