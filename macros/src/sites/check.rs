//! Checks each site against its handler and against the other sites of the body.

use super::site::{Host, Kind, Site};
use crate::{duration::Period, error::Errors, model::TokenType, symbol::Symbol};

/// Checks all sites of a body.
pub(crate) fn all(host: &Host<'_>, sites: &[Site], errors: &mut Errors) {
    let has_durable = sites.iter().any(|site| matches!(site.kind, Kind::Durable));
    for site in sites {
        match host.symbol {
            Symbol::DurableWrite => in_durable_write(site, errors),
            Symbol::Cancellable => in_cancellable(site, has_durable, errors),
            Symbol::Exempt | Symbol::Background | Symbol::Deadline => {
                without_policy(host.symbol, site, errors);
                continue;
            }
        }
        check_deadline(host, site, errors);
        check_token_name(host, site, errors);
    }
}

fn in_durable_write(site: &Site, errors: &mut Errors) {
    match site.kind {
        Kind::Durable => errors.at(
            &site.attribute,
            "the whole handler is a durable write already: remove this attribute, or make the \
             handler `#[cancellable(read)]`",
        ),
        Kind::Deadline(_) => errors.at(
            &site.attribute,
            "a durable write has no deadline of its own: add `#[cancellable(read)]` to the \
             statement to let one end it there",
        ),
        Kind::Cancellable(_) => {}
    }
}

fn in_cancellable(site: &Site, has_durable: bool, errors: &mut Errors) {
    if matches!(site.kind, Kind::Cancellable(None)) && !has_durable {
        errors.at(
            &site.attribute,
            "the whole handler is cancellable already: remove this attribute, or add a \
             `#[deadline = \"2s\"]` to it",
        );
    }
}

fn without_policy(symbol: Symbol, site: &Site, errors: &mut Errors) {
    let message = if symbol == Symbol::Exempt {
        "an exempt handler has no policy for a statement to change: make the handler \
         `#[cancellable(read)]`"
    } else {
        "a worker has no request, so its statements have no policy: remove this attribute"
    };
    errors.at(&site.attribute, message);
}

/// Rejects a site's deadline that is not shorter than the handler's, because it would have no effect.
fn check_deadline(host: &Host<'_>, site: &Site, errors: &mut Errors) {
    let own = match site.kind {
        Kind::Cancellable(own) => own,
        Kind::Deadline(own) => Some(own),
        Kind::Durable => None,
    };
    let (Some(own), Some(outer)) = (own, host.deadline) else { return };
    if own.millis >= outer.millis {
        errors.push(syn::Error::new(
            own.span,
            format!(
                "this statement cannot take longer than its handler, whose deadline is {}: write \
                 a shorter one, or remove it",
                readable(outer)
            ),
        ));
    }
}

fn readable(period: Period) -> String {
    let millis = period.millis;
    [("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        .into_iter()
        .find(|(_, factor)| millis % factor == 0)
        .map_or_else(
            || format!("`{millis}ms`"),
            |(unit, factor)| format!("`{}{unit}`", millis / factor),
        )
}

fn check_token_name(host: &Host<'_>, site: &Site, errors: &mut Errors) {
    let Err(pattern) = &host.token else { return };
    if matches!(site.kind, Kind::Deadline(_)) {
        return;
    }
    errors.at(
        pattern,
        "the token changes its meaning inside a site, so it needs a name: write \
         `cancel: CancellationToken`",
    );
}

/// Returns whether a site of `kind` binds a token of type `ty` again.
pub(crate) fn rebinds(kind: Kind, ty: TokenType) -> bool {
    match kind {
        Kind::Durable | Kind::Cancellable(_) => ty != TokenType::Shutdown,
        // Of the token types, only `RequestToken` has a deadline.
        Kind::Deadline(_) => ty == TokenType::Request,
    }
}
