//! The time that followthrough adds to the first build of a service.

use crate::{
    Failure,
    scratch::{runtime, runtime_with},
    side::Side,
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

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let http2 =
        SERVICE.replace("axum = \"0.8\"", "axum = { version = \"0.8\", features = [\"http2\"] }");
    let mut without = Side::new("cold-without", SERVICE, SOURCE)?;
    let mut http1_only =
        Side::new("cold-http1-only", &format!("{SERVICE}{}", runtime_with(&[])), SOURCE)?;
    // The same dependencies with HTTP/2, which followthrough enables in packages that the service
    // already has.
    let mut http2 = Side::new("cold-http2", &http2, SOURCE)?;
    let mut with = Side::new("cold-with", &format!("{SERVICE}{}", runtime()), SOURCE)?;
    for _ in 0..ROUNDS {
        without.build()?;
        http1_only.build()?;
        http2.build()?;
        with.build()?;
    }
    println!("| cold `cargo build` of a service, least of {ROUNDS} | s | over axum | aim |");
    println!("|---|---:|---:|---:|");
    println!("| axum, tokio, tokio-util, tracing, serde, syn | {:.1} | | |", without.seconds());
    let (seconds, over) = (http1_only.seconds(), http1_only.over(&without));
    println!("| the same, and followthrough without `http2` | {seconds:.1} | {over:+.1} | 4.0 |");
    println!("| with axum's `http2` | {:.1} | | |", http2.seconds());
    let (seconds, over) = (with.seconds(), with.over(&http2));
    println!("| the same, and followthrough | {seconds:.1} | {over:+.1} | 3.0 |");
    println!();
    let mut rows: Vec<_> = with
        .packages()
        .into_iter()
        .map(|package| {
            (package, [&without, &http1_only, &http2, &with].map(|side| side.seconds_of(package)))
        })
        .filter(|(_, [without, .., with])| (with - without).abs() >= 0.1)
        .collect();
    rows.sort_by(|a, b| (b.1[3] - b.1[0]).total_cmp(&(a.1[3] - a.1[0])));
    println!(
        "| package, where it differs by 0.1 s | axum | and followthrough without `http2` \
         | axum with `http2` | and followthrough |"
    );
    println!("|---|---:|---:|---:|---:|");
    for (package, [without, http1_only, http2, with]) in rows {
        println!("| {package} | {without:.2} | {http1_only:.2} | {http2:.2} | {with:.2} |");
    }
    Ok(())
}
