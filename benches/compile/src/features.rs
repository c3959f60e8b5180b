//! The time that each feature adds to the first build of a service, and the size that it adds to the program.

use crate::{Failure, scratch, side::Side};

const ROUNDS: usize = 2;

const AXUM: &str = "[dependencies]\n\
    axum = \"0.8\"\n\
    tokio = { version = \"1\", features = [\"rt-multi-thread\", \"macros\", \"net\"] }\n";

/// A service, and the row that its own is compared with.
struct Service {
    name: &'static str,
    over: Option<usize>,
    features: Option<&'static [&'static str]>,
    /// How the program serves `app` on `listener`; without it there is no program to weigh, because most of its size
    /// would be the caller's choice.
    serves: Option<&'static str>,
}

const ON_AXUM: &str = "axum::serve(listener, app).await.unwrap();";
const WITH_US: &str = "followthrough::serve(listener, app).await.unwrap().exit()";
const WITH_TOML: &str = "let text = std::env::args().next().unwrap();
    let deadlines = followthrough::Overrides::from_toml(&text).unwrap();
    let lifecycle = followthrough::Lifecycle::builder().overrides(deadlines).build().unwrap();
    followthrough::serve(listener, app).lifecycle(lifecycle).await.unwrap().exit()";

const WITH_METRICS: &str = "let facade = followthrough::observe::MetricsFacade::new();
    let lifecycle = followthrough::Lifecycle::builder().observer(facade.clone()).build().unwrap();
    facade.set_gauges(&lifecycle);
    followthrough::serve(listener, app).lifecycle(lifecycle).await.unwrap().exit()";

const SERVICES: [Service; 10] = [
    Service { name: "axum, tokio", over: None, features: None, serves: Some(ON_AXUM) },
    Service { name: "none", over: Some(0), features: Some(&[]), serves: Some(WITH_US) },
    Service { name: "`http2`", over: Some(1), features: Some(&["http2"]), serves: Some(WITH_US) },
    Service { name: "`toml`", over: Some(1), features: Some(&["toml"]), serves: Some(WITH_TOML) },
    Service { name: "`tls`", over: Some(1), features: Some(&["tls"]), serves: None },
    Service { name: "`reqwest`", over: Some(1), features: Some(&["reqwest"]), serves: None },
    Service {
        name: "`metrics`",
        over: Some(1),
        features: Some(&["metrics"]),
        serves: Some(WITH_METRICS),
    },
    Service {
        name: "`opentelemetry`",
        over: Some(1),
        features: Some(&["opentelemetry"]),
        serves: None,
    },
    Service { name: "`lambda`", over: Some(1), features: Some(&["lambda"]), serves: None },
    Service { name: "`testing`", over: Some(2), features: Some(&["testing"]), serves: None },
];

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let mut sides = Vec::new();
    for (row, service) in SERVICES.iter().enumerate() {
        let manifest = match service.features {
            Some(features) => format!("{AXUM}{}", scratch::runtime_with(features)),
            None => AXUM.to_owned(),
        };
        let source = source(service.serves.unwrap_or(WITH_US));
        sides.push(Side::new(&format!("features-{row}"), &manifest, &source)?);
    }
    for _ in 0..ROUNDS {
        for side in &mut sides {
            side.build()?;
        }
    }
    let mut programs = Vec::new();
    for (side, service) in sides.iter().zip(&SERVICES) {
        programs.push(service.serves.map(|_| side.size()).transpose()?);
    }
    println!("| feature | over | crates | their cold build, least of {ROUNDS}, s | program, kB |");
    println!("|---|---|---:|---:|---:|");
    for (row, service) in SERVICES.iter().enumerate() {
        let (name, side) = (service.name, &sides[row]);
        let Some(over) = service.over else {
            let (crates, seconds) = (side.packages().len() - 1, side.seconds());
            let bytes = programs[row].map_or(String::new(), |bytes| (bytes / 1000).to_string());
            println!("| {name} | | {crates} | {seconds:.1} | {bytes} |");
            continue;
        };
        let (crates, seconds) = side.packages_over(&sides[over]);
        let bytes = programs[row].zip(programs[over]).map_or(String::new(), |(with, without)| {
            format!("+{}", with.saturating_sub(without) / 1000)
        });
        println!("| {name} | {} | +{crates} | +{seconds:.1} | {bytes} |", SERVICES[over].name);
    }
    Ok(())
}

fn source(serves: &str) -> String {
    format!(
        "use axum::{{Router, routing::get}};\n\n\
         #[tokio::main]\n\
         async fn main() {{\n    \
             let app = Router::new().route(\"/\", get(|| async {{ \"ok\" }}));\n    \
             let listener = tokio::net::TcpListener::bind(\"127.0.0.1:0\").await.unwrap();\n    \
             {serves}\n\
         }}\n"
    )
}
