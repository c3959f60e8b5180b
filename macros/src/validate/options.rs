//! The arguments of an attribute, sorted by option.

mod faults;

use super::{word, wording};
use crate::{
    duration::{Bound, Period},
    error::Errors,
    model::{Mode, Runtime},
    parse::{Arg, RawArgs},
    scan, suggest,
    symbol::Symbol,
};
use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Token, parse_quote};

/// The options of all followthrough attributes. [`Options::new`] rejects the options that an attribute does not
/// take.
#[derive(Default)]
pub(crate) struct Options {
    /// `None` if the mode is absent or unknown.
    pub(crate) mode: Option<(Ident, Mode)>,
    /// The mode has an error already, so its absence is not reported.
    pub(crate) mode_faulted: bool,
    pub(crate) cooperative: Option<Ident>,
    pub(crate) finish: Option<Ident>,
    pub(crate) internal: Option<Ident>,
    pub(crate) on_cancel: Option<(Ident, Expr)>,
    /// `on_cancel` has an error already, so its absence is not reported.
    pub(crate) on_cancel_faulted: bool,
    pub(crate) deadline: Option<(Ident, Option<Bound>)>,
    pub(crate) name: Option<(Ident, Option<LitStr>)>,
    pub(crate) reason: Option<(Ident, Option<LitStr>)>,
    pub(crate) max_in_flight: Option<(Ident, Expr)>,
    pub(crate) needs: Option<(Ident, Option<Period>)>,
    pub(crate) streaming_body: Option<(Ident, Option<LitStr>)>,
    pub(crate) safe_method: Option<(Ident, Option<LitStr>)>,
    pub(crate) idempotency_key: Option<(Ident, Option<&'static str>)>,
    pub(crate) keep: Option<(Ident, Option<Period>)>,
    pub(crate) after_crash: Option<(Ident, Option<&'static str>)>,
    /// The arguments did not parse as a whole, so absent options are not reported.
    pub(crate) salvaged: bool,
    krate: Option<Path>,
}

/// Returns the names of the options that `symbol` takes.
fn names(symbol: Symbol) -> &'static [&'static str] {
    match symbol {
        Symbol::Cancellable => &[
            "cooperative",
            "finish",
            "on_cancel",
            "safe_method",
            "idempotency_key",
            "keep",
            "after_crash",
            "deadline",
            "name",
            "internal",
            "crate",
        ],
        Symbol::DurableWrite => &[
            "reason",
            "max_in_flight",
            "needs",
            "streaming_body",
            "safe_method",
            "idempotency_key",
            "keep",
            "after_crash",
            "deadline",
            "name",
            "internal",
            "crate",
        ],
        Symbol::Exempt => &["reason", "name", "internal", "crate"],
        Symbol::Background | Symbol::Deadline => &["crate"],
    }
}

/// Returns the attribute that has the option `text`.
fn owner(text: &str) -> Option<Symbol> {
    let all = [Symbol::DurableWrite, Symbol::Cancellable, Symbol::Exempt];
    all.into_iter().find(|symbol| names(*symbol).contains(&text))
}

impl Options {
    /// Reads `args`. If they do not parse as a whole, reads the valid ones.
    pub(crate) fn read(symbol: Symbol, args: TokenStream, errors: &mut Errors) -> Self {
        match errors.ok(RawArgs::parse(args.clone())) {
            Some(args) => Self::new(symbol, args, errors),
            // Further errors may be consequences of the parse error, so they are not reported.
            None => Self::new(symbol, RawArgs::salvage(args), &mut Errors::default())
                .with_required_options(),
        }
    }

    /// Sorts `args` and records an error for each argument that `symbol` does not take.
    pub(crate) fn new(symbol: Symbol, args: RawArgs, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for arg in args.0 {
            match arg {
                Arg::Word(word) => options.word(symbol, word, errors),
                Arg::Option { name, value } => options.option(symbol, &name, value, errors),
                Arg::Colon { name, colon, value } => {
                    options.colon(symbol, &name, colon, value, errors);
                }
                Arg::Crate { keyword, path } if options.krate.is_some() => {
                    drop(path);
                    errors.at(keyword, "`crate` is given twice");
                }
                Arg::Crate { path, .. } => options.krate = Some(path),
                Arg::Unfinished(name) => options.unfinished(symbol, &name, errors),
                Arg::Value(value) => options.value(symbol, &value, errors),
            }
        }
        options
    }

    /// Marks every required option as present, after a parse error.
    fn with_required_options(mut self) -> Self {
        let absent = |name| Some((Ident::new(name, proc_macro2::Span::call_site()), None));
        self.mode_faulted = true;
        self.salvaged = true;
        // The user may not have typed `internal` yet.
        let internal = || Ident::new("internal", proc_macro2::Span::call_site());
        self.internal.get_or_insert_with(internal);
        self.reason = self.reason.or_else(|| absent("reason"));
        self.streaming_body = self.streaming_body.or_else(|| absent("streaming_body"));
        self.safe_method = self.safe_method.or_else(|| absent("safe_method"));
        self.on_cancel_faulted = true;
        self
    }

    pub(crate) fn runtime(&self) -> Runtime {
        Runtime(self.krate.clone().unwrap_or_else(|| parse_quote!(::followthrough)))
    }

    /// Returns whether the mode is given and has no error.
    pub(crate) fn has_known_mode(&self) -> bool {
        self.mode.is_some() && !self.mode_faulted
    }

    /// Returns the value of `crate = ..`.
    pub(crate) fn renamed(&self) -> Option<&Path> {
        self.krate.as_ref()
    }

    /// Returns the names of the options of idempotency keys that are given.
    pub(crate) fn of_keys(&self) -> [Option<&Ident>; 3] {
        [
            self.idempotency_key.as_ref().map(|(name, _)| name),
            self.keep.as_ref().map(|(name, _)| name),
            self.after_crash.as_ref().map(|(name, _)| name),
        ]
    }

    fn word(&mut self, symbol: Symbol, word: Ident, errors: &mut Errors) {
        let text = word.to_string();
        let mode = Mode::CANCELLABLE.iter().find(|(name, _)| *name == text);
        match (symbol, mode) {
            (Symbol::Cancellable, Some(_)) if self.mode.is_some() => {
                errors.at(word, "a handler has one mode: remove this one");
            }
            (Symbol::Cancellable, Some((_, mode))) => self.mode = Some((word, *mode)),
            (Symbol::Cancellable, None) if text == "cooperative" => {
                flag(&mut self.cooperative, word, errors);
            }
            (Symbol::Cancellable, None) if text == "finish" => {
                flag(&mut self.finish, word, errors);
            }
            (Symbol::Cancellable | Symbol::DurableWrite | Symbol::Exempt, None)
                if text == "internal" =>
            {
                flag(&mut self.internal, word, errors);
            }
            (Symbol::Cancellable, None)
                if self.mode.is_none() && !names(symbol).contains(&text.as_str()) =>
            {
                self.unknown_mode(&word, errors);
            }
            (_, Some(_)) => errors.at(
                word,
                format!("`{}` has no mode: `{text}` belongs to `cancellable`", symbol.name()),
            ),
            (_, None) => self.unknown(symbol, &word, errors),
        }
    }

    fn unknown_mode(&mut self, word: &Ident, errors: &mut Errors) {
        let text = word.to_string();
        self.mode_faulted = true;
        if let Some(message) = wording::mode(&text) {
            return errors.at(word, message);
        }
        let modes = Mode::CANCELLABLE.map(|(name, _)| name);
        self.assume_mode(word, &modes);
        let expected = suggest::expected(&text, &modes);
        errors.at(word, format!("unknown mode `{text}`: {expected}"));
    }

    /// Reads `deadline: "10s"` as `deadline = "10s"`, and rejects the colon.
    fn colon(
        &mut self,
        symbol: Symbol,
        name: &Ident,
        colon: Token![:],
        value: Expr,
        errors: &mut Errors,
    ) {
        let is_known = names(symbol).contains(&name.to_string().as_str());
        if is_known {
            let value = value.to_token_stream();
            errors.at(colon, format!("an option takes its value by `=`: write `{name} = {value}`"));
        }
        self.option(symbol, name, value, errors);
    }

    /// Rejects `mode = read`, and takes the mode, so that its absence is not a second error.
    fn named_mode(&mut self, symbol: Symbol, name: &Ident, value: &Expr, errors: &mut Errors) {
        if symbol != Symbol::Cancellable {
            let attribute = symbol.name();
            return errors.at(name, format!("`{attribute}` is the whole policy: remove `mode`"));
        }
        let text = value.to_token_stream().to_string();
        let text = text.trim_matches('"');
        self.mode_faulted = true;
        let known = Mode::CANCELLABLE.iter().find(|(mode, _)| *mode == text);
        if let Some((_, mode)) = known {
            self.mode.get_or_insert((name.clone(), *mode));
            return errors.at(name, format!("a mode stands alone: write `#[cancellable({text})]`"));
        }
        let modes = Mode::CANCELLABLE.map(|(name, _)| name);
        let message = wording::mode(text)
            .unwrap_or_else(|| format!("a mode stands alone: write {}", suggest::list(&modes)));
        errors.at(name, message);
    }

    /// Assumes the known mode that is nearest to `word`, so that the handler's routes report no second error.
    fn assume_mode(&mut self, word: &Ident, modes: &[&str]) {
        self.mode_faulted = true;
        let near = suggest::nearest(&word.to_string(), modes);
        let mode = Mode::CANCELLABLE.iter().find(|(name, _)| Some(*name) == near);
        if let Some((_, mode)) = mode {
            self.mode = Some((word.clone(), *mode));
        }
    }

    fn option(&mut self, symbol: Symbol, name: &Ident, value: Expr, errors: &mut Errors) {
        let text = name.to_string();
        if !names(symbol).contains(&text.as_str()) {
            return match text.as_str() {
                "mode" => self.named_mode(symbol, name, &value, errors),
                "timeout" if names(symbol).contains(&"deadline") => {
                    errors.at(name, wording::timeout(&value));
                }
                _ => self.unknown(symbol, name, errors),
            };
        }
        if let Some(site) = scan::find_attribute(&value.to_token_stream()) {
            errors.at(site, format!("`{text}` is not part of the body: remove this attribute"));
        }
        let twice = match text.as_str() {
            "on_cancel" => self.on_cancel.replace((name.clone(), value)).is_some(),
            "deadline" => {
                let bound = errors.ok(Bound::from_expr(&value));
                self.deadline.replace((name.clone(), bound)).is_some()
            }
            "needs" => {
                let period = errors.ok(Period::from_expr(&value));
                self.needs.replace((name.clone(), period)).is_some()
            }
            "name" => {
                let text = errors.ok(text_of(name, &value));
                self.name.replace((name.clone(), text)).is_some()
            }
            "reason" => {
                let text = errors.ok(text_of(name, &value));
                self.reason.replace((name.clone(), text)).is_some()
            }
            "streaming_body" => {
                let text = errors.ok(text_of(name, &value));
                self.streaming_body.replace((name.clone(), text)).is_some()
            }
            "safe_method" => {
                let text = errors.ok(text_of(name, &value));
                self.safe_method.replace((name.clone(), text)).is_some()
            }
            "idempotency_key" => {
                let word = errors.ok(word::word(name, &value, &word::REQUIREMENTS));
                self.idempotency_key.replace((name.clone(), word)).is_some()
            }
            "keep" => {
                let period = errors.ok(Period::kept(&value));
                self.keep.replace((name.clone(), period)).is_some()
            }
            "after_crash" => {
                let word = errors.ok(word::word(name, &value, &word::AFTER_CRASH));
                self.after_crash.replace((name.clone(), word)).is_some()
            }
            "max_in_flight" => self.max_in_flight.replace((name.clone(), value)).is_some(),
            _ => {
                self.assume_option(symbol, name);
                errors.at(name, format!("`{text}` takes no value: write `{text}`"));
                false
            }
        };
        if twice {
            errors.at(name, format!("`{text}` is given twice"));
        }
    }
}

/// Records an option without a value.
fn flag(place: &mut Option<Ident>, word: Ident, errors: &mut Errors) {
    if place.is_some() {
        errors.at(&word, format!("`{word}` is given twice"));
    }
    *place = Some(word);
}

/// Returns the string literal in `value`, which must not be blank.
fn text_of(name: &Ident, value: &Expr) -> syn::Result<LitStr> {
    match value {
        // `macro_rules` wraps a `$reason:literal` in an invisible group.
        Expr::Group(group) => text_of(name, &group.expr),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value().trim().is_empty() => {
            Err(syn::Error::new_spanned(text, format!("`{name}` is blank: say something here")))
        }
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => {
            let message = format!("expected a string literal: write `{name} = \"…\"`");
            Err(syn::Error::new_spanned(other, message))
        }
    }
}
