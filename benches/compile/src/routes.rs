//! Compiling an application with many routes: with followthrough's router and with axum's.

use std::fmt::Write as _;

use crate::{
    Failure,
    handlers::{HANDLERS, MANIFEST},
    scratch::{IDENTITY, Package, Scratch, runtime},
    table,
};

const ROUNDS: usize = 3;

/// The routers, the package of each, and the most that each may cost over the first.
const WAYS: [(&str, &str, &str, Option<f64>); 2] = [
    ("axum", "through-axum", "the same handlers through `axum::Router`", None),
    ("followthrough", "through-ours", "through `followthrough::Router`", Some(0.0)),
];

const COMMON: &str = include_str!("handlers/common.rs.in");

fn source(router: &str) -> String {
    let mut source = COMMON.to_owned();
    let mut app = String::new();
    let _ = writeln!(source, "\nuse {router}::{{Router, routing::{{delete, get, post, put}}}};");
    source.push_str("use followthrough::{cancellable, durable_write};\n");
    for number in 0..HANDLERS {
        let (attribute, method, extra) = match number % 4 {
            0 => ("#[cancellable(read)]", "get", ""),
            1 => ("#[durable_write]", "post", ", Json(order): Json<Order>"),
            2 => (
                "#[cancellable(read)]\n#[deadline = \"10s\"]",
                "get",
                ", _cancel: CancellationToken",
            ),
            _ => ("#[cancellable(idempotent_write)]", "put", ", Json(order): Json<Order>"),
        };
        let _ = writeln!(
            source,
            "\n{attribute}\nasync fn handler_{number}(State(db): State<Db>, Path(id): Path<u64>{extra})\
             \n    -> Result<Json<u64>, AppError>\n{{\
             \n    db.notify(id).await?;\n    Ok(Json(id))\n}}"
        );
        let _ = writeln!(app, "        .route(\"/r{number}/{{id}}\", {method}(handler_{number}))");
    }
    let _ = writeln!(
        source,
        "\npub fn app() -> Router {{\n    Router::new()\n{app}        .with_state(Db)\n}}"
    );
    source
}

/// Prints the tables.
pub(crate) fn run() -> Result<(), Failure> {
    let manifest = format!("{MANIFEST}{}", runtime());
    let sources = WAYS.map(|way| source(way.0));
    let mut packages = vec![IDENTITY];
    for (way, source) in WAYS.iter().zip(&sources) {
        packages.push(Package { name: way.1, manifest: &manifest, source });
    }
    let scratch = Scratch::new("routes", &packages)?;
    for how in ["check", "build"] {
        for way in &WAYS {
            scratch.compile(&[how, "--package", way.1])?;
        }
        let least = table::least(ROUNDS, &WAYS, |way| scratch.recompile(how, way.1))?;
        let rows: Vec<(&str, f64)> = WAYS.iter().zip(least).map(|(way, s)| (way.2, s)).collect();
        let head = format!("`cargo {how}` of {HANDLERS} routes, least of {ROUNDS}");
        table::print(&head, &rows, &WAYS.map(|way| way.3));
        println!();
    }
    Ok(())
}
