//! Files that are not as they should be end in a note, and never in a panic.

mod support;

use cargo_followthrough::{Format, scan};
use std::{fmt::Write, fs, path::Path};
use support::{package, run, stderr, stdout};

const GOOD: &str = "mod bad;\nfn r() -> Router { Router::new().route(\"/\", get(handler)) }\nasync fn handler() {}\n";

/// Scans a service whose `bad.rs` is `bad`, and returns the only note.
fn note(bad: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), GOOD);
    fs::write(folder.path().join("src/bad.rs"), bad).expect("the source is written");
    let (report, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("1 handler behind 1 route"), "the other file is still read: {report}");
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes[0].clone()
}

#[test]
fn half_written_code() {
    assert_eq!(
        note("fn a() {}\nasync fn b( -> {"),
        "src/bad.rs: not read: line 2 does not parse: cannot parse string into token stream"
    );
    assert!(note("fn a() { let x = ; }").contains("line 1 does not parse"));
}

#[test]
fn bytes_that_are_not_utf_8() {
    assert_eq!(note([b'/', b'/', 0xff]), "src/bad.rs: not read: byte 2 is not UTF-8");
}

#[test]
fn deep_nesting() {
    let deep = format!("fn a() {{ {}1{} }}", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(note(deep), "src/bad.rs: not read: line 1: nested more than 256 deep");
    let chain = format!("fn a() {{ {}1 }}", "!".repeat(100_000));
    assert_eq!(
        note(chain),
        "src/bad.rs: not read: line 1: a statement of more than 4000 operators"
    );
}

/// The largest nesting and the longest chain that are read fit the stack, without optimisation, too.
#[test]
fn nesting_within_the_bounds() {
    let chain = format!("fn a() -> Router {{ Router::new(){} }}", ".layer(x)".repeat(3_000));
    let deep = format!("fn b() {{ {}1{} }}", "(".repeat(240), ")".repeat(240));
    let unary = format!("fn c() {{ {}1 }}", "!".repeat(3_900));
    let types = format!("fn d() -> {}u8{} {{}}", "V<".repeat(1_900), ">".repeat(1_900));
    let branches = format!("fn e() {{ if a {{}} {} }}", "else if a {} ".repeat(3_000));
    for code in [chain, deep, unary, types, branches] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        package(folder.path(), format!("{code} async fn handler() {{}}"));
        let (_, notes) = scan(folder.path(), Format::Table).expect("a package");
        assert_eq!(notes, Vec::<String>::new(), "{}", &code[..40]);
    }
}

#[test]
fn a_file_of_a_hundred_thousand_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut many = String::new();
    for n in 0..50_000 {
        writeln!(many, "async fn h{n}() {{\n}}").expect("a string takes all text");
    }
    package(
        folder.path(),
        format!("fn r() -> Router {{ Router::new().route(\"/\", get(h49999)) }}\n{many}"),
    );
    let (report, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("h49999   src/main.rs:100000"), "{report}");
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn modules_in_a_cycle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), GOOD);
    let cycle = "#[path = \"main.rs\"] mod a;\n#[path = \"bad.rs\"] mod b;\nuse b::*; use a::bad::*; pub use self::x as x;";
    fs::write(folder.path().join("src/bad.rs"), cycle).expect("the source is written");
    let (report, _) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("1 handler behind 1 route"), "{report}");
}

#[test]
fn routers_and_calls_in_a_cycle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "
        fn a() -> Router { b().nest(\"/a\", b()).route(\"/\", get(handler)) }
        fn b() -> Router { let r = a(); r.merge(a()) }
        fn m() -> MethodRouter { m().get(handler) }
        fn c() -> Router { let x = x; Router::new().route(P, m()).route(x, get(x)) }
        const P: &str = Q; const Q: &str = P;
        async fn handler() { one().await } async fn one() { two().await } async fn two() { one().await }";
    package(folder.path(), main);
    let (report, _) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("handler  src/main.rs:7"), "{report}");
}

#[cfg(unix)]
#[test]
fn symbolic_links_in_a_cycle() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), GOOD);
    symlink("..", folder.path().join("src/up")).expect("the link is made");
    symlink("bad.rs", folder.path().join("src/bad.rs")).expect("the link is made");
    let (report, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("1 handler behind 1 route"), "{report}");
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[cfg(unix)]
#[test]
fn a_device_in_place_of_a_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), GOOD);
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("src/bad.rs"))
        .expect("the link is made");
    let (_, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert_eq!(notes, ["/dev/zero: not read: not a regular file"]);
}

#[test]
fn a_module_without_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), "mod a;\n#[cfg(windows)] mod b;\n");
    let (_, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert_eq!(notes, ["src/main.rs:1: `mod a;` has no file"]);
}

#[test]
fn macros_that_make_routes_are_not_expanded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "
        macro_rules! route { ($r:expr, $h:ident) => { $r.route(\"/\", get($h)) } }
        fn r() -> Router { let r = Router::new().route(\"/a\", get(handler)); route!(r, handler); weird! { a => b } }
        async fn handler() { select! { x = a() => {} } }";
    package(folder.path(), main);
    let (report, notes) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("1 handler behind 1 route"), "{report}");
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn a_manifest_that_does_not_parse() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), GOOD);
    fs::write(folder.path().join("Cargo.toml"), "[package\n").expect("the manifest is written");
    let (_, notes) = scan(folder.path(), Format::Table).expect("a folder with a manifest");
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("Cargo.toml: not read: "), "{notes:?}");
}

#[test]
fn a_folder_without_a_package() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(&["scan", "."], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: no `Cargo.toml` in `.` or below: pass the folder of a service\n"
    );
    let output = run(&["scan", "missing"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: `missing`: "), "{}", stderr(&output));
}

#[test]
fn notes_go_to_stderr_and_into_the_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), "mod a;");
    let output = run(&["scan", "--format", "json"], folder.path());
    assert_eq!(stderr(&output), "note: src/main.rs:1: `mod a;` has no file\n");
    let report: serde_json::Value =
        serde_json::from_str(&stdout(&output)).expect("the report is JSON");
    assert_eq!(report["notes"][0], "src/main.rs:1: `mod a;` has no file");
}

/// A write in the file that was not read would be missed.
#[test]
fn fail_on_is_not_green_when_a_file_was_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), "mod bad; fn main() {}");
    for bad in [Some("fn a() { let x = ; }"), None] {
        match bad {
            Some(bad) => fs::write(folder.path().join("src/bad.rs"), bad),
            None => fs::remove_file(folder.path().join("src/bad.rs")),
        }
        .expect("the source is changed");
        let output = run(&["scan", "--fail-on", "write-behind-get"], folder.path());
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).ends_with(
                "error: `--fail-on` is uncertain: not all of the service was read, see the notes\n"
            ),
            "{}",
            stderr(&output)
        );
        assert_eq!(run(&["scan"], folder.path()).status.code(), Some(0));
    }
}

/// Each file of this repository, cut off at several places, is scanned.
#[test]
fn each_file_of_this_repository_cut_off_anywhere() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace");
    let mut files = Vec::new();
    rust_files(root, &mut files);
    assert!(files.len() > 100, "the sources are found");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cut.rs");
    for (index, file) in files.iter().enumerate() {
        let text = fs::read(file).expect("the file is read");
        for part in 1..=3 {
            // Different places in each file, and the same ones in each run.
            let length = (text.len() * part / 3 + index * 37) % (text.len() + 1);
            fs::write(&path, &text[..length]).expect("the file is written");
            let scanned = scan(&path, Format::Json);
            assert!(scanned.is_ok(), "{}, {length} bytes: {scanned:?}", file.display());
        }
    }
}

fn rust_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is read") {
        let path = entry.expect("the entry is read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}
