//! Asks git whether an edit can be undone.

use crate::{handlers::Service, package};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns an error unless `path` is in a git repository and has no uncommitted changes there.
pub(crate) fn require_clean(path: &Path) -> Result<(), String> {
    let folder = package::folder_of(path);
    let output = Command::new("git")
        .args(["status", "--porcelain", "--untracked-files=all", "--", "."])
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

/// Returns the path of `root` inside its repository, or else inside the working directory, with a `/` last.
pub(crate) fn prefix(root: &Path) -> String {
    let base = top_level(root).or_else(|| env::current_dir().ok());
    let base = base.and_then(|base| base.canonicalize().ok());
    let inside = base.and_then(|base| root.strip_prefix(base).ok().map(Path::to_owned));
    match inside {
        Some(inside) if !inside.as_os_str().is_empty() => {
            format!("{}/", inside.to_string_lossy().replace('\\', "/"))
        }
        _ => String::new(),
    }
}

fn top_level(root: &Path) -> Option<PathBuf> {
    let output = Command::new("git")
        .args(["rev-parse", "--show-toplevel"])
        .current_dir(root)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim_end_matches(['\n', '\r']);
    (output.status.success() && !text.is_empty()).then(|| PathBuf::from(text))
}

/// Leaves the handlers in files that git does not track, or ignores, to their authors: the edit could not be undone.
pub(crate) fn leave_untracked(service: &mut Service) {
    let root = &service.sources.root;
    for handler in &mut service.report.handlers {
        let Ok(insertion) = &handler.edit else { continue };
        let file = &service.sources.get(insertion.file).path;
        if handler.present.is_none() && !is_tracked(root, file) {
            handler.edit = Err(
                "git does not track its file, so the edit could not be undone: commit it first"
                    .to_owned(),
            );
        }
    }
}

fn is_tracked(root: &Path, file: &Path) -> bool {
    Command::new("git")
        .args(["ls-files", "--error-unmatch", "--"])
        .arg(file)
        .current_dir(root)
        .output()
        .is_ok_and(|output| output.status.success())
}
