//! Files beside the store, and the contents of the store's files.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::World;

impl World {
    /// A path beside the store.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("the path is UTF-8").to_owned()
    }

    /// Creates a directory beside the store. Returns its path.
    pub fn directory(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir(&path).expect("the directory can be created");
        path
    }

    /// Writes a private file beside the store. Returns its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("the file can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the mode can be set");
        path
    }

    /// Fails unless this file contains a secret and a newline, and nothing else, and `verify` prints this answer for
    /// it.
    #[track_caller]
    pub fn assert_file_holds(&self, path: &str, answer: &str) {
        let content = fs::read_to_string(path).expect("the file can be read");
        assert_eq!(content.len(), 43, "a secret and a newline: {content:?}");
        assert_eq!(self.verify(&content, &[]).1, answer);
    }

    /// The name and the content of every file in the store.
    pub fn bytes(&self) -> Vec<(OsString, Vec<u8>)> {
        let mut all: Vec<_> = std::fs::read_dir(self.store())
            .expect("the directory can be read")
            .map(|entry| entry.expect("the entry can be read"))
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).expect("the file can be read")))
            .collect();
        all.sort();
        all
    }

    /// The names of temporary files that deliveries left in the directory `out`.
    pub fn temporaries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).expect("the directory can be read");
        let names = entries.map(|entry| {
            entry.expect("the entry can be read").file_name().into_string().expect("the text is UTF-8")
        });
        names.filter(|name| name.starts_with(".tokenctl-")).collect()
    }
}
