//! Writes the policy as a constant and as a type.

use crate::{
    duration::Bound,
    model::{AfterCrash, Handler, KeyOptions, Mode, RejectedKey},
};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, Type, ext::IdentExt as _, spanned::Spanned as _};

/// Returns the `P` of `Governed<R, P>`.
pub(crate) fn marker(handler: &Handler) -> TokenStream {
    let marker = match handler.policy.mode {
        // `sites` has rejected the sites of an exempt handler, so the handler's routes report no second error.
        Mode::Exempt => "Exempt",
        _ if handler.policy.is_write(handler.durable_sites) => {
            if handler.policy.safe_method.is_some() { "SafeMethodWrite" } else { "Write" }
        }
        Mode::Stream => "Stream",
        _ => "Read",
    };
    let marker = Ident::new(marker, Span::mixed_site());
    let runtime = &handler.runtime;
    quote!(#runtime::policy::#marker)
}

/// Declares the policy as a static and submits it to the catalogue.
pub(crate) fn declared(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let policy = policy(handler);
    let rejected_key = handler.policy.rejected_key.as_ref().map(|key| rejected(key, &private));
    quote! {
        #rejected_key
        static __FT_POLICY: #private::HandlerPolicy = #policy;
        #private::inventory::submit! { #private::Declared(&__FT_POLICY) }
    }
}

/// Writes the policy as a constant expression.
fn policy(handler: &Handler) -> TokenStream {
    let private = handler.runtime.private();
    let policy = &handler.policy;
    let ident = &handler.function.sig.ident;
    let name = policy.name.as_ref().map_or_else(
        || {
            let function = ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #function))
        },
        |name| quote!(#name),
    );
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
    let (sites, reopened) = (handler.durable_sites, handler.reopened_sites);
    let safe_method = policy.safe_method.as_ref().and_then(|(_, reason)| reason.as_ref());
    let settings = [
        Some(path()),
        policy.cooperative.then(|| quote!(.with_cooperation())),
        policy.finish.then(|| quote!(.with_finish())),
        handler.compensates.then(|| quote!(.with_compensation())),
        (sites > 0).then(|| quote!(.with_durable_sites(#sites))),
        (reopened > 0).then(|| quote!(.with_reopened_sites(#reopened))),
        policy.deadline.as_ref().map(|deadline| match deadline {
            Bound::Period(period) => quote!(.with_deadline(#period)),
            Bound::Named(name) => quote!(.with_named_deadline(#name)),
        }),
        policy.reason.as_ref().map(|reason| quote!(.with_reason(#reason))),
        policy.streaming_body.as_ref().map(|reason| quote!(.with_streaming_body(#reason))),
        safe_method.map(|reason| quote!(.with_safe_method(#reason))),
        policy.max_in_flight.as_ref().map(|limit| quote!(.with_max_in_flight(#limit))),
        policy.needs.map(|needs| quote!(.with_needs(#needs))),
        policy.key.as_ref().map(|options| {
            let key = key(options, &private);
            quote!(.with_idempotency_key(#key))
        }),
    ];
    let settings = settings.iter().flatten();
    quote!(#private::HandlerPolicy::new(#name, #place, #private::Mode::#mode)#(#settings)*)
}

/// Writes the options of idempotency keys as a constant expression.
fn key(options: &KeyOptions, private: &TokenStream) -> TokenStream {
    let required = options.required;
    let settings = [
        options.keep.map(|keep| quote!(.keep(#keep))),
        match options.after_crash {
            AfterCrash::Unknown => None,
            AfterCrash::Again => Some(quote!(.again_after_crash())),
            AfterCrash::Proven => Some(quote!(.finishing_in_transaction())),
        },
        options.parameter.as_ref().map(|ty| {
            let is_key = is_key(ty, private);
            quote!(.taking_key(#is_key))
        }),
    ];
    let settings = settings.iter().flatten();
    quote!(#private::KeyPolicy::new(#required)#(#settings)*)
}

/// Writes the check that the type of a parameter is not the runtime's `IdempotencyKey`.
fn rejected(key: &RejectedKey, private: &TokenStream) -> TokenStream {
    let is_key = is_key(&key.ty, private);
    let message = &key.message;
    // The compiler reports the failed check at the type.
    let span = key.ty.span().resolved_at(Span::mixed_site());
    quote_spanned! {span=>
        #[allow(clippy::assertions_on_constants)]
        const _: () = ::core::assert!(!#is_key, #message);
    }
}

/// Writes whether `ty` is the runtime's `IdempotencyKey`, as a constant expression.
fn is_key(ty: &Type, private: &TokenStream) -> TokenStream {
    quote! {
        {
            #[allow(unused_imports)]
            use #private::NoKey as _;
            #private::Parameter::<#ty>::IS_KEY
        }
    }
}

/// Writes the path of the handler's function. A router uses the path to find the policy before the body runs.
fn path() -> TokenStream {
    let path = Ident::new("__Path", Span::mixed_site());
    quote! {
        .with_path({
            enum #path {}
            ::core::any::type_name::<#path>
        })
    }
}
