//! A worker, written out.
//!
//! Input:
//!
//! ```ignore
//! #[background]
//! async fn relay(stop: CancellationToken, db: Db) -> Report { /* body */ }
//! ```
//!
//! Output:
//!
//! ```ignore
//! async fn relay(stop: impl Into<CancellationToken>, db: Db) -> Report {
//!     let stop: CancellationToken = Into::into(stop);
//!     /* body */
//! }
//! ```
//!
//! `lifecycle.spawn("relay", |stop| relay(stop, db))` passes a `ShutdownToken`, which converts.

use super::inputs;
use crate::{error::Errors, model::Worker};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Signature;

/// The worker, with `errors` reported in its body.
pub(crate) fn worker(worker: &Worker, errors: &Errors) -> TokenStream {
    let function = &worker.function;
    let (attrs, vis, inner_attrs) = (&function.attrs, &function.vis, &function.inner_attrs);
    let Signature { asyncness, fn_token, ident, generics, output, .. } = &function.sig;
    let where_clause = &generics.where_clause;
    let inputs = inputs::inputs(worker.receiver.as_ref(), &worker.params, |param| {
        let ty = &param.ty;
        quote!(impl ::core::convert::Into<#ty>)
    });
    let reports = errors.to_compile_errors();
    let body = body(worker);
    quote! {
        #(#attrs)* #vis #asyncness #fn_token #ident #generics(#inputs) #output #where_clause {
            #inner_attrs
            #reports
            #body
        }
    }
}

fn body(worker: &Worker) -> TokenStream {
    let body = &worker.function.body;
    if worker.params.iter().all(|param| param.inner_pat.is_none()) {
        return body.stream();
    }
    let into = quote!(::core::convert::Into::into);
    let tokens = inputs::raw_bindings(&worker.params, &into, false);
    // As in a handler: what the last expression borrows from the token goes before the token.
    let out = Ident::new("__out", Span::mixed_site());
    quote!(#tokens let #out = #body; #out)
}
