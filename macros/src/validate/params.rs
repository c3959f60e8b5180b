//! Finds the token parameters and checks them against the policy.

use crate::{
    error::Errors,
    model::{Param, SiteToken, TokenType},
    parts::{Part, Parts},
    scan,
    symbol::Symbol,
};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, format_ident};
use syn::{
    Attribute, FnArg, Ident, Pat, PatIdent, PatType, Signature, Type, parse_quote,
    visit::Visit as _,
};

/// The parameters of a function, in order.
pub(crate) struct Params(pub(crate) Vec<Param>);

/// The event that cancels a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Request,
    Durable,
    Stopping,
}

/// Checks the parameters of `signature` against the policy `symbol`.
pub(crate) fn params(symbol: Symbol, signature: &Signature, errors: &mut Errors) -> Params {
    let mut params = Vec::new();
    let mut meanings: Vec<Meaning> = Vec::new();
    for (index, input) in signature.inputs.iter().enumerate() {
        // `check_signature` rejects a `self`.
        let FnArg::Typed(typed) = input else { continue };
        let mut typed = typed.clone();
        typed.attrs.retain(|attribute| !is_misplaced(attribute, errors));
        let token = token_type(&typed.ty);
        if let Some(token) = token {
            match meaning(symbol, token) {
                Ok(meaning) if meanings.contains(&meaning) => {
                    errors.at(
                        &typed.ty,
                        "two token parameters with the same meaning: remove one of them",
                    );
                }
                Ok(meaning) => meanings.push(meaning),
                Err(message) => errors.at(&typed.ty, message),
            }
        }
        params.push(param(index, typed, token));
    }
    if symbol == Symbol::Background {
        check_worker(signature, &params, errors);
    }
    Params(params)
}

/// Returns whether `attribute` is a followthrough attribute, and rejects it, because parameters take none.
fn is_misplaced(attribute: &Attribute, errors: &mut Errors) -> bool {
    let Some(name) = Symbol::named_by(attribute).map(Symbol::name) else { return false };
    errors.at(attribute, format!("`{name}` belongs on a function or a statement: remove it here"));
    true
}

/// Returns the token type of `ty`, by the last path segment, as axum's own macros recognise extractors.
fn token_type(ty: &Type) -> Option<TokenType> {
    Some(match last_segment(ty)?.to_string().as_str() {
        "CancellationToken" => TokenType::Raw,
        "RequestToken" => TokenType::Request,
        "DurableToken" => TokenType::Durable,
        "ShutdownToken" => TokenType::Shutdown,
        _ => return None,
    })
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(path) => Some(&path.path.segments.last()?.ident),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// Returns the meaning of a token parameter under the policy `symbol`, or an error message.
fn meaning(symbol: Symbol, token: TokenType) -> Result<Meaning, &'static str> {
    match token {
        TokenType::Shutdown => Ok(Meaning::Stopping),
        TokenType::Raw => match symbol {
            Symbol::Cancellable => Ok(Meaning::Request),
            Symbol::DurableWrite => Ok(Meaning::Durable),
            Symbol::Background => Ok(Meaning::Stopping),
            Symbol::Exempt | Symbol::Deadline => {
                Err("an exempt handler has no policy to say what this token means: take \
                 `RequestToken` or `ShutdownToken`")
            }
        },
        TokenType::Request => match symbol {
            Symbol::DurableWrite => {
                Err("a durable write is not cancelled with its request: take `DurableToken`, or \
                 `ShutdownToken` to learn of a shutdown")
            }
            Symbol::Background => Err(NO_REQUEST),
            Symbol::Cancellable | Symbol::Exempt | Symbol::Deadline => Ok(Meaning::Request),
        },
        TokenType::Durable => match symbol {
            Symbol::Cancellable => {
                Err("a cancellable handler has no `DurableToken` of its own: take `RequestToken`, \
                 which is a `DurableToken` inside a `#[durable_write]` site")
            }
            Symbol::Background => Err(NO_REQUEST),
            Symbol::DurableWrite | Symbol::Exempt | Symbol::Deadline => Ok(Meaning::Durable),
        },
    }
}

const NO_REQUEST: &str = "a worker belongs to no request: take `ShutdownToken`";

/// Returns the token that sites bind again, if the handler has one with a name.
///
/// # Errors
///
/// Returns the pattern of a token that sites cannot bind again.
pub(crate) fn site_token(symbol: Symbol, params: &Params) -> Result<Option<SiteToken>, &Pat> {
    let token = params.0.iter().find_map(|param| {
        let ty = param.token.filter(|token| *token != TokenType::Shutdown)?;
        meaning(symbol, ty).ok().map(|_| (param, ty))
    });
    let Some((param, ty)) = token else { return Ok(None) };
    match param.inner_pat.as_ref().unwrap_or(&param.pat) {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            let name = ident.clone();
            Ok(Some(SiteToken { name, ty }))
        }
        // A token without a name cannot be used in a site.
        Pat::Wild(_) => Ok(None),
        other if names(other).is_empty() => Ok(None),
        other => Err(other),
    }
}

fn param(index: usize, typed: PatType, token: Option<TokenType>) -> Param {
    let PatType { attrs, pat, ty, .. } = typed;
    let mut param = Param { names: names(&pat), pat: *pat, ty: *ty, attrs, token, inner_pat: None };
    if matches!(token, Some(TokenType::Raw | TokenType::Request)) {
        // The token in the body differs from the one in the signature, so the user's pattern and type move into
        // the body. The signature then has a plain name, because the compiler would report a `mut` there as
        // unused.
        param.inner_pat = Some(param.pat.clone());
        if let Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) = &param.pat {
            param.pat = parse_quote!(#ident);
            return param;
        }
        param.names.clear();
    }
    if param.names.is_empty() {
        // A name makes the value live as long as the body, as in any function.
        let name = format_ident!("__ft_arg{index}", span = Span::mixed_site());
        param.pat = parse_quote!(#name);
        param.names.push(name);
    }
    param
}

/// Returns the variables that `pat` binds.
fn names(pat: &Pat) -> Vec<Ident> {
    let mut names = Vec::new();
    Parts(&mut |part| {
        if let Part::Binding(pat) = part {
            // syn parses `None` and constants as bindings. Their names begin with a capital letter.
            let is_path = pat.ident.to_string().starts_with(char::is_uppercase);
            if !is_path && !names.contains(&pat.ident) {
                names.push(pat.ident.clone());
            }
        }
        true
    })
    .visit_pat(pat);
    names
}

/// Rejects a worker that never uses its token, because a shutdown cannot stop it.
pub(crate) fn unused_token(params: &Params, body: &TokenStream, errors: &mut Errors) {
    let tokens: Vec<_> = params.0.iter().filter(|param| param.token.is_some()).collect();
    let is_mentioned =
        |param: &&Param| param.names.iter().any(|name| scan::may_mention(body, name));
    if let (Some(first), false) = (tokens.first(), tokens.iter().any(is_mentioned)) {
        errors.at(
            first.inner_pat.as_ref().unwrap_or(&first.pat),
            "this worker never looks at its token, so a shutdown waits for it in vain: await \
             `stop.cancelled()` beside its work, ask `stop.is_cancelled()` between two pieces of it, or say \
             `drop(stop)` if something else ends it",
        );
    }
}

/// Extractors that a user may pass to a worker by mistake.
const EXTRACTORS: [&str; 9] =
    ["State", "Path", "Query", "Json", "Form", "Extension", "ConnectInfo", "Multipart", "Request"];

fn check_worker(signature: &Signature, params: &[Param], errors: &mut Errors) {
    for param in params {
        let Some(name) = last_segment(&param.ty) else { continue };
        if EXTRACTORS.iter().any(|extractor| name == extractor) {
            errors.at(
                &param.ty,
                format!("a worker has no request to extract `{name}` from: take the value itself"),
            );
        }
    }
    let has_token = params.iter().any(|param| param.token.is_some());
    if !has_token {
        let at = signature.ident.to_token_stream();
        errors
            .at(at, "a worker needs to learn when to stop: add a parameter `stop: ShutdownToken`");
    }
}
