//! Files beside the store, and every byte of the store.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::World;

impl World {
    /// A path beside the store.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Makes a directory beside the store. Returns its path.
    pub fn directory(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir(&path).expect("a directory");
        path
    }

    /// Writes a private file beside the store. Returns its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
        path
    }

    /// Fails unless this file holds a secret with this answer and a newline, and nothing else.
    #[track_caller]
    pub fn assert_file_holds(&self, path: &str, answer: &str) {
        let content = fs::read_to_string(path).expect("a file");
        assert_eq!(content.len(), 43, "a secret and a line end: {content:?}");
        assert_eq!(self.verify(&content, &[]).1, answer);
    }

    /// Every byte of the store's files, by name.
    pub fn bytes(&self) -> Vec<(OsString, Vec<u8>)> {
        let mut all: Vec<_> = std::fs::read_dir(self.store())
            .expect("the store")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).expect("a file")))
            .collect();
        all.sort();
        all
    }

    /// The temporary files of deliveries in the directory `out`.
    pub fn temporaries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        names.filter(|name| name.starts_with(".tokenctl-")).collect()
    }
}
