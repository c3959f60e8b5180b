//! Writes files: all of them, or none.
//!
//! Each new text goes to a file beside its target first. Only when all of them are there does the first rename happen,
//! because a rename on one file system either succeeds or leaves the target as it was.

use super::Change;
use std::{
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// Writes all changes.
///
/// # Errors
///
/// Returns a message for the file that could not be written. The files are then as before.
pub(crate) fn write(changes: &[Change]) -> Result<(), String> {
    let mut prepared = Vec::new();
    for change in changes {
        match prepare(change) {
            Ok(temporary) => prepared.push(temporary),
            Err(error) => {
                discard(&prepared);
                return Err(format!("{}: {error}; nothing is written", change.shown));
            }
        }
    }
    for (index, (change, temporary)) in changes.iter().zip(&prepared).enumerate() {
        if let Err(error) = fs::rename(temporary, &change.path) {
            discard(&prepared[index..]);
            let restored = changes[..index]
                .iter()
                .try_for_each(|done| fs::write(&done.path, text(done, &done.before)));
            let state = match restored {
                Ok(()) => "all files are as before".to_owned(),
                Err(error) => format!("and undoing failed, {error}: run `git checkout .`"),
            };
            return Err(format!("{}: {error}; {state}", change.shown));
        }
    }
    Ok(())
}

fn discard(temporaries: &[PathBuf]) {
    for temporary in temporaries {
        // A file that stays behind is named after this program, and git shows it.
        let _ = fs::remove_file(temporary);
    }
}

fn text(change: &Change, text: &str) -> String {
    if change.has_mark { format!("\u{feff}{text}") } else { text.to_owned() }
}

fn prepare(change: &Change) -> io::Result<PathBuf> {
    if fs::read_to_string(&change.path)? != text(change, &change.before) {
        return Err(io::Error::other(
            "the file has changed since it was read: run the command again",
        ));
    }
    let name = change.path.file_name().unwrap_or_default().to_string_lossy();
    let folder = change.path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".{name}.followthrough-{}", std::process::id()));
    let written = fs::write(&temporary, text(change, &change.after))
        .and_then(|()| fs::set_permissions(&temporary, fs::metadata(&change.path)?.permissions()));
    if let Err(error) = written {
        discard(std::slice::from_ref(&temporary));
        return Err(error);
    }
    Ok(temporary)
}

/// Returns a line for each file that was written.
pub(crate) fn summary(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let count = change.attributes.len();
        let noun = if count == 1 { "attribute" } else { "attributes" };
        let _ = writeln!(text, "{}: {count} {noun}", change.shown);
    }
    text
}
