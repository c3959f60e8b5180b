//! Writes a worker.
//!
//! Input:
//!
//! ```text
//! #[background]
//! async fn relay(stop: CancellationToken, db: Db) -> Report { /* body */ }
//! ```
//!
//! Output:
//!
//! ```text
//! async fn relay(stop: impl Into<CancellationToken>, db: Db) -> Report {
//!     let stop: CancellationToken = Into::into(stop);
//!     { /* body */ }
//! }
//! ```
//!
//! `lifecycle.spawn("relay", |stop| relay(stop, db))` passes a `ShutdownToken`, which converts.

use super::inputs;
use crate::{error::Errors, model::Worker, parse::Function};
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;
use syn::Signature;

/// Writes the worker, with `errors` inside its body.
pub(crate) fn worker(worker: &Worker, errors: &Errors) -> TokenStream {
    let function = &worker.function;
    let (attrs, vis) = (&function.attrs, &function.vis);
    let Signature { asyncness, fn_token, ident, generics, output, .. } = &function.sig;
    let where_clause = &generics.where_clause;
    let inputs = inputs::inputs(worker.receiver.as_ref(), &worker.params, |param| {
        let ty = &param.ty;
        quote!(impl ::core::convert::Into<#ty>)
    });
    let body = body(worker, errors);
    quote! {
        #(#attrs)* #vis #asyncness #fn_token #ident #generics(#inputs) #output #where_clause #body
    }
}

fn body(worker: &Worker, errors: &Errors) -> TokenStream {
    let reports = errors.to_compile_errors();
    let Function { inner_attrs, body, .. } = &worker.function;
    if worker.params.iter().all(|param| param.inner_pat.is_none()) {
        let stmts = body.stream();
        let mut as_written = Group::new(Delimiter::Brace, quote!(#inner_attrs #reports #stmts));
        // The span of the braces carries the edition of the user's code, which decides when temporaries are
        // dropped.
        as_written.set_span(body.span());
        return quote!(#as_written);
    }
    let into = quote!(::core::convert::Into::into);
    let tokens = inputs::token_bindings(&worker.params, |_| into.clone(), false);
    let inner = inputs::inner_block(body);
    quote!({ #inner_attrs #reports #tokens #inner })
}
