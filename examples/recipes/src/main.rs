//! `cargo run -p recipes` lists the recipes, and `cargo run -p recipes -- todos` serves one.

use std::error::Error;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use followthrough::{Lifecycle, Router, ShutdownReport, serve};
use followthrough_sqlx_postgres::Pool;
use recipes::{
    RECIPES, blocking, chat, consume_body, deadlines, dependency_injection, error_handling, form,
    graceful_shutdown, holds, idempotency, jwt, key_value_store, metrics, multipart, not_found,
    postgres, request_id, reverse_proxy, sqlite, sse, static_files, streaming, testing, tls, todos,
    validator, versioning, worker, workflow,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgPool, SqlitePool};
use tokio::net::TcpListener;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

type Failure = Box<dyn Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for recipe in RECIPES {
            println!("{:22}{}", recipe.name, recipe.question());
        }
        return ExitCode::SUCCESS;
    };
    let levels = Targets::new().with_default(tracing::Level::INFO);
    let levels = levels.with_target("followthrough", tracing::Level::DEBUG);
    let lines = tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines.with_writer(std::io::stderr)).with(levels).init();
    match run(&name, arguments.collect()).await {
        Ok(report) => {
            eprintln!("{report}");
            report.exit()
        }
        Err(error) => {
            eprintln!("recipes: {error}");
            ExitCode::from(2)
        }
    }
}

/// Serves a recipe on port 3000 until a signal.
async fn run(name: &str, arguments: Vec<String>) -> Result<ShutdownReport, Failure> {
    // The recipes are one program, and two of them take keys.
    let settings = Lifecycle::builder().idempotency(idempotency::keys());
    let settings = match name {
        "deadlines" => deadlines::settings(settings),
        "graceful_shutdown" => graceful_shutdown::settings(settings),
        _ => settings,
    };
    let lifecycle = settings.build()?;
    let port = SocketAddr::from((Ipv4Addr::LOCALHOST, 3000));
    if name == "tls" {
        let [certificates, key] = &arguments[..] else {
            return Err("expected two PEM files: `tls cert.pem key.pem`".into());
        };
        let config = tls::config(Path::new(certificates), Path::new(key))?;
        let listener = TcpListener::bind(port).await?;
        println!("listening on https://{port}");
        return Ok(tls::run(listener, config, lifecycle).await?);
    }
    let app = app(name, arguments.into_iter().next(), &lifecycle).await?;
    let listener = TcpListener::bind(port).await?;
    println!("listening on http://{port}");
    Ok(serve(listener, app).lifecycle(lifecycle).await?)
}

/// Returns the routes of a recipe. Some take an argument: a folder, a file or an address.
async fn app(
    name: &str,
    argument: Option<String>,
    lifecycle: &Lifecycle,
) -> Result<Router, Failure> {
    let or = |default: &str| argument.clone().unwrap_or_else(|| default.to_owned());
    let folder = || PathBuf::from(or("."));
    Ok(match name {
        "blocking" => blocking::app(blocking::Steps::default()),
        "chat" => chat::app(),
        "consume_body" => consume_body::app(consume_body::Letters::default()),
        "deadlines" => deadlines::app(deadlines::Orders::default()),
        "dependency_injection" => {
            let users = dependency_injection::in_memory::Users::default();
            dependency_injection::app(users, std::time::SystemTime::now)
        }
        "error_handling" => error_handling::app(error_handling::Shop::default()),
        "form" => form::app(form::GuestBook::default()),
        "graceful_shutdown" => graceful_shutdown::app(lifecycle),
        "holds" => holds::app(holds::Seats::default()),
        "idempotency" => idempotency::app(idempotency::Bank::default()),
        "jwt" => jwt::app(
            jwt::Keys::of(or("the secret of a demonstration").as_bytes()),
            jwt::Messages::default(),
        ),
        "key_value_store" => key_value_store::app(key_value_store::Store::default()),
        "metrics" => metrics::app().merge(metrics::operations(lifecycle)),
        "multipart" => multipart::app(folder()),
        "not_found" => not_found::app(),
        "postgres" => {
            let pool = Pool::new(PgPool::connect(&or("postgres://localhost/postgres")).await?);
            postgres::prepare(&pool).await?;
            postgres::app(pool)
        }
        "request_id" => request_id::app(),
        "reverse_proxy" => reverse_proxy::app(or("127.0.0.1:8080").parse()?),
        "sqlite" => {
            let file = SqliteConnectOptions::new().filename(or("bank.db")).create_if_missing(true);
            let db = SqlitePool::connect_with(file).await?;
            sqlite::prepare(&db).await?;
            sqlite::app(db)
        }
        "sse" => sse::app(),
        "static_files" => static_files::app(&folder()),
        "streaming" => streaming::app(folder()),
        "testing" => testing::app(testing::Shop::new(std::time::Duration::from_secs(1))),
        "todos" => todos::app(todos::Todos::open(Path::new(&or("todos.jsonl"))).await?),
        "validator" => validator::app(),
        "versioning" => versioning::app(),
        "worker" => worker::app(lifecycle, worker::Printer),
        "workflow" => workflow::app(or("127.0.0.1:8080").parse()?),
        _ => {
            return Err(
                format!("unknown recipe `{name}`: `cargo run -p recipes` lists them").into()
            );
        }
    })
}
