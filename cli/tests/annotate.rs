//! The output of `annotate`, and the files that it writes.

mod support;

use std::{fs, path::Path, process::Command};
use support::{commit, copy, fixture, git, package, run, stderr, stdout};

/// Copies the service that builds, with the path of this repository's crate.
fn ledger() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&fixture("ledger"), folder.path());
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a workspace");
    let manifest = folder.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("the manifest is read");
    let runtime = root.join("runtime");
    fs::write(&manifest, text.replace("RUNTIME", &runtime.to_string_lossy()))
        .expect("the manifest is written");
    // The versions that are here already.
    fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock"))
        .expect("the lock file is copied");
    commit(folder.path());
    folder
}

fn source(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("src").join(name)).expect("the source is read")
}

#[test]
fn the_diff_is_what_git_applies_and_write_writes() {
    let folder = ledger();
    let before = source(folder.path(), "accounts.rs");
    let output = run(&["annotate"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(source(folder.path(), "accounts.rs"), before, "without `--write` no file changes");
    fs::write(folder.path().join("diff"), &output.stdout).expect("the diff is written");
    git(folder.path(), &["apply", "diff"]);
    fs::remove_file(folder.path().join("diff")).expect("the diff is removed");
    let applied = (source(folder.path(), "main.rs"), source(folder.path(), "accounts.rs"));
    git(folder.path(), &["checkout", "--quiet", "."]);
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "src/accounts.rs: 6 attributes\nsrc/main.rs: 1 attribute\n");
    assert_eq!((source(folder.path(), "main.rs"), source(folder.path(), "accounts.rs")), applied);
}

#[test]
fn the_result_builds_and_a_second_time_changes_nothing() {
    let folder = ledger();
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let accounts = source(folder.path(), "accounts.rs");
    for line in [
        "#[allow(clippy::unused_async)]\n#[cancellable(read)]\nasync fn list",
        "#[followthrough::durable_write]\n#[axum::debug_handler]\nasync fn open",
        "    #[cancellable(read)]\n    async fn show",
        "    /* indented, and behind a comment */ #[followthrough::durable_write] async fn close",
        "#[must_land]\nasync fn done",
    ] {
        assert!(accounts.contains(line), "{line}:\n{accounts}");
    }
    let check = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("ledger"))
        .current_dir(folder.path())
        .output()
        .expect("cargo runs");
    assert!(check.status.success(), "{}", stderr(&check));
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "after"]);
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
    assert_eq!(source(folder.path(), "accounts.rs"), accounts);
}

#[test]
fn only_reads_leaves_the_writes() {
    let folder = ledger();
    let diff = stdout(&run(&["annotate", "--only", "reads"], folder.path()));
    assert!(diff.contains("cancellable(read)"), "{diff}");
    assert!(!diff.contains("+#[followthrough::durable_write]"), "{diff}");
}

#[test]
fn a_dirty_tree_is_refused() {
    let folder = ledger();
    fs::write(folder.path().join("note.txt"), "not committed").expect("the file is written");
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: `.` has uncommitted changes: commit or stash them first, so that the edit can be reviewed and undone\n"
    );
    assert!(!source(folder.path(), "main.rs").contains("cancellable"));
}

/// A file that git would not bring back is not edited.
#[test]
fn a_file_that_git_does_not_track_is_left() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "mod made;\nfn r() -> Router { Router::new().route(\"/\", get(h).post(made::h)) }\nasync fn h() {}\n";
    let made = "pub async fn h() {}\n";
    package(folder.path(), main);
    fs::write(folder.path().join("src/made.rs"), made).expect("the source is written");
    fs::write(folder.path().join(".gitignore"), "made.rs\n").expect("the file is written");
    commit(folder.path());
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(source(folder.path(), "made.rs"), made);
    assert!(source(folder.path(), "main.rs").contains("cancellable(read)"));
    let left = "left: src/made.rs:1: `made::h`: git does not track its file";
    assert!(stderr(&output).contains(left), "{}", stderr(&output));
}

#[test]
fn files_that_git_is_told_not_to_show_are_seen() {
    let folder = ledger();
    git(folder.path(), &["config", "status.showUntrackedFiles", "no"]);
    fs::write(folder.path().join("src/new.rs"), "").expect("the file is written");
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("uncommitted changes"), "{}", stderr(&output));
}

#[test]
fn a_folder_outside_of_git_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), "fn main() {}");
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is in no git repository"), "{}", stderr(&output));
}

/// Returns the text after `annotate --write` on a service of one file.
fn annotated(main: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(folder.path(), main);
    commit(folder.path());
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (source(folder.path(), "main.rs"), stderr(&output))
}

#[test]
fn line_ends_marks_and_indents_stay() {
    let main = "\u{feff}fn r() -> Router { Router::new().route(\"/\", get(a::b)) }\r\nmod a {\r\n\tpub async fn b() {}\r\n}";
    let (after, _) = annotated(main);
    let expected = main.replace("\tpub", "\t#[followthrough::cancellable(read)]\r\n\tpub");
    assert_eq!(after, expected);
}

#[test]
fn wide_characters_before_a_handler_on_its_line() {
    let main = "fn r() -> Router { Router::new().route(\"/ü\", get(b)) } /* 🫖 */ async fn b() {}";
    let (after, _) = annotated(main);
    assert_eq!(after, main.replace("async fn b", "#[followthrough::cancellable(read)] async fn b"));
}

#[test]
fn a_stub_under_test_is_not_the_handler() {
    let service = "#[cfg(not(test))] async fn h() { query(\"UPDATE a SET b = 1\"); }\n";
    let stub = "#[cfg(test)] async fn h() {}\n";
    for functions in [format!("{service}{stub}"), format!("{stub}{service}")] {
        let main =
            format!("fn r() -> Router {{ Router::new().route(\"/\", post(h)) }}\n{functions}");
        let (after, _) = annotated(&main);
        let expected = main.replace(
            "#[cfg(not(test))] async",
            "#[cfg(not(test))] #[followthrough::durable_write] async",
        );
        assert_eq!(after, expected);
    }
}

/// Macros that hold a handler as a route, and names of other things, are no other use.
#[test]
fn macros_beside_a_handler() {
    let main = "fn r() -> Router { Router::new().route(\"/\", get(h)).routes(routes!(p)) }\n\
         #[utoipa::path(get, path = \"/p\")] async fn p() {}\n\
         async fn h() { select! { x = a.h() => x.p } }\n";
    let (after, notes) = annotated(main);
    assert!(!notes.contains("left"), "{notes}");
    assert_eq!(after.matches("followthrough::cancellable(read)").count(), 2, "{after}");
}

#[test]
fn two_handlers_on_one_line() {
    let main = "fn r() -> Router { Router::new().route(\"/\", get(m::a).post(m::b)) }\nmod m { pub async fn a() {} pub async fn b() {} }\n";
    let (after, _) = annotated(main);
    let expected = main
        .replace("pub async fn a", "#[followthrough::cancellable(read)] pub async fn a")
        .replace("pub async fn b", "#[followthrough::durable_write] pub async fn b");
    assert_eq!(after, expected);
}

#[test]
fn each_handler_that_is_left_to_its_author() {
    for (routes, handler, why) in [
        ("get(h)", "fn h() -> impl Future<Output = ()> {}", "it is not an `async fn`"),
        ("get(h)", "async unsafe fn h() {}", "it is `const`, `unsafe` or `extern`"),
        ("get(h)", "async fn h() {} async fn other() { h().await; }", "uses it, too"),
        (
            "get(h)",
            "async fn h() {} async fn o() { tokio::select! { x = h() => x, } }",
            "uses it, too",
        ),
        (
            "get(h)",
            "async fn h() {} mod o { async fn o() { select! { _ = crate::h() => {} } } }",
            "uses it, too",
        ),
        ("get(h)", "async fn h() {} const ALL: [F; 1] = [h];", "src/main.rs:2 uses it, too"),
        (
            "get(h)",
            "async fn h() {} static F: LazyLock<F> = LazyLock::new(|| call(h));",
            "uses it, too",
        ),
        ("get(h)", "async fn h() {} struct T; impl T { const F: F = h; }", "uses it, too"),
        ("get(h)", "async fn h() { db.save(1).await; }", "a write behind GET"),
        ("post(h)", "async fn h(body: Body) {}", "its body is still arriving"),
        (
            "post(h)",
            "async fn h() { tokio::spawn(work()); }",
            "it throws away the handle of a task",
        ),
        ("post(h)", "async fn h(name: &str) {}", "it borrows a parameter"),
        (
            "get(h)",
            "#[debug_handler] #[instrument(err)] async fn h() {}",
            "has to be above a policy",
        ),
        ("get(T::h)", "struct T; impl Service for T { async fn h() {} }", "it belongs to a trait"),
        (
            "post(h)",
            "#[cfg(not(windows))] async fn h() { db.save(1).await; } #[cfg(windows)] async fn h() {}",
            "`cfg` chooses between it and src/main.rs:2",
        ),
        (
            "get(h)",
            "async fn h() -> Sse<S> { db.save(1).await; Sse::new(rows()) }",
            "`#[durable_write]` on the statement that writes",
        ),
        (
            "post(h)",
            "async fn h(ws: WebSocketUpgrade) { db.save(1).await; }",
            "`#[durable_write]` on the statement that writes",
        ),
        ("get(|| async {})", "", "a closure takes no attribute"),
    ] {
        let main =
            format!("fn r() -> Router {{ Router::new().route(\"/\", {routes}) }}\n{handler}\n");
        let (after, notes) = annotated(&main);
        assert_eq!(after, main, "{handler}");
        assert!(
            notes.starts_with("left: src/main.rs:") && notes.contains(why),
            "{handler}: {notes}"
        );
    }
}

#[test]
fn attributes_of_others_keep_their_order() {
    for (before, after) in [
        (
            "/// Docs.\n#[utoipa::path(get)]\n",
            "/// Docs.\n#[followthrough::cancellable(read)]\n#[utoipa::path(get)]\n",
        ),
        ("#[instrument(err)]\n", "#[instrument(err)]\n#[followthrough::cancellable(read)]\n"),
        (
            "#[instrument(err)]\n#[debug_handler]\n",
            "#[instrument(err)]\n#[followthrough::cancellable(read)]\n#[debug_handler]\n",
        ),
        ("#[cfg(unix)]\n", "#[cfg(unix)]\n#[followthrough::cancellable(read)]\n"),
    ] {
        let main = |attributes: &str| {
            format!(
                "fn r() -> Router {{ Router::new().route(\"/\", get(h)) }}\n{attributes}async fn h() {{}}\n"
            )
        };
        assert_eq!(annotated(&main(before)).0, main(after));
    }
}

#[test]
fn a_renamed_dependency_is_called_by_its_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "fn r() -> Router { Router::new().route(\"/\", get(a).post(b)) }\nasync fn a() {}\nasync fn b() {}\n";
    package(folder.path(), main);
    let manifest = folder.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("the manifest is read");
    fs::write(
        &manifest,
        format!(
            "{text}[dependencies]\nft = {{ package = \"followthrough\", version = \"0.1\" }}\n"
        ),
    )
    .expect("the manifest is written");
    commit(folder.path());
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(stderr(&output), "");
    let after = source(folder.path(), "main.rs");
    assert!(after.contains("#[ft::cancellable(read, crate = ft)]\nasync fn a"), "{after}");
    assert!(after.contains("#[ft::durable_write(crate = ft)]\nasync fn b"), "{after}");
}

#[test]
fn a_missing_dependency_is_said() {
    let main = "fn r() -> Router { Router::new().route(\"/\", get(h)) }\nasync fn h() {}\n";
    let (_, notes) = annotated(main);
    assert_eq!(notes, "add to `[dependencies]` of `Cargo.toml`: followthrough = \"0.1.0\"\n");
}

#[test]
fn a_dependency_of_tests_is_not_one_of_the_service() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "fn r() -> Router { Router::new().route(\"/\", get(h)) }\nasync fn h() {}\n";
    package(folder.path(), main);
    let manifest = folder.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("the manifest is read");
    let tests = "[dev-dependencies]\nft = { package = \"followthrough\", version = \"0.1\" }\n";
    fs::write(&manifest, format!("{text}{tests}")).expect("the manifest is written");
    let output = run(&["annotate"], folder.path());
    let missing = "add to `[dependencies]` of `Cargo.toml`: followthrough = \"0.1.0\"\n";
    assert_eq!(stderr(&output), missing);
    assert!(
        stdout(&output).contains("+#[followthrough::cancellable(read)]"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_handler_that_a_test_routes_as_well_is_annotated() {
    let main = "fn r() -> Router { Router::new().route(\"/\", get(h)) }\nasync fn h() {}\n\
                #[cfg(test)] mod tests { #[test] fn t() { let _ = Router::new().route(\"/x\", get(super::h)); } }\n";
    let (after, _) = annotated(main);
    assert_eq!(
        after,
        main.replace("async fn h", "#[followthrough::cancellable(read)]\nasync fn h")
    );
}

#[test]
fn generated_files_are_left_alone() {
    let main = "// @generated by a tool\nfn r() -> Router { Router::new().route(\"/\", get(h)) }\nasync fn h() {}\n";
    let (after, notes) = annotated(main);
    assert_eq!(after, main);
    assert!(notes.contains("its file is generated: change the generator"), "{notes}");
}

/// The name of the file is as long as a name may be, so the longer one of its new text is refused, for root, too.
#[test]
fn a_file_that_cannot_be_written_leaves_all_as_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = format!("z{}.rs", "z".repeat(250));
    let main = format!(
        "#[path = \"{long}\"] mod b;\nfn r() -> Router {{ Router::new().route(\"/\", get(h).put(b::h)) }}\nasync fn h() {{}}\n"
    );
    package(folder.path(), &main);
    fs::write(folder.path().join("src").join(&long), "pub async fn h() {}\n")
        .expect("the source is written");
    commit(folder.path());
    let output = run(&["annotate", "--write"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let error = stderr(&output);
    assert!(error.starts_with(&format!("error: src/{long}: ")), "{error}");
    assert!(error.contains("nothing is written"), "{error}");
    assert_eq!(source(folder.path(), "main.rs"), main);
    assert_eq!(fs::read_dir(folder.path().join("src")).expect("the folder is read").count(), 2);
}
