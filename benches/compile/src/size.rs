//! The size of the code that each attribute writes, by nightly's `-Zmacro-stats`, and the time of
//! the expansion.

use std::process::Command;

use crate::{
    Failure, check,
    handlers::HANDLERS,
    scratch::{IDENTITY, Package, Scratch, runtime},
};

const NIGHTLY: &str = "+nightly";
const ROUNDS: usize = 3;

/// The policies, and the attribute of the statement if there is one.
const POLICIES: [(&str, &str); 10] = [
    ("identity", ""),
    ("cancellable(read)", ""),
    ("cancellable(read, deadline = \"10s\")", ""),
    ("cancellable(stream)", ""),
    ("cancellable(idempotent_write)", ""),
    ("cancellable(reversible_write, on_cancel = undo(id))", ""),
    ("durable_write", ""),
    ("exempt(reason = \"answers at once\")", ""),
    ("cancellable(read)", "durable_write"),
    ("cancellable(read)", "deadline = \"2s\""),
];

fn source(policy: &str, site: &str) -> String {
    let site = if site.is_empty() { String::new() } else { format!("#[{site}]\n    ") };
    format!(
        "#![allow(dead_code, unused_imports)]\n\
         use followthrough::{{cancellable, durable_write, exempt}};\n\
         use identity::identity;\n\
         async fn undo(_: u64) {{}}\n\
         async fn work(id: u64) -> Result<u64, axum::http::StatusCode> {{ Ok(id) }}\n\
         #[{policy}]\n\
         async fn handler(axum::extract::Path(id): axum::extract::Path<u64>)\n    \
             -> Result<String, axum::http::StatusCode>\n\
         {{\n    {site}let number = work(id).await?;\n    Ok(number.to_string())\n}}\n"
    )
}

/// Prints the table, or the reason why there is none.
pub(crate) fn run() -> Result<(), Failure> {
    let nightly = Command::new("rustc").args([NIGHTLY, "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        println!(
            "no table of sizes: it needs a nightly compiler, `rustup toolchain install nightly`"
        );
        return Ok(());
    }
    sizes()?;
    println!();
    expansion()
}

fn sizes() -> Result<(), Failure> {
    let manifest = format!(
        "[dependencies]\nidentity = {{ path = \"../identity\" }}\naxum = \"0.8\"\n{}",
        runtime()
    );
    println!(
        "| the code that the attribute of one handler writes | lines | bytes | bytes over the first |"
    );
    println!("|---|---:|---:|---:|");
    let mut first = None;
    for (policy, site) in POLICIES {
        let source = source(policy, site);
        let package = Package { name: "size", manifest: &manifest, source: &source };
        let scratch = Scratch::new("size", &[IDENTITY, package])?.with_toolchain(NIGHTLY);
        let said = scratch.said(&[
            "rustc",
            "--quiet",
            "--package",
            "size",
            "--profile",
            "check",
            "--",
            "-Zmacro-stats",
        ])?;
        let name = policy.split('(').next().unwrap_or(policy);
        let (lines, bytes) = of(&said, name)
            .ok_or_else(|| format!("the compiler gave no counts for `{name}`:\n{said}"))?;
        let over = bytes - *first.get_or_insert(bytes);
        let site =
            if site.is_empty() { String::new() } else { format!(", a statement `#[{site}]`") };
        println!("| `#[{policy}]`{site} | {lines} | {bytes} | {over:+} |");
    }
    Ok(())
}

/// Measures the pass that expands all macros. The pass has only a wall time; the rows differ by the
/// macros' own share.
fn expansion() -> Result<(), Failure> {
    let scratch = check::scratch()?.with_toolchain(NIGHTLY);
    println!(
        "| expanding all macros of {HANDLERS} handlers, least of {ROUNDS} | s | over the first | aim |"
    );
    println!("|---|---:|---:|---:|");
    let mut first = None;
    for (name, way, aim) in [
        ("plain", "an attribute that changes nothing", ""),
        ("policies", "a policy", "0.10"),
        ("sites", "a policy, and one attributed statement", ""),
    ] {
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            scratch.touch(name)?;
            let arguments = [
                "rustc",
                "--quiet",
                "--package",
                name,
                "--profile",
                "check",
                "--",
                "-Ztime-passes",
            ];
            let said = scratch.said(&arguments)?;
            let seconds = said.lines().find(|line| line.ends_with("\tmacro_expand_crate"));
            let seconds =
                seconds.and_then(|line| line.split([' ', ';']).find_map(|word| word.parse().ok()));
            least = least.min(seconds.ok_or("the compiler gave no time for `macro_expand_crate`")?);
        }
        let over = least - *first.get_or_insert(least);
        println!("| {way} | {least:.2} | {over:+.2} | {aim} |");
    }
    Ok(())
}

/// Returns the lines and the bytes of the macro `name`.
fn of(said: &str, name: &str) -> Option<(i64, i64)> {
    let row = said.lines().find(|line| line.contains(&format!("#[{name}]")))?;
    // The columns: macro, uses, lines, average lines, bytes, average bytes.
    let number = |word: &str| word.replace([',', '_'], "").parse().ok();
    let numbers: Vec<f64> = row.split_whitespace().filter_map(number).collect();
    let [_, lines, _, bytes, _] = numbers[..] else { return None };
    #[expect(clippy::cast_possible_truncation, reason = "counts of one handler")]
    Some((lines as i64, bytes as i64))
}
