//! The output of `scan`.

mod support;

use cargo_followthrough::{Format, scan};
use std::{fs, path::Path};
use support::{commit, copy, fixture, package, run, stderr, stdout};

/// Compares `text` with a file. `SNAPSHOTS=overwrite` writes it.
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite") {
        fs::write(&path, text).expect("the snapshot is written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}: `SNAPSHOTS=overwrite cargo test` records it anew");
}

#[test]
fn each_format_of_the_shop() {
    // A folder in no repository, so that the paths are the same wherever this repository is.
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy(&fixture("shop"), folder.path());
    for (format, name) in [
        (Format::Table, "shop.txt"),
        (Format::Json, "shop.json"),
        (Format::Sarif, "shop.sarif"),
        (Format::Github, "shop.github"),
    ] {
        let (report, notes) = scan(folder.path(), format).expect("the shop is a package");
        assert_eq!(notes, Vec::<String>::new());
        snapshot(name, &report);
    }
}

#[test]
fn a_policy_that_is_there_is_reported_as_it_is() {
    for (attribute, shown) in [
        ("#[cancellable(read)]", "cancellable(read)"),
        ("#[followthrough::durable_write]", "durable_write"),
        ("#[must_land]", "durable_write"),
        ("#[exempt(reason = \"a probe\")]", "exempt(reason = \"a probe\")"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let main = format!(
            "use followthrough::durable_write as must_land;\n\
             fn r() -> Router {{ Router::new().route(\"/\", post(handler)) }}\n{attribute}\nasync fn handler() {{}}"
        );
        package(folder.path(), main);
        let (report, _) = scan(folder.path(), Format::Json).expect("a package");
        let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
        assert_eq!(report["handlers"][0]["present"], shown);
    }
}

#[test]
fn routes_across_the_packages_of_a_workspace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (api, web) = (folder.path().join("api"), folder.path().join("web"));
    package(
        &web,
        "use the_api as api; fn app() -> Router { Router::new().nest(\"/v1\", api::users::routes()) }",
    );
    let manifest = fs::read_to_string(web.join("Cargo.toml")).expect("the manifest");
    let manifest = format!(
        "{manifest}[dependencies]\nthe_api = {{ package = \"shop-api\", path = \"../api\" }}\n"
    );
    fs::write(web.join("Cargo.toml"), manifest).expect("the manifest is written");
    fs::create_dir_all(api.join("src")).expect("the folder is made");
    fs::write(api.join("Cargo.toml"), "[package]\nname = \"shop-api\"\n")
        .expect("the manifest is written");
    fs::write(api.join("src/lib.rs"), "pub mod users;").expect("the source is written");
    let users = "pub fn routes() -> Router { Router::new().route(\"/users\", get(list)) } async fn list() {}";
    fs::write(api.join("src/users.rs"), users).expect("the source is written");
    let (report, _) = scan(folder.path(), Format::Table).expect("a workspace");
    assert!(
        report.contains("GET     /v1/users  users::list  api/src/users.rs:1  read"),
        "{report}"
    );
}

/// `get` of a router that is part of the workspace, as axum is in its own repository.
#[test]
fn a_method_function_of_the_workspace_is_one_of_a_router() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let main = "use routing::get;
        mod routing { pub fn get<H>(handler: H) -> MethodRouter { let m = MethodRouter::new(); m.of(handler); return m; } }
        fn r() -> Router { Router::new().route(\"/\", get(handler)) }
        async fn handler() {}";
    package(folder.path(), main);
    let (report, _) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("GET     /     handler  src/main.rs:4"), "{report}");
}

#[test]
fn two_closures_on_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(
        folder.path(),
        "fn r() -> Router { Router::new().route(\"/\", get(|| async { \"ok\" }).post(|State(db)| async move { db.insert(1).await })) }",
    );
    let (report, _) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("2 handlers behind 2 routes"), "{report}");
    assert!(report.contains("0 with a write behind GET"), "{report}");
}

#[test]
fn a_handler_that_is_not_found_is_said_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    package(
        folder.path(),
        "fn r() -> Router { Router::new().route(\"/\", get(elsewhere::handler)) }",
    );
    let (report, _) = scan(folder.path(), Format::Table).expect("a package");
    assert!(report.contains("the handler was not found"), "{report}");
    assert!(report.contains("1 route without a handler that was found"), "{report}");
}

#[test]
fn a_handler_that_another_crate_makes_is_not_found() {
    for (handler, is_found) in [
        ("other_crate::handler_for(3)", false),
        ("handler_for(3)", false),
        ("Factory::handler(3)", false),
        ("Redirect::permanent(\"/\")", true),
        ("axum::Json(3)", true),
        ("Html(\"a\")", true),
        ("StatusCode::NO_CONTENT", true),
        ("(StatusCode::OK, \"a\")", true),
        ("\"a\"", true),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        package(
            folder.path(),
            format!("fn r() -> Router {{ Router::new().route(\"/\", post({handler})) }}"),
        );
        let output = run(&["scan", "--fail-on", "unannotated"], folder.path());
        assert_eq!(output.status.code(), Some(i32::from(!is_found)), "{handler}");
        let shown = stdout(&output);
        assert_eq!(shown.contains("1 constant response"), is_found, "{handler}: {shown}");
    }
}

#[test]
fn a_bare_file_name() {
    let shop = fixture("shop");
    let whole = stdout(&run(&["scan"], &shop));
    let output = run(&["scan", "Cargo.toml"], &shop);
    assert_eq!((stderr(&output).as_str(), stdout(&output)), ("", whole));
    let output = run(&["scan", "main.rs"], &shop.join("src"));
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains("orders::list  "), "{}", stdout(&output));
}

/// Code scanning looks for files from the root of the repository.
#[test]
fn paths_for_code_scanning_begin_at_the_root_of_the_repository() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = folder.path().join("services/shop");
    package(
        &service,
        "fn r() -> Router { Router::new().route(\"/\", get(h)).route(\"/b\", get(b::c)) }\nasync fn h() {}",
    );
    let paths = |folder: &Path, path: &str, expected: &str| {
        for (format, line) in [
            ("github", format!("file={expected},line=2,")),
            ("github", format!("file={expected},line=1,title=unresolved")),
            ("sarif", format!("\"uri\": \"{expected}\"")),
            ("table", "src/main.rs:2".to_owned()),
        ] {
            let shown = stdout(&run(&["scan", "--format", format, path], folder));
            assert!(shown.contains(&line), "{line}: {shown}");
        }
    };
    paths(folder.path(), "services/shop", "services/shop/src/main.rs");
    paths(&service, ".", "src/main.rs");
    commit(folder.path());
    paths(folder.path(), "services/shop", "services/shop/src/main.rs");
    paths(&service, ".", "services/shop/src/main.rs");
}

#[test]
fn fail_on_sets_the_exit_code() {
    let shop = fixture("shop");
    let output = run(&["scan", "--fail-on", "write-behind-get"], &shop);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: 1 handler behind GET that write: route them behind POST\n");
    assert!(stdout(&output).starts_with("METHOD"), "the report is there, too");
    let output =
        run(&["scan", "--fail-on", "unannotated,write-behind-get", "--format", "github"], &shop);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 2);
    let output = run(&["scan"], &shop);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_command_line_that_is_not_understood_ends_in_code_2() {
    for args in [
        vec!["scan", "--format", "xml"],
        vec!["inspect"],
        vec!["scan", "--fail-on", "everything"],
        vec![],
    ] {
        let output = run(&args, &fixture("shop"));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}
