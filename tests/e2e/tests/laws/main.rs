//! The laws of the design that hold for one request: the signals, the point of no return, the bodies of handlers and
//! of the handlers that they call, the responses, and the tokens. A test of a law carries its number.

mod awaited_tokens;
mod bodies;
mod calls_with_tokens;
mod durable_work;
mod nested_handlers;
mod responses;
mod signals;
mod tokens;
mod tokens_of_callers;
