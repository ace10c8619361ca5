//! What the rules look at: the repository's text files, and what cargo says about its packages.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// The platform whose dependencies count: the one that is released and tested.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Not ours, or made by running things. Folders marked as a cache are left out as well.
const SKIPPED: &[&str] = &[".git", "target", ".syncline", "syncline-demo", "node_modules", "corpus"];

/// A text file; the path is relative to the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// How a dependency is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// A package of the dependency graph, ours or not.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Relative to the root for our own packages.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<(String, Kind)>,
}

pub(crate) struct Repository {
    root: PathBuf,
    pub(crate) files: Vec<File>,
}

/// What cargo says about packages.
pub(crate) struct Graph {
    /// Every package that is built for [`PLATFORM`] with all features, our own included.
    pub(crate) packages: Vec<Package>,
    /// Our own.
    pub(crate) members: Vec<Package>,
}

/// Read once for all rules.
pub(crate) fn repository() -> &'static Repository {
    static READ: OnceLock<Repository> = OnceLock::new();
    READ.get_or_init(|| {
        let root = root();
        let mut files = vec![];
        read_folder(&root, &root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Repository { root, files }
    })
}

/// Asked for once for all rules.
pub(crate) fn graph() -> &'static Graph {
    static ASKED: OnceLock<Graph> = OnceLock::new();
    ASKED.get_or_init(|| {
        let root = root();
        let metadata = metadata(&root);
        let members: Vec<&str> = array(&metadata, "workspace_members").filter_map(Value::as_str).collect();
        let mut graph = Graph { packages: vec![], members: vec![] };
        for value in array(&metadata, "packages") {
            let package = package(value, &root);
            if value["id"].as_str().is_some_and(|id| members.contains(&id)) {
                graph.members.push(package.clone());
            }
            graph.packages.push(package);
        }
        graph
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the root").to_owned()
}

impl Repository {
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// A file's text, empty if it is not there.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
    }

    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The Cargo.toml files of our packages, not the root's.
    pub(crate) fn member_manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            matches!(
                file.path.split('/').collect::<Vec<_>>().as_slice(),
                ["crates" | "connectors", _, "Cargo.toml"] | ["xtask" | "benches" | "examples", "Cargo.toml"]
            )
        })
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("the repository can be read").flatten() {
        let path = entry.path();
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        if skipped || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !path.join("CACHEDIR.TAG").exists() {
                read_folder(root, &path, files);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push(File { path: relative(&path, root), text });
        }
    }
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn metadata(root: &Path) -> Value {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--all-features", "--filter-platform", PLATFORM])
        .current_dir(root)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn package(value: &Value, root: &Path) -> Package {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let manifest = PathBuf::from(text("manifest_path"));
    Package {
        name: text("name"),
        version: text("version"),
        license: value["license"].as_str().map(str::to_owned),
        folder: manifest.parent().map(|folder| relative(folder, root)).unwrap_or_default(),
        dependencies: array(value, "dependencies").map(dependency).collect(),
    }
}

fn dependency(value: &Value) -> (String, Kind) {
    let kind = match value["kind"].as_str() {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    (value["name"].as_str().unwrap_or_default().to_owned(), kind)
}

fn array<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}
