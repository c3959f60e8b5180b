//! The time that followthrough adds to the first build of a service.

use std::collections::BTreeMap;

use crate::{
    Failure, cpu,
    scratch::{Package, Scratch, runtime},
};

const ROUNDS: usize = 2;

/// The dependencies of such a service without followthrough.
const SERVICE: &str = "[dependencies]\n\
    axum = \"0.8\"\n\
    tokio = { version = \"1\", features = [\"rt-multi-thread\", \"macros\", \"net\", \"signal\", \"time\"] }\n\
    tokio-util = \"0.7\"\n\
    tracing = \"0.1\"\n\
    serde = { version = \"1\", features = [\"derive\"] }\n\
    syn = { version = \"3\", features = [\"full\", \"visit\", \"visit-mut\"] }\n";

const SOURCE: &str = "use axum::{Router, routing::get};\n\n\
    #[tokio::main]\n\
    async fn main() {\n    \
        let app = Router::new().route(\"/\", get(|| async { \"ok\" }));\n    \
        let listener = tokio::net::TcpListener::bind(\"127.0.0.1:0\").await.unwrap();\n    \
        axum::serve(listener, app).await.unwrap();\n\
    }\n";

/// A side of the comparison: the least time of each package.
struct Side {
    scratch: Scratch,
    total: f64,
    packages: BTreeMap<String, f64>,
}

impl Side {
    fn new(name: &str, manifest: &str) -> Result<Self, Failure> {
        let package = Package { name: "service", manifest, source: SOURCE };
        let scratch = Scratch::new(name, &[package])?;
        Ok(Self { scratch, total: f64::INFINITY, packages: BTreeMap::new() })
    }

    fn build(&mut self) -> Result<(), Failure> {
        self.scratch.cold()?;
        let before = cpu::of_children()?;
        let runs = self.scratch.compile(&["build"])?;
        self.total = self.total.min(cpu::of_children()? - before);
        let mut packages = BTreeMap::new();
        for run in runs {
            *packages.entry(run.package).or_insert(0.0) += run.seconds;
        }
        for (package, seconds) in packages {
            let least = self.packages.entry(package).or_insert(f64::INFINITY);
            *least = least.min(seconds);
        }
        Ok(())
    }
}

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let mut without = Side::new("cold-without", SERVICE)?;
    // The same dependencies with HTTP/2, which followthrough enables in packages that the service
    // already has.
    let http2 =
        SERVICE.replace("axum = \"0.8\"", "axum = { version = \"0.8\", features = [\"http2\"] }");
    let mut http2 = Side::new("cold-http2", &http2)?;
    let mut with = Side::new("cold-with", &format!("{SERVICE}{}", runtime()))?;
    for _ in 0..ROUNDS {
        without.build()?;
        http2.build()?;
        with.build()?;
    }
    println!("| cold `cargo build` of a service, least of {ROUNDS} | s | over the first | aim |");
    println!("|---|---:|---:|---:|");
    println!("| axum, tokio, tokio-util, tracing, serde, syn | {:.1} | | |", without.total);
    let over = http2.total - without.total;
    println!("| the same, and axum's `http2` | {:.1} | {over:+.1} | |", http2.total);
    let over = with.total - without.total;
    println!("| the first, and followthrough | {:.1} | {over:+.1} | 3.0 |", with.total);
    // Only these packages certainly come from followthrough. The others were compiled at another
    // time.
    for (name, other) in [("the first", &without), ("the second", &http2)] {
        let new =
            with.packages.iter().filter(|(package, _)| !other.packages.contains_key(*package));
        let sum: f64 = new.map(|(_, seconds)| seconds).sum();
        println!("| of that, packages that {name} has not | {sum:.1} | | |");
    }
    println!();
    let zero = |side: &Side, package| side.packages.get(package).copied().unwrap_or(0.0);
    let mut rows: Vec<_> = with
        .packages
        .iter()
        .map(|(package, with)| (package, *with, zero(&http2, package), zero(&without, package)))
        .filter(|(_, with, _, without)| (with - without).abs() >= 0.1)
        .collect();
    rows.sort_by(|a, b| (b.1 - b.3).total_cmp(&(a.1 - a.3)));
    println!(
        "| package, where it differs by 0.1 s | without | with `http2` | with followthrough | more |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (package, with, http2, without) in rows {
        println!("| {package} | {without:.2} | {http2:.2} | {with:.2} | {:+.2} |", with - without);
    }
    Ok(())
}
