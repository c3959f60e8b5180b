//! Properties of every expansion, for any input.

use super::invocation::{Invocation, attributes, resolve_conditions};
use crate::{
    parse::{Function, RawArgs},
    scan,
    symbol::Symbol,
};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::HashMap;
use syn::{
    Attribute, Block, GenericArgument, Item, ItemFn, Meta, PathArguments, ReturnType, Type,
    parse::Parser as _,
    visit::{self, Visit},
};

/// The largest number of expansions of one item. A policy, a deadline above it and a `cfg_attr` below it take
/// three, and an item may have many deadlines.
const MAX_ROUNDS: usize = 32;

/// Expands `first` and the followthrough attributes in its output until none is left, and checks each output.
///
/// # Errors
///
/// Returns the property that does not hold, with the macro's input and output.
pub(crate) fn check(first: &Invocation) -> Result<(), String> {
    check_under(first, true)?;
    if scan::has_word(&flat(&first.item), "cfg_attr") { check_under(first, false) } else { Ok(()) }
}

/// Checks `first` where the conditions of all `cfg_attr`s are `holds`.
fn check_under(first: &Invocation, holds: bool) -> Result<(), String> {
    let mut output = checked_output(first)?;
    for _ in 0..MAX_ROUNDS {
        match Invocation::outermost(&resolve_conditions(&output, holds)) {
            Some(next) => output = checked_output(&next)?,
            None => return Ok(()),
        }
    }
    Err(format!("the item expands without end:\n\n{first}\n\ninto\n\n{output}"))
}

/// Returns the number of errors that `output` reports.
pub(crate) fn errors(output: &TokenStream) -> usize {
    let is_report =
        |token: TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "compile_error");
    flat(output).into_iter().filter(|token| is_report(token.clone())).count()
}

fn checked_output(invocation: &Invocation) -> Result<TokenStream, String> {
    let output = invocation.expand();
    match check_output(invocation, &output) {
        Ok(()) => Ok(output),
        Err(fault) => Err(format!("{fault}:\n\n{invocation}\n\nexpands to\n\n{output}\n")),
    }
}

fn check_output(invocation: &Invocation, output: &TokenStream) -> Result<(), String> {
    let item = syn::parse2::<Function>(invocation.item.clone());
    if invocation.symbol == Symbol::Deadline && errors(output) == 0 {
        let moved = syn::parse2::<Function>(output.clone());
        return match (item, moved) {
            (Ok(item), Ok(moved)) => same_function(&item, &moved),
            // The policy rejects an item that is not a function.
            (item, moved) => require(
                item.is_err() && moved.is_err(),
                "the output is a function and the input is not, or the reverse",
            ),
        };
    }
    match item {
        Ok(item) if invocation.symbol != Symbol::Deadline => function(invocation, &item, output),
        _ => not_a_function(&invocation.item, output),
    }
}

/// Checks the output for an item that is not a function: errors, and then the item.
fn not_a_function(item: &TokenStream, output: &TokenStream) -> Result<(), String> {
    // `::core::compile_error! { ".." }`
    const REPORT: usize = 8;
    let mut tokens: Vec<TokenTree> = output.clone().into_iter().collect();
    // In expression position, the errors and the item are in a block.
    if let [TokenTree::Group(block)] = &tokens[..] {
        tokens = block.stream().into_iter().collect();
    }
    let is_report = |tokens: &&[TokenTree]| errors(&tokens.iter().cloned().collect()) == 1;
    let reports = tokens.chunks(REPORT).take_while(is_report).count();
    require(reports > 0, "an item was rejected without an error")?;
    let rest: TokenStream = tokens[reports * REPORT..].iter().cloned().collect();
    // If the rest has no valid attributes, the compiler runs none.
    if let (Some(_), Some((attributes, _))) = (attributes(item), attributes(&rest)) {
        let found = attributes.iter().find(|attribute| Symbol::of(attribute).is_some());
        require(found.is_none(), "a followthrough attribute would run on a rejected item")?;
    }
    let is_item = |tokens: &TokenStream| syn::parse2::<Item>(tokens.clone()).is_ok();
    require(!is_item(item) || is_item(&rest), "an item was lost")
}

fn function(invocation: &Invocation, item: &Function, output: &TokenStream) -> Result<(), String> {
    let Ok(emitted) = syn::parse2::<Function>(output.clone()) else {
        return Err("a function became something else".to_owned());
    };
    if emitted.attrs.iter().any(is_followthrough) {
        // The policy has moved itself below a `cfg_attr`.
        require(item.attrs.iter().any(adds_followthrough), "a followthrough attribute is left")?;
        require(errors(output) == 0, "a policy runs again after an error")?;
        return same_function(item, &emitted);
    }
    require(emitted.sig.asyncness.is_some(), "the function is not async")?;
    same_signature(item, &emitted)?;
    // A policy rejects an `#[instrument(err)]` below it, and removes it to avoid a second error.
    let is_removed = |attr: &&Attribute| {
        let name = attr.path().segments.last();
        invocation.symbol != Symbol::Background
            && name.is_some_and(|name| name.ident == "instrument")
            && matches!(&attr.meta, Meta::List(list) if scan::has_word(&list.tokens, "err"))
    };
    let others: Vec<&Attribute> =
        item.attrs.iter().filter(|attr| !is_followthrough(attr) && !is_removed(attr)).collect();
    require(
        same(Tokens(&others), Tokens(&emitted.attrs)),
        "an attribute of another crate is gone",
    )?;
    returns(invocation.symbol, &item.sig.output, &emitted.sig.output)?;
    reports(invocation, output)?;
    body(item, output)
}

/// Checks that the moved function differs from `item` only in its attributes.
fn same_function(item: &Function, moved: &Function) -> Result<(), String> {
    same_signature(item, moved)?;
    require(same(&item.sig.output, &moved.sig.output), "the return type is different")?;
    require(same(&item.inner_attrs, &moved.inner_attrs), "an inner attribute is gone")?;
    require(same(&item.body, &moved.body), "the body is different")
}

fn same_signature(item: &Function, emitted: &Function) -> Result<(), String> {
    let (before, after) = (&item.sig, &emitted.sig);
    require(before.ident == after.ident, "the name is different")?;
    require(same(&item.vis, &emitted.vis), "the visibility is different")?;
    require(same(&before.generics, &after.generics), "the generics are different")?;
    let clauses = (&before.generics.where_clause, &after.generics.where_clause);
    require(same(clauses.0, clauses.1), "the `where` clause is different")?;
    require(before.inputs.len() == after.inputs.len(), "the number of parameters is different")
}

fn is_future(ty: &Type) -> bool {
    let text = ty.to_token_stream().to_string();
    text.contains("Future") && text.contains("Output") || text.contains("BoxFuture")
}

/// Checks that `R` becomes `Governed<R, P>` with a valid `P`, and that the return type of a worker stays.
fn returns(symbol: Symbol, before: &ReturnType, after: &ReturnType) -> Result<(), String> {
    if symbol == Symbol::Background {
        return require(same(before, after), "the return type of a worker is different");
    }
    let ReturnType::Type(_, ty) = after else {
        return Err("the return type is not governed".to_owned());
    };
    let Type::Path(path) = &**ty else { return Err("the return type is not governed".to_owned()) };
    let Some(last) = path.path.segments.last() else { return Ok(()) };
    let PathArguments::AngleBracketed(args) = &last.arguments else {
        return Err("the return type is not governed".to_owned());
    };
    let (Some(GenericArgument::Type(value)), Some(GenericArgument::Type(policy))) =
        (args.args.first(), args.args.last())
    else {
        return Err("the return type is not governed".to_owned());
    };
    require(last.ident == "Governed" && args.args.len() == 2, "the return type is not governed")?;
    let value_is_kept = match before {
        // A rejected function that returns a future gets the output of the future.
        ReturnType::Type(_, ty) if is_future(ty) => true,
        ReturnType::Type(_, ty) => same(ty, value),
        ReturnType::Default => same(quote::quote!(()), value),
    };
    require(value_is_kept, "the return type is different")?;
    let policies: &[&str] = match symbol {
        Symbol::DurableWrite => &["Write", "SafeMethodWrite"],
        Symbol::Exempt => &["Exempt"],
        _ => &["Read", "Stream", "Write", "SafeMethodWrite"],
    };
    let policy = policy.to_token_stream().into_iter().last().map(|token| token.to_string());
    require(policy.is_some_and(|policy| policies.contains(&&*policy)), "the policy is different")
}

/// Checks that invalid arguments are reported.
fn reports(invocation: &Invocation, output: &TokenStream) -> Result<(), String> {
    let modes = ["read", "stream", "idempotent_write", "reversible_write"];
    let args = flat(&invocation.args);
    let has_mode = modes.iter().any(|mode| scan::has_word(&args, mode));
    let is_wrong = RawArgs::parse(invocation.args.clone()).is_err()
        || (invocation.symbol == Symbol::Cancellable && !has_mode)
        || (invocation.symbol == Symbol::Exempt && !scan::has_word(&args, "reason"));
    require(!is_wrong || errors(output) > 0, "invalid arguments were accepted")
}

fn body(item: &Function, output: &TokenStream) -> Result<(), String> {
    let stmts = item.body.stream();
    if scan::find_attribute(&stmts).is_none() {
        let is_kept = output.to_string().contains(&stmts.to_string());
        require(is_kept, "a body without sites was changed")?;
    }
    let mut left = leaves(&scan::strip(stmts.clone()));
    // An empty `where` clause may be removed, because it has no meaning.
    left.remove("where");
    for (leaf, count) in leaves(output) {
        *left.entry(leaf).or_default() -= count;
    }
    if let Some((leaf, _)) = left.iter().find(|(_, count)| **count > 0) {
        return Err(format!("`{leaf}` is gone from the body"));
    }
    let parses = Block::parse_within.parse2(stmts).is_ok()
        && Attribute::parse_inner.parse2(item.inner_attrs.clone()).is_ok();
    if !parses {
        return Ok(());
    }
    let Ok(emitted) = syn::parse2::<ItemFn>(output.clone()) else {
        return Err("the output does not parse".to_owned());
    };
    let mut leftover = Leftover(None);
    leftover.visit_block(&emitted.block);
    leftover.0.map_or(Ok(()), |attribute| Err(format!("`{attribute}` is left")))
}

/// Finds a followthrough attribute that the compiler would never run.
struct Leftover(Option<String>);

impl Leftover {
    /// Returns whether the function has a policy of its own and so expands by itself.
    fn expands_itself(attributes: &[Attribute]) -> bool {
        attributes
            .iter()
            .any(|attribute| is_followthrough(attribute) || adds_followthrough(attribute))
    }
}

impl Visit<'_> for Leftover {
    fn visit_attribute(&mut self, attribute: &Attribute) {
        if Symbol::named_by(attribute).is_some() {
            self.0 = Some(attribute.to_token_stream().to_string());
        }
    }
    fn visit_item_fn(&mut self, item: &ItemFn) {
        if !Self::expands_itself(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }
    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if !Self::expands_itself(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }
    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if !Self::expands_itself(&item.attrs) {
            visit::visit_trait_item_fn(self, item);
        }
    }
    fn visit_macro(&mut self, call: &syn::Macro) {
        // A function inside the macro call may have its own policy.
        let is_clean = same(scan::strip(call.tokens.clone()), &call.tokens);
        if !is_clean && !call.path.is_ident("macro_rules") {
            self.0 = Some(call.to_token_stream().to_string());
        }
    }
}

fn is_followthrough(attribute: &Attribute) -> bool {
    Symbol::of(attribute).is_some()
}

fn adds_followthrough(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg_attr")
        && scan::find_name(&attribute.meta.to_token_stream()).is_some()
}

/// Counts the identifiers and literals in `tokens`, at any depth.
fn leaves(tokens: &TokenStream) -> HashMap<String, isize> {
    let mut leaves = HashMap::new();
    for token in flat(tokens) {
        if !matches!(token, TokenTree::Punct(_)) {
            *leaves.entry(token.to_string()).or_default() += 1;
        }
    }
    leaves
}

/// Returns `tokens` without delimiters.
fn flat(tokens: &TokenStream) -> TokenStream {
    let flatten = |token| match token {
        TokenTree::Group(group) => flat(&group.stream()),
        leaf => leaf.into(),
    };
    tokens.clone().into_iter().map(flatten).collect::<TokenStream>()
}

struct Tokens<'a, T>(&'a [T]);

impl<T: ToTokens> ToTokens for Tokens<'_, T> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.iter().for_each(|part| part.to_tokens(tokens));
    }
}

fn same(a: impl ToTokens, b: impl ToTokens) -> bool {
    a.to_token_stream().to_string() == b.to_token_stream().to_string()
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
