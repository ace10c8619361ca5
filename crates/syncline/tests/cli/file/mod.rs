//! Files at one end or the other.

mod kill;
mod through;
mod trouble;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A folder that Syncline writes, looked into by this test itself.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn at(path: impl AsRef<Path>) -> Self {
        Folder(path.as_ref().to_owned())
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("file:{}{query}", self.0.display())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn manifest(&self, stream: &str) -> Option<Value> {
        let text = fs::read(self.0.join(stream).join("_manifest.json")).ok()?;
        Some(serde_json::from_slice(&text).expect("a manifest is JSON"))
    }

    /// The lines of all listed parts of plain CSV without their headers, in their order by text.
    pub(crate) fn lines(&self, stream: &str) -> Option<Vec<String>> {
        let manifest = self.manifest(stream)?;
        let mut lines = vec![];
        for part in manifest["parts"].as_array().expect("a list") {
            let path = self.0.join(stream).join(part["file"].as_str().expect("a name"));
            let text = fs::read_to_string(&path).expect("a listed part is there");
            assert_eq!(part["bytes"], text.len(), "{}", path.display());
            let before = lines.len();
            lines.extend(text.lines().skip(1).map(str::to_owned));
            assert_eq!(part["rows"], lines.len() - before, "{}", path.display());
        }
        lines.sort_unstable();
        Some(lines)
    }

    /// Fails if anything is there but what manifests list.
    pub(crate) fn nothing_left(&self) {
        for entry in fs::read_dir(&self.0).expect("the folder is there").flatten() {
            let stream = entry.file_name().into_string().expect("a name of ours");
            // How far a pipeline has followed stays.
            if stream.starts_with(".syncline-") && stream.ends_with(".follow") {
                continue;
            }
            assert!(!stream.starts_with('.'), "{stream} is left");
            let manifest = self.manifest(&stream).unwrap_or_else(|| panic!("{stream} has no manifest"));
            let listed: BTreeSet<&str> = manifest["parts"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|part| part["file"].as_str().expect("a name"))
                .collect();
            for file in fs::read_dir(entry.path()).expect("a folder").flatten() {
                let name = file.file_name().into_string().expect("a name of ours");
                let known = ["_manifest.json", "_schema.json"].contains(&name.as_str());
                assert!(known || listed.contains(name.as_str()), "{stream}/{name} is left");
            }
        }
    }
}
