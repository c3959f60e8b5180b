#![forbid(unsafe_code)]
#![deny(warnings)]
#![warn(missing_docs, unreachable_pub, clippy::pedantic)]

//! Associated functions, generics, lifetimes, patterns, raw identifiers, boxed returns.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use followthrough::{cancellable, durable_write};
use std::{fmt::Display, future::Future};
use tokio_util::sync::CancellationToken;

struct Orders<T>(T);

impl<T: Clone + Send + Sync + 'static> Orders<T> {
    const ANSWER: u32 = 42;

    #[cancellable(read, internal)]
    async fn associated(State(value): State<T>) -> u32
    where
        T: Into<u32>,
    {
        value.into() + Self::ANSWER
    }

    #[durable_write(internal)]
    async fn returns_self(State(value): State<T>) -> Self {
        Self(value)
    }
}

#[cancellable(read)]
async fn generic<const N: usize, T>(mut items: [T; N], name: impl Display + Send) -> String
where
    T: Display + Send + Sync,
{
    items.reverse();
    format!("{name} {}", items.iter().map(ToString::to_string).collect::<String>())
}

#[cancellable(read, internal)]
async fn borrows<'a>(name: &'a str, other: &str) -> (&'a str, usize) {
    (name, other.len())
}

#[durable_write(internal)]
async fn r#match(r#type: u32, r#async: CancellationToken) -> u32 {
    r#type + u32::from(r#async.is_cancelled())
}

#[cancellable(read)]
async fn opaque(Path(id): Path<u32>) -> impl IntoResponse {
    if id == 0 {
        return "zero".to_owned();
    }
    id.to_string()
}

#[cancellable(read)]
async fn opaque_inside(fail: bool) -> Result<impl IntoResponse, Response> {
    if fail {
        Err("failed".into_response())?;
    }
    Ok(Json(1))
}

#[cancellable(read, internal)]
async fn boxed(early: bool) -> Box<dyn Display + Send> {
    if early {
        return Box::new(1);
    }
    Box::new("later")
}

#[cancellable(read, internal)]
async fn boxed_error(text: String) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let number = text.parse::<u32>()?;
    if number == 0 {
        return Err("zero".into());
    }
    Ok(number)
}

#[cancellable(read, internal)]
async fn patterns(
    (a, _): (u32, String),
    _: State<u32>,
    Path((b, ..)): Path<(u32, u32, u32)>,
    [first, .., last]: [u32; 4],
    State(_): State<()>,
    _unused: Json<u32>,
    #[cfg(any())] absent: Missing,
    #[cfg(all())] present: u32,
) -> u32 {
    a + b + first + last + present
}

#[cancellable(read, internal)]
async fn always_returns(n: u32) -> u32 {
    return n + ready().await;
}

#[cancellable(read, internal)]
async fn never_ends() -> u32 {
    loop {
        if ready().await == 0 {
            std::process::exit(0);
        }
    }
}

#[cancellable(read, internal)]
async fn generic_with_sites<const N: usize, T: Display + Send + Sync + 'static>(
    items: [T; N],
    others: impl Iterator<Item = T> + Send + 'static,
    #[cfg(all())] cancel: CancellationToken,
    #[cfg(any())] absent: Missing,
) -> Result<usize, Box<dyn std::error::Error + Send + Sync>>
where
    [T; N]: Send,
{
    let mut sum = 0;
    for item in items.iter().chain(&others.collect::<Vec<_>>()) {
        #[durable_write]
        let text = format!("{item} {} {}", ready().await, cancel.is_cancelled());
        sum += text.len();
    }
    Ok(sum)
}

mod renamed {
    pub(crate) use followthrough::*;
}

#[renamed::cancellable(read, crate = crate::renamed, internal)]
#[renamed::deadline("10s")]
async fn renamed_dependency(cancel: CancellationToken) -> bool {
    #[durable_write]
    let fired = ready().await == 0 && cancel.is_cancelled();
    fired
}

#[renamed::background(crate = crate::renamed)]
async fn renamed_worker(stop: CancellationToken) {
    stop.cancelled().await;
}

#[cancellable(read, internal)]
async fn lints_of_parameters(
    #[allow(unused_mut)] mut cancel: CancellationToken,
    #[allow(unused_mut)] mut items: Vec<u32>,
) -> bool {
    cancel.is_cancelled() && items.is_empty()
}

#[cancellable(read, internal)]
async fn bound_twice(
    token @ followthrough::RequestToken { .. }: followthrough::RequestToken,
) -> bool {
    token.is_cancelled()
}

// Names that the expansion uses, too.
#[cancellable(read, internal)]
async fn no_clashes(__given: u32, __r: u32, __guard: CancellationToken) -> u32 {
    #[durable_write]
    let sum = __given + __r + ready().await + u32::from(__guard.is_cancelled());
    sum
}

// A function on one line.
#[rustfmt::skip]
#[cancellable(read, internal)]
async fn one_line(cancel: CancellationToken) -> u32 { u32::from(cancel.is_cancelled()) + ready().await }

#[cancellable(read, internal)]
async fn with_items() -> u32 {
    const ONE: u32 = 1;
    fn two() -> u32 {
        2
    }
    ONE + two()
}

#[durable_write(internal)]
async fn inner_attributes() -> u32 {
    #![allow(unused_variables, clippy::no_effect_underscore_binding)]
    //! With inner docs.
    let unused = 3;
    ready().await
}

fn ready() -> impl Future<Output = u32> + Send {
    std::future::ready(1)
}

macro_rules! handler {
    ($name:ident, $token:ident, $body:block) => {
        #[cancellable(read, internal)]
        async fn $name($token: CancellationToken) -> u32 $body
    };
}

handler!(from_a_macro, cancel, { u32::from(cancel.is_cancelled()) + ready().await });

fn main() {
    let _ = Orders::<u16>::associated(State(1));
    Orders::returns_self(State(1)).await_nothing();
    let _ = generic([1, 2], "name");
    let _ = borrows("a", "b");
    let _ = r#match(1, CancellationToken::new().into());
    let _ = (opaque(Path(1)), opaque_inside(true), boxed(true), boxed_error(String::new()));
    let _ = (patterns, always_returns, never_ends);
    let _ = (lints_of_parameters, bound_twice);
    let _ = (renamed_dependency, no_clashes);
    let _ = renamed_worker(CancellationToken::new());
    let _ = generic_with_sites([1], std::iter::empty(), CancellationToken::new().into());
    let _ = (one_line, with_items, inner_attributes, from_a_macro);
}

trait AwaitNothing: Sized {
    fn await_nothing(self) {}
}

impl<F: Future> AwaitNothing for F {}
