//! Runs the stages of `background`: parse, validate, expand.

use crate::{
    cfg_attr,
    error::Errors,
    expand,
    model::Worker,
    parse::Function,
    scan::Text,
    sites::{self, Host},
    symbol::Symbol,
    validate::{self, Options},
};
use proc_macro2::TokenStream;

/// Runs the macro `background`.
pub(crate) fn run(args: TokenStream, item: TokenStream) -> TokenStream {
    let symbol = Symbol::Background;
    let mut errors = Errors::default();
    let Some(mut function) = Function::expect(symbol, &item, &mut errors) else {
        return expand::fallback(item, &errors);
    };
    if let Some(reordered) = cfg_attr::reorder(symbol, &args, &mut function) {
        return reordered;
    }
    let options = Options::read(symbol, args, &mut errors);
    let runtime = options.runtime();
    let attributes = validate::split_attributes(std::mem::take(&mut function.attrs), &mut errors);
    validate::second_policies(symbol, &attributes, &mut errors);
    for deadline in &attributes.deadlines {
        errors.at(
            &deadline.attribute,
            "a worker has no deadline: it runs until its stopping token fires",
        );
    }
    let params = validate::params(symbol, &function.sig, &mut errors);
    let text = Text::new(&function.body);
    validate::calls(symbol, &params, (&function.body, &text), &mut errors);
    validate::unused_token(&params, &function.body.stream(), &mut errors);
    validate::check_signature(symbol, &function.sig, &mut errors);
    let receiver = validate::normalise_signature(&mut function.sig);
    function.attrs = attributes.others;

    let host = Host { symbol, runtime: &runtime, deadline: None, token: Ok(None) };
    function.body = sites::govern(&host, (&function.body, &text), &mut errors).body;
    let worker = Worker { function, params: params.0, receiver };
    expand::worker(&worker, &errors)
}
