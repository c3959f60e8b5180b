//! Adds the attributes: where they go, which handlers are left to their author, and how files are written.

mod changes;
mod diff;
mod git;
mod mentions;
mod place;
mod present;
mod write;

pub(crate) use changes::{Change, changes, remarks};
pub(crate) use diff::diff;
pub(crate) use git::{leave_untracked, prefix, require_clean};
pub(crate) use mentions::{Mentions, mentions};
pub(crate) use place::place;
pub(crate) use present::present;
pub(crate) use write::{summary, write};

use crate::source::FileId;
use clap::ValueEnum;
use proc_macro2::LineColumn;

/// An attribute and its place, before the token at `position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insertion {
    pub(crate) file: FileId,
    pub(crate) position: LineColumn,
    pub(crate) attribute: String,
    /// The package of the file, which needs the dependency.
    pub(crate) package: usize,
}

/// The policies to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Selection {
    /// Only `#[cancellable(read)]`
    Reads,
}
