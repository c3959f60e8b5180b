//! The new text of each file, computed before the first is written.

use super::{Insertion, Selection};
use crate::{
    handlers::{Handler, Service},
    limits,
    policy::Policy,
    source::SourceFile,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// A file and its new text.
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) shown: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) has_mark: bool,
    /// The attributes that are added.
    pub(crate) attributes: Vec<String>,
    /// The packages of the handlers.
    packages: BTreeSet<usize>,
}

/// Computes the changes for the handlers that have no policy.
///
/// # Errors
///
/// Returns a message if a new text does not parse. No file is written then.
pub(crate) fn changes(service: &Service, only: Option<Selection>) -> Result<Vec<Change>, String> {
    let mut by_file: BTreeMap<_, Vec<&Insertion>> = BTreeMap::new();
    for handler in selected(service, only) {
        if let Ok(insertion) = &handler.edit
            && refusal(service, insertion).is_none()
        {
            by_file.entry(insertion.file).or_default().push(insertion);
        }
    }
    let mut changes = by_file
        .into_iter()
        .map(|(file, insertions)| change(service.sources.get(file), &insertions))
        .collect::<Result<Vec<_>, _>>()?;
    changes.sort_by(|a, b| a.shown.cmp(&b.shown));
    Ok(changes)
}

fn selected(service: &Service, only: Option<Selection>) -> impl Iterator<Item = &Handler> {
    service.report.handlers.iter().filter(move |handler| {
        let is_wanted = match only {
            Some(Selection::Reads) => handler.suggestion.policy == Policy::Read,
            None => true,
        };
        handler.present.is_none() && is_wanted
    })
}

/// Returns why a file is left alone.
fn refusal(service: &Service, insertion: &Insertion) -> Option<&'static str> {
    let file = service.sources.get(insertion.file);
    if !file.path.starts_with(&service.sources.root) {
        return Some("its file is outside of the folder that is scanned");
    }
    let is_generated =
        file.text.lines().take(5).any(|line| line.starts_with("//") && line.contains("@generated"));
    is_generated.then_some("its file is generated: change the generator")
}

fn change(file: &SourceFile, insertions: &[&Insertion]) -> Result<Change, String> {
    let unknown = || format!("{}: a handler's place is unknown, so nothing is written", file.shown);
    let mut places = BTreeMap::new();
    for insertion in insertions {
        places.insert(file.offset(insertion.position).ok_or_else(unknown)?, *insertion);
    }
    let line_end = if file.text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut after = String::with_capacity(file.text.len() + 64 * places.len());
    let mut written = 0;
    for (&offset, insertion) in &places {
        after.push_str(&file.text[written..offset]);
        after.push_str(&insertion.attribute);
        let line = file.text[..offset].rfind('\n').map_or(0, |at| at + 1);
        let indent = &file.text[line..offset];
        if indent.chars().all(char::is_whitespace) {
            after.push_str(line_end);
            after.push_str(indent);
        } else {
            after.push(' ');
        }
        written = offset;
    }
    after.push_str(&file.text[written..]);
    if limits::check(&after).is_err() || syn::parse_file(&after).is_err() {
        return Err(format!("{}: the result would not parse, so nothing is written", file.shown));
    }
    Ok(Change {
        path: file.path.clone(),
        shown: file.shown.clone(),
        before: file.text.clone(),
        after,
        has_mark: file.has_mark,
        attributes: places.values().map(|insertion| insertion.attribute.clone()).collect(),
        packages: insertions.iter().map(|insertion| insertion.package).collect(),
    })
}

/// Returns a line for each handler that is left to its author, and for each package without the dependency.
pub(crate) fn remarks(
    service: &Service,
    only: Option<Selection>,
    changes: &[Change],
) -> Vec<String> {
    let mut lines = Vec::new();
    for handler in selected(service, only) {
        let why = match &handler.edit {
            Ok(insertion) => refusal(service, insertion).map(str::to_owned),
            Err(why) => Some(why.clone()),
        };
        if let Some(why) = why {
            lines.push(format!(
                "left: {}:{}: `{}`: {why}",
                handler.file, handler.line, handler.name
            ));
        }
    }
    let packages: BTreeSet<usize> =
        changes.iter().flat_map(|change| change.packages.iter().copied()).collect();
    for package in packages.into_iter().map(|package| &service.packages[package]) {
        if package.followthrough().is_none() {
            let manifest =
                service.sources.shown(&package.manifest.canonicalize().unwrap_or_default());
            let version = env!("CARGO_PKG_VERSION");
            let dependency = if package.depends_on("aide") {
                format!("followthrough = {{ version = \"{version}\", features = [\"aide\"] }}")
            } else {
                format!("followthrough = \"{version}\"")
            };
            lines.push(format!("add to `[dependencies]` of `{manifest}`: {dependency}"));
        }
    }
    lines
}
