//! Attribute macros of the [`followthrough`](https://docs.rs/followthrough) crate, which re-exports them. Depend
//! on that crate.
//!
//! Every macro runs the same stages. `parse` reads the function's signature and the attribute's arguments.
//! `validate` collects all errors and makes a `model`. `sites` rewrites the annotated statements of the body.
//! `expand` writes a call of one runtime function. `expand` cannot fail. A function with errors is emitted
//! together with its errors, so that its callers see no second error.
//!
//! The comments call the five attributes of this crate "followthrough attributes".

mod cfg_attr;
mod deadline;
mod duration;
mod error;
mod expand;
mod handler;
mod inspect;
mod model;
mod parse;
mod parts;
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

#[doc = include_str!("../docs/cancellable.md")]
#[proc_macro_attribute]
pub fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Cancellable, args.into(), item.into()).into()
}

#[doc = include_str!("../docs/durable_write.md")]
#[proc_macro_attribute]
pub fn durable_write(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::DurableWrite, args.into(), item.into()).into()
}

#[doc = include_str!("../docs/exempt.md")]
#[proc_macro_attribute]
pub fn exempt(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Exempt, args.into(), item.into()).into()
}

#[doc = include_str!("../docs/deadline.md")]
#[proc_macro_attribute]
pub fn deadline(args: TokenStream, item: TokenStream) -> TokenStream {
    deadline::run(&args.into(), item.into()).into()
}

#[doc = include_str!("../docs/background.md")]
#[proc_macro_attribute]
pub fn background(args: TokenStream, item: TokenStream) -> TokenStream {
    worker::run(args.into(), item.into()).into()
}
