//! The laws for one request: signals, the point of no return, bodies of handlers and of the
//! handlers that they call, responses, and tokens. A test of a law carries its number.

mod awaited_tokens;
mod bodies;
mod calls_with_tokens;
mod durable_work;
mod nested_handlers;
mod responses;
mod returned_cancellations;
mod signals;
mod tokens;
mod tokens_of_callers;
