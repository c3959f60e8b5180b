//! Errors of arguments that are no option of their attribute, or an option without a value.

use super::{super::wording, Options, names, owner};
use crate::{duration::Period, error::Errors, model::Mode, suggest, symbol::Symbol};
use quote::ToTokens as _;
use syn::{Expr, ExprLit, Ident, Lit};

impl Options {
    pub(super) fn unfinished(&mut self, symbol: Symbol, name: &Ident, errors: &mut Errors) {
        let text = name.to_string();
        let mode = Mode::CANCELLABLE.iter().find(|(mode, _)| *mode == text);
        match (symbol, mode) {
            (Symbol::Cancellable, Some((_, mode))) => {
                self.mode.get_or_insert((name.clone(), *mode));
            }
            (Symbol::Cancellable, None) if text == "cooperative" || text == "finish" => {}
            _ => return self.unknown(symbol, name, errors),
        }
        errors.at(name, format!("`{text}` takes no value: write `{text}`"));
    }

    pub(super) fn value(&mut self, symbol: Symbol, value: &Expr, errors: &mut Errors) {
        let is_text = matches!(value, Expr::Lit(ExprLit { lit: Lit::Str(_), .. }));
        let is_period = Period::from_expr(value).is_ok() && names(symbol).contains(&"deadline");
        let called = match value {
            Expr::Call(call) => syn::parse2::<Ident>(call.func.to_token_stream()).ok(),
            _ => None,
        };
        let called = called.filter(|name| names(symbol).contains(&name.to_string().as_str()));
        if let Some(name) = called {
            self.assume_option(symbol, &name);
            return errors
                .at(value, format!("`{name}` takes its value by `=`: write `{name} = ..`"));
        }
        let message = match symbol {
            _ if is_period => {
                let value = value.to_token_stream();
                format!("expected a named option: write `deadline = {value}`")
            }
            Symbol::Exempt | Symbol::DurableWrite if is_text => {
                self.reason = self
                    .reason
                    .take()
                    .or_else(|| Some((Ident::new("reason", proc_macro2::Span::call_site()), None)));
                "expected a named option: write `reason = \"…\"`".to_owned()
            }
            Symbol::Cancellable if self.mode.is_none() => {
                self.mode_faulted = true;
                let modes = Mode::CANCELLABLE.map(|(name, _)| name);
                format!("expected a mode: {}", suggest::list(&modes))
            }
            _ => format!("expected an option: {}", suggest::list(names(symbol))),
        };
        errors.at(value, message);
    }

    pub(super) fn unknown(&mut self, symbol: Symbol, name: &Ident, errors: &mut Errors) {
        let (text, attribute) = (name.to_string(), symbol.name());
        let message = wording::misplaced(&text, symbol).unwrap_or_else(|| {
            if names(symbol).contains(&text.as_str()) {
                format!("`{text}` needs a value: write `{text} = ..`")
            } else if let Some(owner) = owner(&text) {
                format!("`{text}` belongs to `{}`: remove it", owner.name())
            } else {
                let expected = suggest::expected(&text, names(symbol));
                format!("unknown option `{text}` of `{attribute}`: {expected}")
            }
        });
        if (text.as_str(), symbol) == ("idempotency_key", Symbol::Exempt) {
            // The parameter of the key reports no second error.
            self.idempotency_key.get_or_insert_with(|| (name.clone(), None));
        }
        self.assume_option(symbol, name);
        errors.at(name, message);
    }

    /// Marks the option that is nearest to the misspelt `name` as present, so that its absence is not reported.
    pub(super) fn assume_option(&mut self, symbol: Symbol, name: &Ident) {
        match suggest::nearest(&name.to_string(), names(symbol)) {
            Some("reason") => _ = self.reason.get_or_insert_with(|| (name.clone(), None)),
            Some("streaming_body") => {
                _ = self.streaming_body.get_or_insert_with(|| (name.clone(), None));
            }
            Some("safe_method") => {
                _ = self.safe_method.get_or_insert_with(|| (name.clone(), None));
            }
            Some("idempotency_key") => {
                _ = self.idempotency_key.get_or_insert_with(|| (name.clone(), None));
            }
            Some("on_cancel") => self.on_cancel_faulted = true,
            Some("internal") => _ = self.internal.get_or_insert_with(|| name.clone()),
            _ => {}
        }
    }
}
