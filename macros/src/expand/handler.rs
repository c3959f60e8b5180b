//! A handler, written out.
//!
//! Input:
//!
//! ```ignore
//! #[cancellable(read)]
//! #[deadline = "10s"]
//! async fn order(State(db): State<Db>, cancel: CancellationToken) -> Result<Json<Order>, AppError> {
//!     /* body */
//! }
//! ```
//!
//! Output:
//!
//! ```ignore
//! async fn order(State(db): State<Db>, cancel: RawToken)
//!     -> Governed<Result<Json<Order>, AppError>, policy::Read>
//! {
//!     static __FT_POLICY: HandlerPolicy = HandlerPolicy::new(..).deadline(..);
//!     let __given = given_raw(&cancel);
//!     run_inline::<Result<Json<Order>, AppError>, policy::Read, _, _>(
//!         &__FT_POLICY, __given, no_compensation(),
//!         async move {
//!             if false {
//!                 let _ = (&cancel,);
//!                 let _ = (&db,);
//!                 let __r: Result<Json<Order>, AppError> = loop {};
//!                 return __r;
//!             }
//!             let cancel: CancellationToken = request_raw_from(cancel);
//!             let __out: Result<Json<Order>, AppError> = { /* body */ };
//!             __out
//!         },
//!     )
//!     .await
//! }
//! ```
//!
//! The block that never runs captures the parameters and tells the compiler the type of the body
//! before it meets the first `?`. The body is the value of a `let` so that the temporaries of its
//! last expression are gone before the token that they may borrow, in edition 2021 too.

use super::inputs;
use crate::{
    error::Errors,
    model::{Handler, Mode, Param, TokenType},
};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{
    Ident, ReturnType, Signature, Type, ext::IdentExt as _, parse_quote, spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

/// The handler, with `errors` reported in its body: not beside it, where a `#[cfg]` below would
/// not reach them.
pub(crate) fn handler(handler: &Handler, errors: &Errors) -> TokenStream {
    let function = &handler.function;
    let (attrs, vis, inner_attrs) = (&function.attrs, &function.vis, &function.inner_attrs);
    let signature = signature(handler);
    let body = if errors.is_empty() {
        call(handler)
    } else {
        let reports = errors.to_compile_errors();
        let ungoverned = ungoverned(handler);
        quote!(#reports #ungoverned)
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
    let output = written_output(handler);
    let span = output_span(handler);
    let marker = marker(handler);
    let governed = quote_spanned!(span=> #runtime::Governed<#output, #marker>);
    quote!(#asyncness #fn_token #ident #generics(#inputs) -> #governed #where_clause)
}

/// The call of the runner.
fn call(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let (output, marker) = (erased_output(handler), marker(handler));
    let body = body(handler);
    // Whatever is wrong with the body's type is to be reported where the user wrote that type.
    let span = output_span(handler);
    if handler.policy.mode == Mode::Exempt {
        let run = quote_spanned!(span=> #private::run_exempt::<#output, #marker, _>);
        return quote!(#run(#body).await);
    }
    let policy = policy(handler);
    let given = given(handler);
    let compensation = compensation(handler);
    let runner = Ident::new(runner(handler), Span::mixed_site().located_at(span));
    let run = quote_spanned!(span=> #private::#runner::<#output, #marker, _, _>);
    let given_name = Ident::new("__given", Span::mixed_site());
    quote! {
        static __FT_POLICY: #private::HandlerPolicy = #policy;
        #given
        #run(&__FT_POLICY, #given_name, #compensation, #body).await
    }
}

/// What a faulty handler does instead: its body is checked, and nothing else can go wrong.
fn ungoverned(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let (output, marker, body) = (erased_output(handler), marker(handler), body(handler));
    quote!(#private::run_exempt::<#output, #marker, _>(#body).await)
}

fn runner(handler: &Handler) -> &'static str {
    let policy = &handler.policy;
    // A body that outlives its request has to be where it can be handed on.
    let outlives =
        policy.mode == Mode::DurableWrite || policy.cooperative || handler.durable_sites > 0;
    if outlives { "run_boxed" } else { "run_inline" }
}

/// The `P` of `Governed<R, P>`.
fn marker(handler: &Handler) -> TokenStream {
    let marker = match handler.policy.mode {
        _ if handler.durable_sites > 0 => "Write",
        Mode::Read => "Read",
        Mode::Stream => "Stream",
        Mode::IdempotentWrite | Mode::ReversibleWrite | Mode::DurableWrite => "Write",
        Mode::Exempt => "Exempt",
    };
    let marker = Ident::new(marker, Span::mixed_site());
    let runtime = &handler.runtime;
    quote!(#runtime::policy::#marker)
}

/// The policy as a constant.
fn policy(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let policy = &handler.policy;
    let ident = &handler.function.sig.ident;
    let name = match &policy.name {
        Some(name) => quote!(#name),
        None => {
            let function = ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #function))
        }
    };
    let place = quote_spanned!(ident.span()=> ::core::file!(), ::core::line!());
    let mode = Ident::new(
        match policy.mode {
            Mode::Read => "Read",
            Mode::Stream => "Stream",
            Mode::IdempotentWrite => "IdempotentWrite",
            Mode::ReversibleWrite => "ReversibleWrite",
            Mode::DurableWrite => "DurableWrite",
            Mode::Exempt => "Exempt",
        },
        Span::mixed_site(),
    );
    let sites = handler.durable_sites;
    let settings = [
        policy.cooperative.then(|| quote!(.cooperative())),
        (sites > 0).then(|| quote!(.durable_sites(#sites))),
        policy.deadline.map(|deadline| quote!(.deadline(#deadline))),
        policy.reason.as_ref().map(|reason| quote!(.reason(#reason))),
        policy.max_in_flight.as_ref().map(|limit| quote!(.max_in_flight(#limit))),
        policy.needs.map(|needs| quote!(.needs(#needs))),
    ];
    let settings = settings.iter().flatten();
    quote!(#private::HandlerPolicy::new(#name, #place, #private::Mode::#mode)#(#settings)*)
}

/// The token that a direct caller passed, asked for before the body takes it.
fn given(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let given = Ident::new("__given", Span::mixed_site());
    let none = quote!(let #given = #private::given_none(););
    let token = handler.params.iter().find_map(|param| match param.token? {
        TokenType::Raw => Some((param, quote!(given_raw))),
        TokenType::Request => Some((param, quote!(given_request))),
        TokenType::Durable | TokenType::Shutdown => None,
    });
    match token {
        Some((Param { names, attrs, pat: syn::Pat::Ident(_), .. }, from))
            if handler.policy.mode.is_cancellable() =>
        {
            let mut cfgs = inputs::cfgs(attrs).peekable();
            let absent = cfgs.peek().is_some().then_some(none);
            quote!(#absent #(#cfgs)* let #given = #private::#from(#(&#names)*);)
        }
        _ => none,
    }
}

fn compensation(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    match &handler.policy.on_cancel {
        Some(expr) => {
            // A value that is no future is reported where it was written.
            let span = Span::mixed_site().located_at(expr.span());
            let made = quote_spanned!(span=> #private::compensation(#expr));
            quote!(::core::option::Option::Some(#made))
        }
        None => quote!(#private::no_compensation()),
    }
}

fn body(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let from = if handler.policy.mode == Mode::DurableWrite {
        quote!(#private::durable_raw_from)
    } else {
        quote!(#private::request_raw_from)
    };
    let captures = inputs::captures(&handler.params);
    let tokens = inputs::raw_bindings(&handler.params, &from, handler.rebinds);
    let output = erased_output(handler);
    let body = &handler.function.body;
    let [r, out] = ["__r", "__out"].map(|name| Ident::new(name, Span::mixed_site()));
    quote!(async move {
        if false {
            #captures
            let #r: #output = loop {};
            return #r;
        }
        #tokens
        let #out: #output = #body;
        #out
    })
}

/// Where the return type stands, or the name if it is absent, with our own hygiene.
fn output_span(handler: &Handler) -> Span {
    let signature = &handler.function.sig;
    let at = match &signature.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => signature.ident.span(),
    };
    Span::mixed_site().located_at(at)
}

fn written_output(handler: &Handler) -> TokenStream {
    match &handler.function.sig.output {
        ReturnType::Type(_, ty) => ty.to_token_stream(),
        ReturnType::Default => quote!(()),
    }
}

/// The return type where `impl Trait` cannot be written.
fn erased_output(handler: &Handler) -> TokenStream {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if matches!(ty, Type::ImplTrait(_)) {
                *ty = parse_quote!(_);
            } else {
                visit_mut::visit_type_mut(self, ty);
            }
        }
    }
    match &handler.function.sig.output {
        ReturnType::Type(_, ty) => {
            let mut ty = ty.clone();
            Erase.visit_type_mut(&mut ty);
            ty.to_token_stream()
        }
        ReturnType::Default => quote!(()),
    }
}
