//! What a handler or a worker is, once validated. Expansion sees nothing else.
//!
//! A model exists for faulty input too, as near to what was meant as can be told: the function is
//! emitted with its governed signature all the same, so that its callers see no second error.

use crate::{
    duration::{Bound, Period},
    parse::Function,
};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Ident, LitStr, Pat, Path, Type};

/// What ends a request, and what that does to the handler.
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
    /// The modes that `cancellable(..)` takes, by name.
    pub(crate) const CANCELLABLE: [(&'static str, Self); 4] = [
        ("read", Self::Read),
        ("stream", Self::Stream),
        ("idempotent_write", Self::IdempotentWrite),
        ("reversible_write", Self::ReversibleWrite),
    ];

    pub(crate) fn is_cancellable(self) -> bool {
        !matches!(self, Self::DurableWrite | Self::Exempt)
    }
}

/// The attribute of a handler.
pub(crate) struct Policy {
    pub(crate) mode: Mode,
    pub(crate) cooperative: bool,
    /// A stream that has the read grace to end by itself.
    pub(crate) finish: bool,
    pub(crate) on_cancel: Option<Expr>,
    pub(crate) deadline: Option<Bound>,
    pub(crate) name: Option<LitStr>,
    pub(crate) reason: Option<LitStr>,
    pub(crate) streaming_body: Option<LitStr>,
    pub(crate) max_in_flight: Option<Expr>,
    pub(crate) needs: Option<Period>,
}

impl Policy {
    /// Whether the body, with so many durable sites, has to be where it can be handed on.
    pub(crate) fn outlives_its_request(&self, durable_sites: usize) -> bool {
        self.mode == Mode::DurableWrite || self.cooperative || durable_sites > 0
    }
}

/// Where the runtime is: `::followthrough`, or what `crate = ..` says.
#[derive(Clone)]
pub(crate) struct Runtime(pub(crate) Path);

impl Runtime {
    pub(crate) fn private(&self) -> TokenStream {
        let krate = &self.0;
        quote!(#krate::__private)
    }

    /// [`private`](Self::private) with every token at `span`: the compiler blames an argument at
    /// its own place only if the path of the function stands in the same one.
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

/// The types that the table of token parameters knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// `tokio_util::sync::CancellationToken`
    Raw,
    Request,
    Durable,
    Shutdown,
}

/// One parameter.
pub(crate) struct Param {
    /// As it stands in the emitted signature.
    pub(crate) pat: Pat,
    /// As the user wrote it.
    pub(crate) ty: Type,
    pub(crate) attrs: Vec<syn::Attribute>,
    pub(crate) token: Option<TokenType>,
    /// Every variable that the pattern binds.
    pub(crate) names: Vec<Ident>,
    /// For a raw token: the user's own pattern, bound again inside the body.
    pub(crate) inner_pat: Option<Pat>,
}

/// The parameter whose meaning changes inside sites.
#[derive(Clone)]
pub(crate) struct SiteToken {
    pub(crate) name: Ident,
    pub(crate) ty: TokenType,
}

/// A handler, ready to be expanded.
pub(crate) struct Handler {
    pub(crate) runtime: Runtime,
    pub(crate) policy: Policy,
    pub(crate) function: Function,
    pub(crate) params: Vec<Param>,
    /// A `self` in a handler is a fault, but a faulty handler is emitted too.
    pub(crate) receiver: Option<syn::Receiver>,
    pub(crate) durable_sites: usize,
    pub(crate) reopened_sites: usize,
    /// It calls `compensate`, so that it holds a permit from its begin.
    pub(crate) compensates: bool,
    /// Called and never routed, so what it returns need not be a response.
    pub(crate) internal: bool,
    /// Whether any site gives the token another meaning.
    pub(crate) rebinds: bool,
}

/// A worker, ready to be expanded.
pub(crate) struct Worker {
    pub(crate) function: Function,
    pub(crate) params: Vec<Param>,
    pub(crate) receiver: Option<syn::Receiver>,
}
