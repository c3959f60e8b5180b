//! Writes a handler.
//!
//! Input:
//!
//! ```text
//! #[cancellable(read)]
//! #[deadline = "10s"]
//! async fn order(State(db): State<Db>, cancel: CancellationToken) -> Result<Json<Order>, AppError> {
//!     /* body */
//! }
//! ```
//!
//! Output:
//!
//! ```text
//! async fn order(State(db): State<Db>, cancel: RawToken)
//!     -> Governed<Result<Json<Order>, AppError>, policy::Read>
//! {
//!     static __FT_POLICY: HandlerPolicy = HandlerPolicy::new(..).with_deadline(..);
//!     let __given = given_raw(&cancel);
//!     run_inline::<Result<Json<Order>, AppError>, policy::Read, _, _>(
//!         &__FT_POLICY, __given, NO_COMPENSATION,
//!         async move {
//!             if let Some(__r) = no_answer::<Result<Json<Order>, AppError>>() {
//!                 let _ = (&cancel, &db);
//!                 return __r;
//!             }
//!             let cancel: CancellationToken = request_raw_from(cancel);
//!             { /* body */ }
//!         },
//!     )
//!     .await
//! }
//! ```
//!
//! The block that never runs captures the parameters, and tells the compiler the type of the body before the first
//! `?`. The body keeps its own braces and so its own edition. The outer braces have the edition of this crate,
//! 2024, so that the temporaries of the body's last expression are dropped before the token that they may borrow.

use super::{inputs, output, policy};
use crate::{
    error::Errors,
    model::{Handler, Mode, Param, TokenType},
};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, Signature, spanned::Spanned as _};

/// Writes the handler, with `errors` inside its body, so that a `#[cfg]` below the policy removes them, too.
pub(crate) fn handler(handler: &Handler, errors: &Errors) -> TokenStream {
    let function = &handler.function;
    let (attrs, vis, inner_attrs) = (&function.attrs, &function.vis, &function.inner_attrs);
    let signature = signature(handler);
    let body = if errors.is_empty() {
        call(handler)
    } else {
        let reports = errors.to_compile_errors();
        let exempt_call = exempt_call(handler);
        quote!(#reports #exempt_call)
    };
    quote!(#(#attrs)* #vis #signature { #inner_attrs #body })
}

fn signature(handler: &Handler) -> TokenStream {
    let runtime = &handler.runtime;
    let Signature { asyncness, fn_token, ident, generics, .. } = &handler.function.sig;
    let where_clause = &generics.where_clause;
    let inputs = inputs::inputs(handler.receiver.as_ref(), &handler.params, |param| {
        inputs::raw_token(runtime, param)
    });
    let output = output::written(handler);
    let span = output::span(handler);
    let marker = policy::marker(handler);
    let governed = quote_spanned!(span=> #runtime::Governed<#output, #marker>);
    quote!(#asyncness #fn_token #ident #generics(#inputs) -> #governed #where_clause)
}

/// Writes the policy and the call of the runner.
fn call(handler: &Handler) -> TokenStream {
    let (output, marker) = (output::erased(handler), policy::marker(handler));
    let declared = policy::declared(handler);
    if handler.policy.mode == Mode::Exempt {
        let call = exempt_call(handler);
        return quote!(#declared #call);
    }
    let body = body(handler);
    let caller_token = caller_token(handler);
    let compensation = compensation(handler);
    // The compiler reports a body that is not `Send` at the name of the function.
    let span = name_span(handler);
    let runner = Ident::new(runner(handler), span);
    let private_at_span = handler.runtime.private_at(span);
    let given = Ident::new("__given", Span::mixed_site());
    let run = quote_spanned! {span=>
        #private_at_span::#runner::<#output, #marker, _, _>(&__FT_POLICY, #given, #compensation, #body)
    };
    quote! {
        #declared
        #caller_token
        #run.await
    }
}

/// Writes the body of an exempt handler, and of a handler with errors, whose body the compiler still checks.
fn exempt_call(handler: &Handler) -> TokenStream {
    let (output, marker, body) = (output::erased(handler), policy::marker(handler), body(handler));
    let span = name_span(handler);
    let private = handler.runtime.private_at(span);
    let run = quote_spanned!(span=> #private::run_exempt::<#output, #marker, _>(#body));
    quote!(#run.await)
}

fn runner(handler: &Handler) -> &'static str {
    if handler.policy.key.is_some() {
        "run_keyed"
    } else if handler.policy.outlives_its_request(handler.durable_sites) {
        "run_boxed"
    } else {
        "run_inline"
    }
}

/// Reads the token that a direct caller passed, before the body takes the parameter.
fn caller_token(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let given = Ident::new("__given", Span::mixed_site());
    let none = quote!(let #given = #private::NO_TOKEN;);
    let token = handler.params.iter().find_map(|param| match (param.token?, &param.names[..]) {
        (TokenType::Raw, [name]) => Some((param, name, quote!(given_raw))),
        (TokenType::Request, [name]) => Some((param, name, quote!(given_request))),
        _ => None,
    });
    match token {
        Some((Param { attrs, names, .. }, name, from)) if handler.policy.mode.is_cancellable() => {
            let mut cfgs = inputs::cfgs(attrs).peekable();
            let absent = cfgs.peek().is_some().then_some(none);
            let allow = inputs::allow_underscored(names);
            quote!(#absent #(#cfgs)* #allow let #given = #private::#from(&#name);)
        }
        _ => none,
    }
}

fn compensation(handler: &Handler) -> TokenStream {
    let Some(expr) = &handler.policy.on_cancel else {
        let private = handler.runtime.private();
        return quote!(#private::NO_COMPENSATION);
    };
    // The compiler reports a value that is not a future at the expression.
    let span = Span::mixed_site().located_at(expr.span());
    let private = handler.runtime.private_at(span);
    quote_spanned!(span=> #private::compensation(#expr))
}

/// Returns the span of the function's name, with mixed-site hygiene.
fn name_span(handler: &Handler) -> Span {
    Span::mixed_site().located_at(handler.function.sig.ident.span())
}

fn body(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let durable = handler.policy.mode == Mode::DurableWrite;
    let from = |token| match token {
        Some(TokenType::Request) => quote!(#private::request_token_from),
        _ if durable => quote!(#private::durable_raw_from),
        _ => quote!(#private::request_raw_from),
    };
    let captures = inputs::captures(&handler.params);
    let tokens = inputs::token_bindings(&handler.params, from, handler.rebinds);
    let output = output::erased(handler);
    let body = inputs::inner_block(&handler.function.body);
    let span = output::span(handler);
    let value = Ident::new("__r", span);
    let private_at_span = handler.runtime.private_at(span);
    let early_return = Ident::new(if handler.internal { "no_value" } else { "no_answer" }, span);
    // The call has this span, too, because the compiler reports an error of the whole block at the call.
    let name = name_span(handler);
    let inside = quote_spanned! {span=>
        if let ::core::option::Option::Some(#value) = #private_at_span::#early_return::<#output>() {
            #captures
            return #value;
        }
        #tokens
        #body
    };
    quote_spanned!(name=> async move { #inside })
}
