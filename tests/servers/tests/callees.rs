//! `DeadlineLayer` around a channel of tonic's.

use std::{error::Error, net::SocketAddr};

use followthrough::{
    CallerDeadlines, Cause, RequestToken, cancellable,
    outbound::{CancelledCall, DeadlineHeaders, DeadlineLayer, DeadlineService},
};
use followthrough_server_tests::{
    Running,
    grpc::{Answers, Orders},
    recipes::tonic_server::{self, status, token},
};
use followthrough_tests::lifecycle;
use http::uri::PathAndQuery;
use tonic::{Code, Request, Response, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use tower::Layer;

/// Answers with the number of nanoseconds that remain.
#[derive(Clone)]
struct Clock;

#[cancellable(read, deadline = "1h", internal)]
async fn how_long(token: RequestToken) -> Result<String, Status> {
    let left = token.remaining().ok_or_else(|| Status::internal("no deadline"))?;
    Ok(left.as_nanos().to_string())
}

impl Orders for Clock {
    async fn stock(&self, _: Request<String>) -> Result<Response<String>, Status> {
        let left = how_long(token().await).await.into_result().map_err(status)??;
        Ok(Response::new(left))
    }

    async fn place(&self, _: Request<String>) -> Result<Response<String>, Status> {
        Err(Status::unimplemented("it only reads"))
    }

    async fn watch(&self, _: Request<String>) -> Result<Response<Answers>, Status> {
        Err(Status::unimplemented("it only reads"))
    }
}

async fn start() -> Running {
    let callers = CallerDeadlines::new().grpc_timeout();
    Running::with(lifecycle().caller_deadlines(callers), |listener, lifecycle, signal| {
        tonic_server::serve(listener, Clock, lifecycle, signal.comes())
    })
    .await
}

type Client = Grpc<DeadlineService<Channel>>;

async fn connect(at: SocketAddr) -> Client {
    let channel = Channel::from_shared(format!("http://{at}")).expect("a sound address");
    let channel = channel.connect().await.expect("the server listens");
    let told = DeadlineHeaders::new().grpc_timeout();
    Grpc::new(DeadlineLayer::new().forward(told).layer(channel))
}

async fn call(mut client: Client, message: Request<String>) -> Result<String, Status> {
    client.ready().await.expect("the connection is open");
    let path = PathAndQuery::from_static("/orders.Orders/Stock");
    client.unary(message, path, ProstCodec::default()).await.map(Response::into_inner)
}

/// Returns the time that remained before the call and at the callee.
#[cancellable(read, deadline = "30m", internal)]
async fn ask(client: Client, token: RequestToken) -> Result<(u128, u128), Status> {
    let here = token.remaining().ok_or_else(|| Status::internal("no deadline"))?.as_nanos();
    let there = call(client, Request::new(String::new())).await?;
    Ok((here, there.parse().expect("a number")))
}

#[tokio::test]
async fn a_callee_is_told_what_remains() {
    let server = start().await;
    let client = connect(server.at).await;
    let asked = ask(client, RequestToken::never()).await.into_result().expect("there is time");
    let (here, there) = asked.expect("it is answered");
    assert!(0 < there && there < here, "{there} of {here}");
}

#[tokio::test]
async fn a_token_that_has_fired_sends_no_call() {
    let server = start().await;
    let client = connect(server.at).await;
    let (token, handle) = RequestToken::new_pair();
    handle.cancel(Cause::ClientDisconnected);
    let mut message = Request::new(String::new());
    message.extensions_mut().insert(token);
    let refused = call(client, message).await.expect_err("the token has fired");
    assert_eq!(refused.code(), Code::Unknown);
    let error = refused.source().and_then(Error::source);
    let cancelled = error.and_then(|error| error.downcast_ref::<CancelledCall>());
    assert_eq!(cancelled.map(CancelledCall::cause), Some(Cause::ClientDisconnected));
}
