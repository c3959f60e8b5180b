use axum::body::Body;
use axum::extract::{multipart::MultipartRejection, Multipart, Request};
use followthrough::{cancellable, durable_write, routing::post, Router};

#[durable_write(idempotency_key = "required")]
async fn body(body: Body) {}

#[durable_write(idempotency_key = "optional")]
async fn request(request: Request) {}

#[durable_write(idempotency_key = "required")]
async fn form(form: Result<Multipart, MultipartRejection>) {}

#[durable_write(idempotency_key = "required", streaming_body = "half a log is still worth something")]
async fn log(body: Body) {}

#[cancellable(read, idempotency_key = "required")]
async fn upload(form: Multipart) {
    #[durable_write]
    store(form).await;
}

async fn store(_: Multipart) {}

fn main() {
    let _: Router = Router::new()
        .route("/body", post(body))
        .route("/request", post(request))
        .route("/form", post(form))
        .route("/log", post(log))
        .route("/upload", post(upload));
}
