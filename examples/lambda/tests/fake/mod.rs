//! A stand-in for Lambda's runtime API, and one sandbox that uses it. The API reports when
//! invocations end and never kills one, so that a test sees a late answer.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{Response, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Longer than any step takes, unless it never ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the time after `time`, in milliseconds since the epoch.
pub(crate) fn ahead(time: Duration) -> u64 {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    at.as_millis().try_into().unwrap()
}

struct Invocation {
    id: u64,
    deadline: u64,
    event: String,
}

struct Answered {
    id: String,
    kind: String,
    body: Bytes,
    at: Instant,
}

struct Api {
    invocations: Mutex<mpsc::Receiver<Invocation>>,
    answers: mpsc::Sender<Answered>,
}

async fn next(State(api): State<Arc<Api>>) -> Response<Body> {
    let Some(Invocation { id, deadline, event }) = api.invocations.lock().await.recv().await else {
        return std::future::pending().await;
    };
    Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline)
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu:0:function:orders")
        .body(event.into())
        .unwrap()
}

async fn answered(
    State(api): State<Arc<Api>>,
    Path((id, kind)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    api.answers.send(Answered { id, kind, body, at: Instant::now() }).await.unwrap();
    StatusCode::ACCEPTED
}

/// A process that is invoked again and again.
pub(crate) struct Sandbox {
    process: Child,
    log: JoinHandle<String>,
    invocations: mpsc::Sender<Invocation>,
    answers: mpsc::Receiver<Answered>,
    api: JoinHandle<()>,
    count: u64,
}

/// The answer to the caller.
pub(crate) struct Answer {
    /// `response`, or `error` for a function that failed.
    pub(crate) kind: String,
    pub(crate) value: Value,
    /// The time since the invocation.
    pub(crate) after: Duration,
}

impl Answer {
    pub(crate) fn status(&self) -> u64 {
        self.value["statusCode"].as_u64().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        self.value["body"].as_str().unwrap_or_default()
    }

    /// Returns the status, the cause and the outcome of a problem document.
    pub(crate) fn problem(&self) -> (u64, String, String) {
        assert_eq!(
            self.value["headers"]["content-type"], "application/problem+json",
            "{}",
            self.value
        );
        let document: Value = serde_json::from_str(self.text()).unwrap();
        let word = |name: &str| document[name].as_str().unwrap().to_owned();
        (self.status(), word("cause"), word("outcome"))
    }
}

impl Sandbox {
    pub(crate) async fn start(program: &str, settings: &[(&str, &str)]) -> Self {
        let (invocations, receiver) = mpsc::channel(1);
        let (sender, answers) = mpsc::channel(1);
        let api = Arc::new(Api { invocations: Mutex::new(receiver), answers: sender });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut process = Command::new(program)
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "orders")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let api = tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        let mut stderr = process.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        Self { process, log, invocations, answers, api, count: 0 }
    }

    /// Sends an event of API Gateway, and waits for the answer, however late.
    pub(crate) async fn invoke(&mut self, deadline: u64, method: &str, path: &str) -> Answer {
        self.count += 1;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": { "host": "orders.example", "content-type": "application/json" },
            "requestContext": {
                "accountId": "0",
                "apiId": "api",
                "domainName": "orders.example",
                "domainPrefix": "orders",
                "http": {
                    "method": method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "test",
                },
                "requestId": "id",
                "routeKey": "$default",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
            },
            "isBase64Encoded": false,
        });
        let start = Instant::now();
        let invocation = Invocation { id: self.count, deadline, event: event.to_string() };
        self.invocations.send(invocation).await.unwrap();
        let answered = timeout(PATIENCE, self.answers.recv()).await.expect("an answer").unwrap();
        assert_eq!(answered.id, self.count.to_string());
        Answer {
            kind: answered.kind,
            value: serde_json::from_slice(&answered.body).unwrap(),
            after: answered.at - start,
        }
    }

    /// Ends the process, and returns its log.
    pub(crate) async fn end(mut self) -> String {
        self.process.kill().await.unwrap();
        self.api.abort();
        timeout(PATIENCE, self.log).await.expect("the end of the log").unwrap()
    }
}
