//! Columns for people.

use super::count;
use crate::handlers::{Handler, Report};
use std::fmt::Write;

const HEADINGS: [&str; 7] =
    ["METHOD", "PATH", "HANDLER", "PLACE", "POLICY", "CONFIDENCE", "REASON"];

pub(super) fn render(report: &Report) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for handler in &report.handlers {
        rows.extend(rows_of(handler));
    }
    for route in &report.unresolved {
        rows.push([
            route.method.clone(),
            route.path.clone(),
            route.text.clone(),
            route.place.clone(),
            "?".to_owned(),
            String::new(),
            "the handler was not found".to_owned(),
        ]);
    }
    let mut text = String::new();
    if rows.len() > 1 {
        columns(&rows, &mut text);
        text.push('\n');
    }
    summary(report, &mut text);
    text
}

/// Returns a row for each route. Only the first has the handler.
fn rows_of(handler: &Handler) -> Vec<[String; 7]> {
    let suggestion = &handler.suggestion;
    let mut reason = suggestion.reason.clone();
    if suggestion.write_behind_get {
        reason.push_str("; WRITE BEHIND GET");
    }
    let confidence = match handler.present {
        Some(_) => "present".to_owned(),
        None => suggestion.confidence.to_string(),
    };
    let mut rest = [
        handler.name.clone(),
        format!("{}:{}", handler.file, handler.line),
        handler.policy(),
        confidence,
        reason,
    ];
    let mut rows = Vec::new();
    for (method, path) in &handler.routes {
        let [name, place, policy, confidence, reason] = std::mem::take(&mut rest);
        rows.push([method.clone(), path.clone(), name, place, policy, confidence, reason]);
    }
    rows
}

fn columns(rows: &[[String; 7]], text: &mut String) {
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn summary(report: &Report, text: &mut String) {
    let handlers = report.handlers.len();
    let routes: usize = report.handlers.iter().map(|handler| handler.routes.len()).sum();
    let present = report.handlers.iter().filter(|handler| handler.present.is_some()).count();
    let behind_get =
        report.handlers.iter().filter(|handler| handler.suggestion.write_behind_get).count();
    let _ = write!(
        text,
        "{} behind {}; {present} with a policy, {behind_get} with a write behind GET",
        count(handlers, "handler", "handlers"),
        count(routes, "route", "routes"),
    );
    for (number, one, many) in [
        (report.constants, "constant response", "constant responses"),
        (report.services, "service without a handler", "services without a handler"),
        (
            report.unresolved.len(),
            "route without a handler that was found",
            "routes without a handler that was found",
        ),
    ] {
        if number > 0 {
            let _ = write!(text, "; {}", count(number, one, many));
        }
    }
    text.push('\n');
}
