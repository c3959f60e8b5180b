//! The files of the service, each read and parsed once.

use crate::limits;
use proc_macro2::LineColumn;
use std::{
    collections::HashMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// All files together. The positions of the parser are 32 bits wide.
const MAX_TOTAL_BYTES: u64 = 2 << 30;

/// The index of a file in [`Sources`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct FileId(pub(crate) usize);

/// A file as the user sees it, a line and a column.
pub(crate) type Position = (String, usize, usize);

/// A parsed file.
pub(crate) struct SourceFile {
    /// The file itself, symbolic links resolved.
    pub(crate) path: PathBuf,
    /// The path as the user sees it.
    pub(crate) shown: String,
    /// The text without its byte order mark.
    pub(crate) text: String,
    pub(crate) has_mark: bool,
    pub(crate) syntax: syn::File,
}

impl SourceFile {
    /// Returns the byte offset of a position of the parser.
    pub(crate) fn offset(&self, position: LineColumn) -> Option<usize> {
        let mut start = 0;
        for _ in 1..position.line {
            start += self.text[start..].find('\n')? + 1;
        }
        let rest = &self.text[start..];
        let column =
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(position.column)?;
        Some(start + column)
    }
}

/// Something that the scan could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) place: String,
    pub(crate) text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// The files of the service, and the notes on those that could not be read.
pub(crate) struct Sources {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<SourceFile>,
    pub(crate) notes: Vec<Note>,
    /// `None` for a file that has a note.
    seen: HashMap<PathBuf, Option<FileId>>,
    bytes: u64,
}

impl Sources {
    /// Makes an empty set. Paths are shown relative to `root`.
    pub(crate) fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Self { root, files: Vec::new(), notes: Vec::new(), seen: HashMap::new(), bytes: 0 }
    }

    pub(crate) fn shown(&self, path: &Path) -> String {
        let shown = path.strip_prefix(&self.root).unwrap_or(path);
        shown.to_string_lossy().replace('\\', "/")
    }

    pub(crate) fn note(&mut self, place: impl Into<String>, text: impl Into<String>) {
        let note = Note { place: place.into(), text: text.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Reads and parses `path`. Returns `None`, with a note, if that fails, and the same file for each link to it.
    pub(crate) fn load(&mut self, path: &Path) -> Option<FileId> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(known) = self.seen.get(&path) {
            return *known;
        }
        let loaded = self.parse(&path);
        let id = match loaded {
            Ok(file) => {
                self.files.push(file);
                Some(FileId(self.files.len() - 1))
            }
            Err(text) => {
                self.note(self.shown(&path), text);
                None
            }
        };
        self.seen.insert(path, id);
        id
    }

    fn parse(&mut self, path: &Path) -> Result<SourceFile, String> {
        let metadata = fs::metadata(path).map_err(|error| format!("not read: {error}"))?;
        if !metadata.is_file() {
            return Err("not read: not a regular file".to_owned());
        }
        self.bytes += metadata.len();
        if metadata.len() > limits::MAX_BYTES || self.bytes > MAX_TOTAL_BYTES {
            return Err(format!("not read: {} bytes are too many", metadata.len()));
        }
        let bytes = fs::read(path).map_err(|error| format!("not read: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            format!("not read: byte {} is not UTF-8", error.utf8_error().valid_up_to())
        })?;
        limits::check(&text).map_err(|why| format!("not read: {why}"))?;
        let (has_mark, text) = match text.strip_prefix('\u{feff}') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, text),
        };
        let syntax = syn::parse_file(&text).map_err(|error| {
            format!("not read: line {} does not parse: {error}", error.span().start().line)
        })?;
        Ok(SourceFile { shown: self.shown(path), path: path.to_owned(), text, has_mark, syntax })
    }

    pub(crate) fn get(&self, id: FileId) -> &SourceFile {
        &self.files[id.0]
    }
}
