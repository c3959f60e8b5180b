//! SARIF 2.1.0.

use super::{Finding, UNANNOTATED, UNRESOLVED, WRITE_BEHIND_GET, findings};
use crate::handlers::Report;
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn render(report: &Report) -> String {
    let notes: Vec<Value> = report
        .notes
        .iter()
        .map(|note| json!({ "level": "note", "message": { "text": note.to_string() } }))
        .collect();
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cargo-followthrough",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://github.com/followthrough-rs/followthrough",
                "rules": [
                    rule(WRITE_BEHIND_GET, "A handler behind GET, HEAD or OPTIONS writes."),
                    rule(UNANNOTATED, "A handler has no cancellation policy."),
                    rule(UNRESOLVED, "The handler of a route was not found."),
                ],
            } },
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notes }],
            "results": findings(report).iter().map(result).collect::<Vec<_>>(),
        }],
    });
    format!("{value:#}\n")
}

fn rule(id: &str, text: &str) -> Value {
    json!({ "id": id, "shortDescription": { "text": text } })
}

fn result(finding: &Finding) -> Value {
    json!({
        "ruleId": finding.rule,
        "level": if finding.is_warning { "warning" } else { "note" },
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&finding.file), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": finding.line.max(1) },
        } }],
    })
}

/// Escapes what a URI reference may not contain.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
