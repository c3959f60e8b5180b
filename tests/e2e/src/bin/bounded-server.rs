//! A server with every kind of work that may delay a shutdown, for the tests of its bound.
//!
//! Its stdout has the address first, then a line for each thing that begins, and last the report as
//! JSON. Its stderr has the report as text.

use std::{convert::Infallible, env, error::Error, io, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        Path,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::StatusCode,
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use followthrough::{
    Lifecycle, RequestToken, ShutdownToken, cancellable, compensate, durable_write,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, runtime::Builder, time::sleep};

const MS: Duration = Duration::from_millis(1);
/// More than the socket buffers of both sides hold.
const BIG: usize = 64 << 20;

/// Tells the test that `what` has begun.
fn begun(what: &str) {
    println!("{what} begun");
}

#[durable_write]
async fn quick() -> StatusCode {
    begun("quick");
    sleep(500 * MS).await;
    StatusCode::CREATED
}

#[durable_write]
async fn stuck() {
    begun("stuck");
    std::future::pending::<()>().await;
}

#[durable_write]
async fn blocking() {
    let blocks = tokio::task::spawn_blocking(|| {
        begun("blocking");
        std::thread::sleep(Duration::from_mins(1));
    });
    blocks.await.expect("it does not panic");
}

async fn undo() {
    begun("undo");
    std::future::pending::<()>().await;
}

/// The compensation that was registered last runs first.
#[cancellable(reversible_write, on_cancel = undo())]
async fn reversible() {
    let _undo = compensate(undo());
    begun("reversible");
    std::future::pending::<()>().await;
}

/// Blocks the thread that polls the handler for that many milliseconds.
#[cancellable(read)]
async fn block(Path(millis): Path<u64>) {
    begun("block");
    std::thread::sleep(Duration::from_millis(millis));
}

async fn plain_block() {
    begun("plain block");
    std::thread::sleep(Duration::from_mins(1));
}

#[durable_write]
async fn block_write(Path(millis): Path<u64>) {
    begun("block write");
    std::thread::sleep(Duration::from_millis(millis));
}

/// A plain function, because `#[background]` rejects a worker that ignores its token.
async fn deaf_worker(_stop: ShutdownToken) {
    begun("deaf worker");
    std::future::pending::<()>().await;
}

#[cancellable(read)]
async fn hang() {
    begun("hang");
    std::future::pending::<()>().await;
}

async fn plain_hang() {
    begun("plain hang");
    std::future::pending::<()>().await;
}

#[cancellable(read)]
async fn big() -> Vec<u8> {
    begun("big");
    vec![0; BIG]
}

async fn plain_big() -> Vec<u8> {
    begun("plain big");
    vec![0; BIG]
}

fn ticks() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold((), |()| async {
        sleep(20 * MS).await;
        Some((Ok(Event::default().data("tick")), ()))
    }))
}

#[cancellable(stream)]
async fn sse() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ticks()
}

async fn plain_sse() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    ticks()
}

/// An endless stream whose first item is larger than the buffers. Once that item is taken, the
/// stream waits for its reader.
#[cancellable(stream)]
async fn flood() -> Body {
    let chunks = stream::repeat(Bytes::from(vec![0; BIG]));
    Body::from_stream(chunks.inspect(|_| begun("flood")).map(Ok::<_, Infallible>))
}

/// A stream of one item, which is more than the buffers hold. hyper has all of it at once.
#[cancellable(stream)]
async fn one_item() -> Vec<u8> {
    begun("one item");
    vec![0; BIG]
}

/// Reads until the client closes, and ignores its token.
async fn read_for_ever(mut socket: WebSocket) {
    begun("ws");
    while let Some(Ok(_)) = socket.recv().await {}
}

#[cancellable(stream)]
async fn ws(upgrade: WebSocketUpgrade, _token: RequestToken) -> Response {
    upgrade.on_upgrade(read_for_ever)
}

async fn plain_ws(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(read_for_ever)
}

/// Sends a close frame when its token fires, and waits for the close frame of the client.
#[cancellable(stream)]
async fn polite_ws(upgrade: WebSocketUpgrade, token: RequestToken) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        begun("polite ws");
        let told =
            token.run_until_cancelled(async { while let Some(Ok(_)) = socket.recv().await {} });
        if told.await.is_none() {
            let away = CloseFrame { code: close_code::AWAY, reason: "".into() };
            let _ = socket.send(Message::Close(Some(away))).await;
            while let Some(Ok(_)) = socket.recv().await {}
        }
    })
}

fn app(lifecycle: &Lifecycle) -> Router {
    Router::new()
        .route("/ready", get(lifecycle.readiness()))
        .route("/quick", post(quick))
        .route("/stuck", post(stuck))
        .route("/blocking", post(blocking))
        .route("/reversible", post(reversible))
        .route("/block/{millis}", get(block).post(block_write))
        .route("/plain/block", get(plain_block))
        .route("/hang", get(hang))
        .route("/plain/hang", get(plain_hang))
        .route("/big", get(big))
        .route("/plain/big", get(plain_big))
        .route("/sse", get(sse))
        .route("/plain/sse", get(plain_sse))
        .route("/flood", get(flood))
        .route("/one-item", get(one_item))
        .route("/ws", get(ws))
        .route("/plain/ws", get(plain_ws))
        .route("/polite/ws", get(polite_ws))
}

#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Settings {
    grace: Duration,
    read_grace: Duration,
    drain_delay: Duration,
    deaf_worker: bool,
    /// The number of worker threads; 0 for a current-thread runtime.
    workers: usize,
    /// Logs errors to stderr.
    log: bool,
    /// Begins the shutdown at the end of stdin instead of at a signal.
    stdin: bool,
    /// Waits for the end of stdin before the process exits.
    stay: bool,
}

impl Settings {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            grace: 2000 * MS,
            read_grace: 300 * MS,
            drain_delay: Duration::ZERO,
            deaf_worker: false,
            workers: 2,
            log: false,
            stdin: false,
            stay: false,
        };
        let mut args = env::args().skip(1);
        while let Some(flag) = args.next() {
            let mut millis = || -> Result<Duration, Box<dyn Error>> {
                let value = args.next().ok_or_else(|| format!("expected a number after {flag}"))?;
                Ok(Duration::from_millis(value.parse()?))
            };
            match &*flag {
                "--grace-ms" => settings.grace = millis()?,
                "--read-grace-ms" => settings.read_grace = millis()?,
                "--drain-delay-ms" => settings.drain_delay = millis()?,
                "--workers" => settings.workers = usize::try_from(millis()?.as_millis())?,
                "--log" => settings.log = true,
                "--stdin" => settings.stdin = true,
                "--deaf-worker" => settings.deaf_worker = true,
                "--stay" => settings.stay = true,
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        Ok(settings)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_args()?;
    let mut builder = match settings.workers {
        0 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if settings.workers > 0 {
        builder.worker_threads(settings.workers);
    }
    if settings.log {
        let errors = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false);
        errors.with_max_level(tracing::Level::ERROR).init();
    }
    builder.enable_all().build()?.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    let lifecycle = Lifecycle::builder()
        .grace(settings.grace)
        .read_grace(settings.read_grace)
        .drain_delay(settings.drain_delay)
        .signals(!settings.stdin)
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let stopping = lifecycle.stopping();
    tokio::spawn(async move {
        stopping.cancelled().await;
        begun("stopping");
    });
    if settings.deaf_worker {
        lifecycle.spawn("deaf", deaf_worker);
    }
    if settings.stdin {
        let lifecycle = lifecycle.clone();
        std::thread::spawn(move || {
            let _ = io::stdin().read_line(&mut String::new());
            lifecycle.shutdown();
        });
    }
    let report = followthrough::serve(listener, app(&lifecycle)).lifecycle(lifecycle).await?;
    eprintln!("{report}");
    println!("{}", serde_json::to_string(&report)?);
    if settings.stay {
        io::stdin().read_line(&mut String::new())?;
    }
    report.exit()
}
