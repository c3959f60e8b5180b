//! How do I write a reverse proxy?
//!
//! A proxy writes nothing itself. It is `#[cancellable(stream)]`, so that a client that leaves also leaves the service
//! behind the proxy, whose own policies decide what follows through. `DeadlineLayer` puts each call under the request's
//! token, and tells the callee the time that is left.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{Authority, Scheme, Uri};
use axum::http::{HeaderMap, HeaderName, Version, header};
use axum::response::Response;
use followthrough::outbound::{CallError, DeadlineHeaders, DeadlineLayer, DeadlineService};
use followthrough::routing::any;
use followthrough::{Router, cancellable};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use tower::{Layer, ServiceExt};

/// Headers that belong to one connection, and so to neither side of a proxy (RFC 9110, 7.6.1), besides those that
/// `Connection` names.
const OF_A_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

#[derive(Clone)]
struct Upstream {
    authority: Authority,
    client: DeadlineService<Client<HttpConnector, Body>>,
}

#[cancellable(stream)]
async fn forward(
    State(Upstream { authority, client }): State<Upstream>,
    mut request: Request,
) -> Result<Response, CallError<Error>> {
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    (target.scheme, target.authority) = (Some(Scheme::HTTP), Some(authority));
    // A request that was routed has a path.
    *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    *request.version_mut() = Version::HTTP_11;
    remove_headers_of_a_connection(request.headers_mut());

    let mut answer = client.oneshot(request).await?;
    remove_headers_of_a_connection(answer.headers_mut());
    Ok(answer.map(Body::new))
}

fn remove_headers_of_a_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain(OF_A_CONNECTION) {
        headers.remove(name);
    }
}

/// Returns the routes, which send each request to `upstream`, such as `127.0.0.1:8080`.
pub fn app(upstream: Authority) -> Router {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let client = DeadlineLayer::new().forward(DeadlineHeaders::new().grpc_timeout()).layer(client);
    Router::new()
        .route("/", any(forward))
        .route("/{*path}", any(forward))
        .with_state(Upstream { authority: upstream, client })
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use followthrough_tests::{Marks, Server, h1};

    use super::*;

    #[tokio::test]
    async fn a_client_that_leaves_the_proxy_leaves_the_service_behind_it() {
        let marks = Marks::default();
        let of_the_service = marks.clone();
        let slow = async move || {
            let _gone = of_the_service.on_drop("gone");
            of_the_service.set("asked");
            std::future::pending::<()>().await;
        };
        let tea = async |uri: Uri| format!("tea from {uri}");
        let service = axum::Router::new().route("/tea", get(tea)).route("/slow", get(slow));
        let service = Server::start(service).await;
        let upstream = service.at.to_string().parse().unwrap();
        let proxy = Server::start(app(upstream).into_axum()).await;

        let answer = h1::call(proxy.at, "GET", "/tea?green=1").await;
        assert_eq!((answer.status, &*answer.body), (200, "tea from /tea?green=1"));

        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "close, x-hop"), ("x-hop", "1"), ("x-end", "2")] {
            headers.insert(name, value.parse().unwrap());
        }
        remove_headers_of_a_connection(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-end"]);

        let call = h1::send(proxy.at, "GET", "/slow").await;
        marks.until("asked").await;
        call.hang_up();
        marks.until("gone").await;

        service.stop().await;
        assert_eq!(h1::call(proxy.at, "GET", "/tea").await.status, 502);
        proxy.stop().await;
    }
}
