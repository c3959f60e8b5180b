//! The report as a JSON object, for programs.

use crate::handlers::{Handler, Report};
use serde_json::{Value, json};

pub(super) fn render(report: &Report) -> String {
    let unresolved: Vec<Value> = report
        .unresolved
        .iter()
        .map(|route| {
            json!({
                "method": route.method, "path": route.path, "place": route.place, "expression": route.text,
            })
        })
        .collect();
    let notes: Vec<String> = report.notes.iter().map(ToString::to_string).collect();
    let value = json!({
        "version": 1,
        "handlers": report.handlers.iter().map(handler).collect::<Vec<_>>(),
        "unresolved": unresolved,
        "constants": report.constants,
        "services": report.services,
        "notes": notes,
    });
    format!("{value:#}\n")
}

fn handler(handler: &Handler) -> Value {
    let routes: Vec<Value> = handler
        .routes
        .iter()
        .map(|(method, path)| json!({ "method": method, "path": path }))
        .collect();
    json!({
        "routes": routes,
        "handler": handler.name,
        "file": handler.file,
        "line": handler.line,
        "present": handler.present,
        "suggested": handler.suggestion.policy.to_string(),
        "confidence": handler.suggestion.confidence.to_string(),
        "reason": handler.suggestion.reason,
        "write_behind_get": handler.suggestion.write_behind_get,
        "left_to_author": handler.edit.as_ref().err(),
    })
}
