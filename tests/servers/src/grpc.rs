//! A gRPC service: a short, hand-written form of the code that `tonic-prost-build` generates from a
//! `.proto` file.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use followthrough_tests::soon;
use futures_util::Stream;
use http::uri::PathAndQuery;
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{Request, Response, Status, Streaming, body::Body, client, server, transport::Channel};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// The messages of a streaming method.
pub type Answers = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// The methods of the service. Messages are `google.protobuf.StringValue`.
pub trait Orders: Clone + Send + Sync + 'static {
    /// A read.
    fn stock(&self, sku: Request<String>) -> impl Answer<String>;
    /// A write.
    fn place(&self, order: Request<String>) -> impl Answer<String>;
    /// A stream.
    fn watch(&self, order: Request<String>) -> impl Answer<Answers>;
}

/// The future of a method.
pub trait Answer<T>: Future<Output = Result<Response<T>, Status>> + Send {}

impl<T, F: Future<Output = Result<Response<T>, Status>> + Send> Answer<T> for F {}

/// The service of [`Orders`].
#[derive(Clone, Debug)]
pub struct OrdersServer<T>(T);

impl<T: Orders> OrdersServer<T> {
    /// Returns a service that answers with `orders`.
    pub const fn new(orders: T) -> Self {
        Self(orders)
    }
}

impl<T> server::NamedService for OrdersServer<T> {
    const NAME: &'static str = "orders.Orders";
}

impl<T: Orders> Service<http::Request<Body>> for OrdersServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let orders = self.0.clone();
        let mut grpc = server::Grpc::new(ProstCodec::<String, String>::default());
        Box::pin(async move {
            let orders = &orders;
            Ok(match request.uri().path() {
                "/orders.Orders/Stock" => {
                    grpc.unary(service_fn(|sku| orders.stock(sku)), request).await
                }
                "/orders.Orders/Place" => {
                    grpc.unary(service_fn(|order| orders.place(order)), request).await
                }
                "/orders.Orders/Watch" => {
                    grpc.server_streaming(service_fn(|order| orders.watch(order)), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// A client on one connection.
#[derive(Clone, Debug)]
pub struct OrdersClient(client::Grpc<Channel>);

impl OrdersClient {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached.
    pub async fn connect(at: SocketAddr) -> Self {
        let channel = Channel::from_shared(format!("http://{at}")).expect("a sound address");
        Self(client::Grpc::new(channel.connect().await.expect("the server listens")))
    }

    /// Calls a unary method. A dropped call is cancelled with `RST_STREAM`.
    ///
    /// # Errors
    ///
    /// If the server answers with an error status.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn call(
        mut self,
        path: &'static str,
        message: Request<String>,
    ) -> Result<String, Status> {
        self.0.ready().await.expect("the connection is open");
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        self.0.unary(message, path, codec).await.map(Response::into_inner)
    }

    /// Calls a streaming method.
    ///
    /// # Errors
    ///
    /// If the server answers with an error status.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn stream(
        mut self,
        path: &'static str,
        message: Request<String>,
    ) -> Result<Streaming<String>, Status> {
        self.0.ready().await.expect("the connection is open");
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        self.0.server_streaming(message, path, codec).await.map(Response::into_inner)
    }
}

/// A client that can close its connection at any moment.
#[derive(Debug)]
pub struct RawClient {
    send: h2::client::SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// A call on a stream of its own.
#[derive(Debug)]
pub struct RawCall(h2::client::ResponseFuture);

impl RawClient {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached.
    pub async fn connect(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.expect("the server listens");
        let (send, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { send, driver }
    }

    /// Calls a method with an empty message.
    pub async fn send(&mut self, path: &str) -> RawCall {
        self.send_with(path, None).await
    }

    /// Calls a method with an empty message and a `grpc-timeout`.
    pub async fn send_within(&mut self, path: &str, timeout: Duration) -> RawCall {
        self.send_with(path, Some(timeout)).await
    }

    async fn send_with(&mut self, path: &str, timeout: Option<Duration>) -> RawCall {
        let mut request = http::Request::post(format!("http://test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", format!("{}m", timeout.as_millis()));
        }
        let request = request.body(()).expect("a sound request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let (response, mut body) = send.send_request(request, false).expect("it is open");
        body.send_data(Bytes::from_static(&[0; 5]), true).expect("it is open");
        RawCall(response)
    }

    /// Closes the connection without `GOAWAY`.
    pub fn hang_up(self) {
        self.driver.abort();
    }
}

impl RawCall {
    /// Waits for an answer without a message, and returns its `grpc-status`.
    ///
    /// # Panics
    ///
    /// If no such answer comes.
    pub async fn grpc_status(self) -> String {
        let response = soon("an answer", self.0).await.expect("an answer comes");
        let status = response.headers().get("grpc-status").expect("it has a status");
        status.to_str().expect("it is a number").to_owned()
    }
}
