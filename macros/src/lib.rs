//! Attribute macros of the [`followthrough`](https://docs.rs/followthrough) crate, which
//! re-exports them. Depend on that one.
//!
//! Each macro goes the same way: `parse` reads the function's signature and the attribute's
//! arguments, `validate` collects every fault and makes a `model`, `sites` rewrites the attributed
//! statements of the body, `expand` writes one call of one runtime function. Only the first three
//! can find fault, and a faulty function is emitted all the same, so that nothing else complains.

mod cfg_attr;
mod deadline;
mod duration;
mod error;
mod expand;
mod handler;
mod inspect;
mod model;
mod parse;
mod scan;
mod sites;
mod suggest;
mod symbol;
#[cfg(test)]
mod tests;
mod validate;
mod worker;

use proc_macro::TokenStream;
use symbol::Symbol;

/// Governs a handler that may be dropped when its request ends, and, before a statement, gives the
/// request back its say.
///
/// # On a handler
///
/// The first argument is the mode; what ends the request is a disconnect, the deadline or a
/// shutdown:
///
/// | mode | for | when the request ends |
/// |---|---|---|
/// | `read` | queries, outbound reads | the body is dropped at its current `.await` |
/// | `stream` | server-sent events, streamed bodies, upgrades | as `read`; a response body that has begun is cut, and its client can see that |
/// | `idempotent_write` | upserts, work that is safe to repeat | as `read`, counted and reported as a write |
/// | `reversible_write` | work that can be undone | as `read`, and then `on_cancel` runs |
///
/// Options, in any order:
///
/// - `cooperative`: the body is not dropped. Its token fires, and it stops where it chooses. It
///   needs a parameter `cancel: CancellationToken` or `cancel: RequestToken`.
/// - `finish`: with `stream`. At a shutdown the token fires, and the response body has the read grace to end by
///   itself; what is left then is cut. For streams that end soon, such as the answer of a language model.
/// - `on_cancel = undo(db.clone(), id)`: with `reversible_write`, and required there. An expression
///   over the handler's parameters that gives a future of `()` or of a `Result`. It is evaluated before
///   the body runs, polled only if the body was begun and then cancelled, and dropped otherwise. An `Err` or a
///   panic of it is an ERROR in the log, and counted.
/// - `deadline = "10s"`: see [`macro@deadline`].
/// - `name = "…"`: the name in logs and reports; default `module::function`.
/// - `internal`: the function is called by other code, such as a method of a gRPC service, and never
///   routed. What it returns need not be a response.
/// - `crate = path`: where the runtime crate is, if it was renamed.
///
/// A free or associated `async fn` without `self`, with at most 16 parameters. They stay what they
/// are, but for a `CancellationToken`, which is the request's and becomes an extractor in place;
/// the return type `R`, a response, becomes `Governed<R, P>`. The body must be `Send`, and `'static` too if it
/// is `cooperative` or has a durable statement.
///
/// # On a statement
///
/// `#[cancellable(read)]` past the point of no return, that is in a [`macro@durable_write`] handler
/// or beside a durable statement, lets a disconnect or the deadline end the handler there. A
/// `#[deadline = "2s"]` with it bounds the statement. The token parameter means the request again.
///
/// An attribute on a statement needs no import, and cannot be renamed.
///
/// # Errors
///
/// A handler that breaks a rule does not compile. All faults of a handler are reported together,
/// each under its own token and with the fix; [a page of the guide][rules] lists them.
///
/// [rules]: https://docs.rs/followthrough/latest/followthrough/guide/rules/index.html
///
/// # Examples
///
/// ```
/// # use axum::{Router, extract::{Path, State}, http::StatusCode, routing::{get, post}};
/// # use followthrough::cancellable;
/// # use tokio_util::sync::CancellationToken;
/// # #[derive(Clone)] struct Db;
/// # impl Db {
/// #     async fn orders(&self, _: &CancellationToken) -> String { String::new() }
/// #     async fn reserve(&self, _: u64) {}
/// # }
/// # async fn release(_: Db, _: u64) {}
/// # async fn notify(_: u64) {}
/// #[cancellable(read)]
/// #[deadline = "10s"]
/// async fn orders(State(db): State<Db>, cancel: CancellationToken) -> String {
///     db.orders(&cancel).await
/// }
///
/// #[cancellable(reversible_write, on_cancel = release(db.clone(), id))]
/// async fn reserve(State(db): State<Db>, Path(id): Path<u64>) -> StatusCode {
///     db.reserve(id).await;
///     notify(id).await;
///     StatusCode::CREATED
/// }
///
/// let app: Router = Router::new()
///     .route("/orders", get(orders))
///     .route("/seats/{id}", post(reserve))
///     .with_state(Db);
/// ```
///
/// Other people's attributes keep working: `#[debug_handler]` and `#[utoipa::path]` below this one,
/// `#[instrument]` above (with `err` and `ret`) or below, `#[cfg]`, `#[cfg_attr]`, `#[allow]` and
/// docs anywhere.
#[proc_macro_attribute]
pub fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Cancellable, args.into(), item.into()).into()
}

/// Governs a handler that runs to its end once begun, and, before a statement, marks the request's
/// point of no return.
///
/// # On a handler
///
/// Nothing ends the body while the process lives: not a disconnect, not a deadline, not a shutdown
/// within its grace. Options, all optional, in any order:
///
/// - `reason = "…"`: why, for whoever reviews it.
/// - `max_in_flight = N`: at most `N` at a time in each lifecycle, one or more; a literal or a constant
///   `usize`. Called by another handler, it counts as well: at the limit that call gives
///   `Err(Cancelled)` with `Cause::LimitReached`, and nothing of it ran.
/// - `streaming_body = "…"`: lets the handler take a body that is still arriving (`Body`, `Request`,
///   `Multipart`), which is refused otherwise: it ends when the client leaves, in the middle of the
///   write. The reason is for the reviewer.
/// - `needs = "2s"`: refuses the write with 503, before it begins, when less time than that is left.
/// - `deadline = "10s"`: bounds how long the client waits, and never the write; see
///   [`macro@deadline`].
/// - `name = "…"`, `internal` and `crate = path`, as for [`macro@cancellable`].
///
/// The rules for the function are those of [`macro@cancellable`], and the body must be `'static`. A
/// `CancellationToken` or `DurableToken` parameter fires only in the last moments of a shutdown.
///
/// Once the client has left or the deadline has passed, the body goes on in a task of its own, where the
/// `tokio::task_local!` values that middleware set around the request are gone: reading one panics, and the write
/// is half done. Name each key that a durable body reads with `Lifecycle::builder().carry(&KEY)`.
///
/// # On a statement
///
/// In a [`macro@cancellable`] handler, `#[durable_write]` before a statement takes no options.
/// Before it, the request may still end and nothing was written; already ended, the statement never
/// begins; from there the *rest of the body* runs to its end. The statement is governed as a whole,
/// whatever it awaits: for `let … else` it is the initialiser, for `if`, `match` and loops
/// everything inside, before an assignment or an operator the whole statement. Inside a larger
/// expression it must be parenthesised. `?`, `return`, `break`, labels and borrows keep their
/// meaning.
///
/// The token parameter keeps its name and becomes the durable one: a `RequestToken` is a
/// `DurableToken` there. A handler with a durable statement is a write, even where a `#[cfg]` takes
/// the statement away.
///
/// Inside a closure, a nested `async` block, a nested function or a macro call, the attribute is an
/// error: there it would govern less than it seems to. It needs no import.
///
/// # Errors
///
/// As for [`macro@cancellable`].
///
/// # Examples
///
/// ```
/// # use axum::{extract::State, http::StatusCode};
/// # use followthrough::{cancellable, durable_write};
/// # use tokio_util::sync::CancellationToken;
/// # #[derive(Clone)] struct Db;
/// # impl Db {
/// #     async fn append(&self, _: String) {}
/// #     async fn stock(&self, _: &str, _: &CancellationToken) -> Result<u32, StatusCode> { Ok(1) }
/// #     async fn insert(&self, sku: String, _: u32, _: &CancellationToken) -> Result<String, StatusCode> { Ok(sku) }
/// # }
/// #[durable_write(reason = "the ledger is append-only", max_in_flight = 64)]
/// async fn append(State(db): State<Db>, entry: String) -> StatusCode {
///     db.append(entry).await;
///     StatusCode::CREATED
/// }
///
/// #[cancellable(read)]
/// async fn place_order(
///     State(db): State<Db>,
///     cancel: CancellationToken,
///     sku: String,
/// ) -> Result<String, StatusCode> {
///     let stock = db.stock(&sku, &cancel).await?; // the request's token
///
///     #[durable_write]
///     let receipt = db.insert(sku, stock, &cancel).await?; // the durable token
///
///     Ok(receipt)
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let created = append(State(Db), String::new()).await.into_result();
/// # assert_eq!(created, Ok(StatusCode::CREATED));
///
/// let call = place_order(State(Db), CancellationToken::new().into(), "tea".to_owned());
/// assert_eq!(call.await.into_result(), Ok(Ok("tea".to_owned())));
/// # }
/// ```
#[proc_macro_attribute]
pub fn durable_write(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::DurableWrite, args.into(), item.into()).into()
}

/// Exempts a handler from every policy: a health check, or what else needs none.
///
/// - `reason = "…"`: required, and not blank.
/// - `name = "…"`, `internal` and `crate = path`, as for [`macro@cancellable`].
///
/// The handler runs as it would without us: it has no deadline, no durable statements, and no
/// `CancellationToken` of its own. `RequestToken` and `ShutdownToken` are extractors all the same.
///
/// # Errors
///
/// As for [`macro@cancellable`].
///
/// # Examples
///
/// ```
/// use followthrough::exempt;
///
/// #[exempt(reason = "answers at once and touches nothing")]
/// async fn health() -> &'static str {
///     "ok"
/// }
///
/// let app: axum::Router = axum::Router::new().route("/health", axum::routing::get(health));
/// ```
#[proc_macro_attribute]
pub fn exempt(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Exempt, args.into(), item.into()).into()
}

/// Bounds a handler, or a statement of one.
///
/// A whole number and a unit: `ms`, `s`, `m` or `h`, from `1ms` to `24h`. Three spellings on a
/// handler, of which one is enough:
///
/// - `#[deadline = "10s"]` below the policy;
/// - `#[deadline("10s")]` or `#[deadline(10s)]` above or below it;
/// - `deadline = "10s"` among the options of the policy.
///
/// A word instead of a number is a name, for several handlers to share, and the configuration says
/// how long it is: `#[deadline = "checkout"]`. A lifecycle that knows none of that name refuses to be
/// built; without a lifecycle, it bounds nothing. A statement takes no name.
///
/// Running out cancels a [`macro@cancellable`] handler and answers 504. On a [`macro@durable_write`]
/// handler it bounds how long the client waits, and the write goes on.
///
/// On a statement of a cancellable handler, or beside `#[cancellable(read)]` on one, it bounds that
/// statement, and must be shorter than the handler's.
///
/// # Errors
///
/// Without a policy it is a compile error, as are two deadlines, a fraction (`1.5s`: write
/// `1500ms`), zero, and what is longer than a day.
///
/// # Examples
///
/// ```
/// # use axum::extract::State;
/// # #[derive(Clone)] struct Index;
/// # impl Index {
/// #     async fn suggest(&self, query: &str) -> String { query.to_owned() }
/// #     async fn search(&self, _: &str, _: String) -> String { std::future::pending().await }
/// # }
/// use followthrough::cancellable;
///
/// #[cancellable(read)]
/// #[deadline = "50ms"]
/// async fn search(State(index): State<Index>, query: String) -> String {
///     #[deadline = "10ms"]
///     let spelling = index.suggest(&query).await;
///     index.search(&query, spelling).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let late = search(State(Index), "tae".to_owned()).await.into_result().unwrap_err();
/// assert_eq!(late.status(), 504);
/// # }
/// ```
#[proc_macro_attribute]
pub fn deadline(args: TokenStream, item: TokenStream) -> TokenStream {
    deadline::run(&args.into(), item.into()).into()
}

/// Marks a worker: an `async fn` that outlives requests and stops when told to.
///
/// It needs a stopping token, `ShutdownToken` or `CancellationToken`, and takes everything else by
/// value: it has no request to extract from. A `CancellationToken` parameter is called with any
/// token that converts into one, so a test can pass its own. The return type stays as it is. The
/// only option is `crate = path`, as for [`macro@cancellable`].
///
/// # Errors
///
/// A worker without a stopping token, with a request's token or with an axum extractor does not
/// compile.
///
/// # Examples
///
/// The worker empties its queue after it was told to stop. Without the second loop, the process ends over
/// what is queued, and the report counts nothing, because a queue in memory is not the lifecycle's.
///
/// ```
/// # use followthrough::{Lifecycle, background};
/// # use tokio::sync::mpsc;
/// # use tokio_util::sync::CancellationToken;
/// # async fn publish(_: u32) {}
/// #[background]
/// async fn relay(stop: CancellationToken, mut queue: mpsc::Receiver<u32>) {
///     while let Some(Some(message)) = stop.run_until_cancelled(queue.recv()).await {
///         publish(message).await;
///     }
///     queue.close();
///     while let Some(message) = queue.recv().await {
///         publish(message).await;
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), followthrough::BuildError> {
/// let lifecycle = Lifecycle::builder().build()?;
/// let (sender, queue) = mpsc::channel(100);
/// lifecycle.spawn("relay", |stop| relay(stop, queue));
///
/// # assert!(sender.send(1).await.is_ok());
/// lifecycle.shutdown();
/// assert!(lifecycle.drained().await.abandoned.is_empty());
/// # Ok(())
/// # }
/// ```
#[proc_macro_attribute]
pub fn background(args: TokenStream, item: TokenStream) -> TokenStream {
    worker::run(args.into(), item.into()).into()
}
