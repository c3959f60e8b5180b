//! dropshot: `peer-dropshot <cancel | detached> [port]`.

use dropshot::{
    ApiDescription, ConfigDropshot, FreeformBody, HandlerTaskMode, HttpError, HttpResponseOk,
    RequestContext, ServerBuilder, endpoint,
};
use followthrough_peers::{TEXT, announce, port, runtime};

#[endpoint { method = GET, path = "/x" }]
async fn answer(_: RequestContext<()>) -> Result<HttpResponseOk<FreeformBody>, HttpError> {
    tokio::task::yield_now().await;
    Ok(HttpResponseOk(FreeformBody(TEXT.into())))
}

fn main() -> Result<(), String> {
    let mode = match std::env::args().nth(1).as_deref() {
        Some("cancel") => HandlerTaskMode::CancelOnDisconnect,
        Some("detached") => HandlerTaskMode::Detached,
        _ => return Err("usage: peer-dropshot <cancel | detached> [port]".to_owned()),
    };
    runtime().block_on(async {
        let mut api = ApiDescription::new();
        api.register(answer).map_err(|error| error.to_string())?;
        // The other servers do not log either.
        let log = slog::Logger::root(slog::Discard, slog::o!());
        let config = ConfigDropshot {
            bind_address: ([127, 0, 0, 1], port(2)).into(),
            default_handler_task_mode: mode,
            ..ConfigDropshot::default()
        };
        let server = ServerBuilder::new(api, (), log).config(config).start();
        let server = server.map_err(|error| error.to_string())?;
        announce(server.local_addr());
        server.await
    })
}
