//! A directory for callbacks that cannot be committed, of a test's own.

use std::{fs, path::PathBuf};

use uuid::Uuid;

use super::TestApp;

/// Gone with the test.
pub struct SpoolDirectory(PathBuf);

impl SpoolDirectory {
    /// A name that nothing has yet: the gateway makes the directory.
    pub fn new() -> Self {
        let name = format!("gladia-gateway-spool-{}", Uuid::now_v7());
        Self(std::env::temp_dir().join(name))
    }

    pub fn path(&self) -> &PathBuf {
        &self.0
    }

    /// As a setting.
    pub fn setting(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The files with an ending, by name.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        files.sort();
        files
    }

    /// From now on whatever touches this disk waits, until [`Self::go_on`].
    pub fn stall(&self) {
        fs::write(self.0.join("stalled"), "").unwrap();
    }

    pub fn go_on(&self) {
        fs::remove_file(self.0.join("stalled")).unwrap();
    }

    /// Waits until every callback has been carried out.
    pub async fn wait_until_empty(&self) {
        super::eventually("empty spool", async || {
            self.files("callback").is_empty().then_some(())
        })
        .await;
    }
}

impl Drop for SpoolDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}

impl TestApp {
    /// One gateway whose database can be cut off, with a spool.
    pub async fn with_spool(directory: &SpoolDirectory) -> Self {
        Self::builder()
            .with_database_relay()
            .set("CALLBACK_SPOOL_DIR", directory.setting())
            .start()
            .await
    }
}
