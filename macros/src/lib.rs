//! Attribute macros of the `followthrough` crate, which re-exports them.
mod cfg_attr;
mod deadline;
mod duration;
mod error;
mod expand;
mod handler;
mod model;
mod parse;
mod scan;
mod sites;
mod suggest;
mod symbol;
mod validate;
mod worker;

use proc_macro::TokenStream;
use symbol::Symbol;

/// c
#[proc_macro_attribute]
pub fn cancellable(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Cancellable, args.into(), item.into()).into()
}

/// d
#[proc_macro_attribute]
pub fn durable_write(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::DurableWrite, args.into(), item.into()).into()
}

/// e
#[proc_macro_attribute]
pub fn exempt(args: TokenStream, item: TokenStream) -> TokenStream {
    handler::run(Symbol::Exempt, args.into(), item.into()).into()
}

/// d
#[proc_macro_attribute]
pub fn deadline(args: TokenStream, item: TokenStream) -> TokenStream {
    deadline::run(&args.into(), item.into()).into()
}

/// b
#[proc_macro_attribute]
pub fn background(args: TokenStream, item: TokenStream) -> TokenStream {
    worker::run(args.into(), item.into()).into()
}
