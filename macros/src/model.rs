//! The validated handler or worker, which is the only input of `expand`.
//!
//! Faulty input has a model, too, in which `validate` replaces invalid parts by the likeliest valid ones. The
//! function is then emitted with its governed signature, so that its callers see no second error.

use crate::{
    duration::{Bound, Period},
    parse::Function,
};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Ident, LitStr, Pat, Path, Type};

/// The effect of a cancellation on a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Stream,
    IdempotentWrite,
    ReversibleWrite,
    DurableWrite,
    Exempt,
}

impl Mode {
    /// The modes of `cancellable(..)`, by name.
    pub(crate) const CANCELLABLE: [(&'static str, Self); 4] = [
        ("read", Self::Read),
        ("stream", Self::Stream),
        ("idempotent_write", Self::IdempotentWrite),
        ("reversible_write", Self::ReversibleWrite),
    ];

    /// Returns whether an idempotency key has no error with this mode.
    pub(crate) fn may_have_key(self) -> bool {
        !matches!(self, Self::Stream | Self::ReversibleWrite | Self::Exempt)
    }

    pub(crate) fn is_cancellable(self) -> bool {
        !matches!(self, Self::DurableWrite | Self::Exempt)
    }
}

/// The policy of a handler, with its options.
pub(crate) struct Policy {
    pub(crate) mode: Mode,
    pub(crate) cooperative: bool,
    /// The stream has the read grace to end by itself.
    pub(crate) finish: bool,
    pub(crate) on_cancel: Option<Expr>,
    pub(crate) deadline: Option<Bound>,
    pub(crate) name: Option<LitStr>,
    pub(crate) reason: Option<LitStr>,
    pub(crate) streaming_body: Option<LitStr>,
    /// The option that routes the write behind a safe method. It has no text if the text has an error.
    pub(crate) safe_method: Option<(Ident, Option<LitStr>)>,
    pub(crate) max_in_flight: Option<Expr>,
    pub(crate) needs: Option<Period>,
    pub(crate) key: Option<KeyOptions>,
    /// A parameter that may not be an `IdempotencyKey` of the runtime.
    pub(crate) rejected_key: Option<RejectedKey>,
}

/// A parameter whose type has the name `IdempotencyKey`. Only the compiler knows whether the type is that of the runtime.
pub(crate) struct RejectedKey {
    pub(crate) ty: Type,
    /// The error message if it is.
    pub(crate) message: String,
}

/// The options of idempotency keys.
pub(crate) struct KeyOptions {
    /// The name of the option, for errors.
    pub(crate) name: Ident,
    pub(crate) required: bool,
    pub(crate) keep: Option<Period>,
    pub(crate) after_crash: AfterCrash,
    /// The type of the parameter that may be an `IdempotencyKey`.
    pub(crate) parameter: Option<Type>,
}

/// The treatment of a keyed write whose process has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterCrash {
    Unknown,
    /// `after_crash = "again"`
    Again,
    /// The body calls `finish_in`.
    Proven,
}

impl Policy {
    /// Returns whether the handler writes: by its mode, or because it has a durable site.
    pub(crate) fn is_write(&self, durable_sites: usize) -> bool {
        let writes =
            matches!(self.mode, Mode::IdempotentWrite | Mode::ReversibleWrite | Mode::DurableWrite);
        writes || durable_sites > 0
    }

    /// Returns whether the body must be boxed, so that it can continue after its request has ended.
    pub(crate) fn outlives_its_request(&self, durable_sites: usize) -> bool {
        self.mode == Mode::DurableWrite || self.cooperative || durable_sites > 0
    }
}

/// The path of the runtime crate: `::followthrough`, or the value of `crate = ..`.
#[derive(Clone)]
pub(crate) struct Runtime(pub(crate) Path);

impl Runtime {
    pub(crate) fn private(&self) -> TokenStream {
        let krate = &self.0;
        quote!(#krate::__private)
    }

    /// Like [`private`](Self::private), with every token at `span`. The compiler reports an error in an argument
    /// at the argument only if the path of the called function has the same span.
    pub(crate) fn private_at(&self, span: Span) -> TokenStream {
        let respan = |mut token: TokenTree| {
            token.set_span(span);
            token
        };
        self.private().into_iter().map(respan).collect()
    }
}

impl ToTokens for Runtime {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// The token types that a parameter may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// `tokio_util::sync::CancellationToken`
    Raw,
    Request,
    Durable,
    Shutdown,
}

/// A parameter of the function.
pub(crate) struct Param {
    /// The pattern in the emitted signature.
    pub(crate) pat: Pat,
    /// The type that the user wrote.
    pub(crate) ty: Type,
    pub(crate) attrs: Vec<syn::Attribute>,
    pub(crate) token: Option<TokenType>,
    /// The variables that the pattern binds.
    pub(crate) names: Vec<Ident>,
    /// The pattern that the user wrote, if the body binds the token again.
    pub(crate) inner_pat: Option<Pat>,
}

/// The parameter whose value changes inside sites.
#[derive(Clone)]
pub(crate) struct SiteToken {
    pub(crate) name: Ident,
    pub(crate) ty: TokenType,
}

/// A validated handler.
pub(crate) struct Handler {
    pub(crate) runtime: Runtime,
    pub(crate) policy: Policy,
    pub(crate) function: Function,
    pub(crate) params: Vec<Param>,
    /// The `self` parameter. `validate` reports it, and the faulty handler is emitted with it.
    pub(crate) receiver: Option<syn::Receiver>,
    pub(crate) durable_sites: usize,
    pub(crate) reopened_sites: usize,
    /// The body calls `compensate`, so the handler holds a permit from its start.
    pub(crate) compensates: bool,
    /// The handler is called and never routed, so its return type need not be a response.
    pub(crate) internal: bool,
    /// Whether a site binds the token again.
    pub(crate) rebinds: bool,
}

/// A validated worker.
pub(crate) struct Worker {
    pub(crate) function: Function,
    pub(crate) params: Vec<Param>,
    pub(crate) receiver: Option<syn::Receiver>,
}
