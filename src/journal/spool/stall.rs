//! Where the disk can be made to stand still, for tests that show what goes on without it: a volume that is away may not fail,
//! but let everybody wait. It is a tool for developers, and exists only with the feature `dev-tools`.

use std::path::Path;

/// While the directory holds a file of this name, whatever touches the disk waits.
#[cfg(feature = "dev-tools")]
const STALLED: &str = "stalled";

/// Waits here, if that is asked for.
#[inline]
pub(super) fn wait_in(directory: &Path) {
    #[cfg(feature = "dev-tools")]
    while directory.join(STALLED).exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    #[cfg(not(feature = "dev-tools"))]
    let _ = directory;
}

/// Waits in the directory of a file.
#[inline]
pub(super) fn wait_beside(path: &Path) {
    if let Some(directory) = path.parent() {
        wait_in(directory);
    }
}
