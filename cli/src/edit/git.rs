//! Asks git whether an edit can be undone.

use std::{path::Path, process::Command};

/// Returns an error unless `path` is in a git repository and has no uncommitted changes there.
pub(crate) fn require_clean(path: &Path) -> Result<(), String> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let output = Command::new("git")
        .args(["status", "--porcelain", "--", "."])
        .current_dir(folder)
        .output()
        .map_err(|error| format!("`git status` did not run in `{}`: {error}", folder.display()))?;
    if !output.status.success() {
        return Err(format!(
            "`{}` is in no git repository: commit it to one first, so that the edit can be reviewed and undone",
            folder.display()
        ));
    }
    if !output.stdout.is_empty() {
        return Err(format!(
            "`{}` has uncommitted changes: commit or stash them first, so that the edit can be reviewed and undone",
            folder.display()
        ));
    }
    Ok(())
}
