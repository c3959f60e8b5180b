//! Where an attribute goes, and the handlers that are left to their author.

use super::Insertion;
use crate::{
    policy::{Confidence, Policy, Suggestion},
    program::{Function, FunctionId, Program},
    syntax,
};
use proc_macro2::LineColumn;
use quote::ToTokens;
use syn::{
    Attribute, FnArg, Lifetime, Safety, Type,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Extractors of axum.
const MAX_PARAMETERS: usize = 16;
/// Attributes that stay above ours. All others see the function as it is after ours.
const ABOVE: [&str; 13] = [
    "allow",
    "cfg",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "forbid",
    "inline",
    "instrument",
    "must_use",
    "track_caller",
    "warn",
];

/// Returns where the attribute of `suggestion` goes, or why a person has to decide.
pub(crate) fn place(
    program: &Program<'_>,
    id: FunctionId,
    suggestion: &Suggestion,
    mentioned: Option<&String>,
    discards: bool,
) -> Result<Insertion, String> {
    let function = &program.functions[id];
    signature(function)?;
    if let [twin, ..] = function.twins[..] {
        let (file, line, _) = program.position(twin);
        return Err(format!(
            "`cfg` chooses between it and {file}:{line}: write the policy on each of them"
        ));
    }
    if let Some(mentioned) = mentioned {
        return Err(format!(
            "{mentioned} uses it, too, and gets a `Governed` instead of the response: add `.into_result()` there"
        ));
    }
    if suggestion.policy == Policy::Stream && suggestion.confidence == Confidence::Low {
        return Err("it streams and writes: write `#[cancellable(stream)]` on it, and `#[durable_write]` on the \
             statement that writes"
            .to_owned());
    }
    if suggestion.write_behind_get {
        return Err(
            "a write behind GET: route it behind POST, or write `#[durable_write(safe_method = \"why\")]`".to_owned()
        );
    }
    if suggestion.policy == Policy::DurableWrite {
        durable(function, suggestion, discards)?;
    }
    Ok(Insertion {
        file: function.file,
        position: position(function)?,
        attribute: attribute(program, function, suggestion.policy),
        package: function.package,
    })
}

/// Rejects functions that no policy governs.
fn signature(function: &Function<'_>) -> Result<(), String> {
    let signature = function.signature;
    if signature.asyncness.is_none() {
        return Err("it is not an `async fn`: write it as one".to_owned());
    }
    if signature.receiver().is_some() {
        return Err("it has a `self` receiver: take what it needs as `State(..)`".to_owned());
    }
    if function.of_trait.is_some() {
        return Err(
            "it belongs to a trait: put the attribute on a free function that it calls".to_owned()
        );
    }
    if signature.constness.is_some()
        || signature.abi.is_some()
        || matches!(signature.safety, Safety::Unsafe(_))
    {
        return Err("it is `const`, `unsafe` or `extern`: make it a plain `async fn`".to_owned());
    }
    if signature.inputs.len() > MAX_PARAMETERS {
        return Err("it has more than 16 parameters: group some as a tuple".to_owned());
    }
    Ok(())
}

/// Rejects what a durable write may not do, by the rules of the macros.
fn durable(function: &Function<'_>, suggestion: &Suggestion, discards: bool) -> Result<(), String> {
    if suggestion.reason.contains("the body is still arriving") {
        return Err(
            "its body is still arriving: take it whole, as `Bytes`, `String` or `Json`, or write \
             `#[durable_write(streaming_body = \"why half of it does no harm\")]`"
                .to_owned(),
        );
    }
    if discards {
        return Err("it throws away the handle of a task: `.await` it, or start it with `lifecycle.track(..)`".to_owned());
    }
    let borrows = function.signature.inputs.iter().any(|input| match input {
        FnArg::Typed(typed) => borrows(&typed.ty),
        FnArg::Receiver(_) => true,
    });
    if borrows {
        return Err(
            "it borrows a parameter, and a durable write may outlive its request: take it by value"
                .to_owned(),
        );
    }
    Ok(())
}

fn borrows(ty: &Type) -> bool {
    struct Borrows(bool);
    impl<'a> Visit<'a> for Borrows {
        fn visit_type_reference(&mut self, ty: &'a syn::TypeReference) {
            self.0 |= ty.lifetime.is_none();
            visit::visit_type_reference(self, ty);
        }
        fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
            self.0 |= lifetime.ident != "static" && lifetime.ident != "_";
        }
    }
    let mut found = Borrows(false);
    found.visit_type(ty);
    found.0
}

/// Returns the first attribute that has to see our output, or else the function itself.
fn position(function: &Function<'_>) -> Result<LineColumn, String> {
    let is_above =
        |attribute: &&Attribute| ABOVE.contains(&syntax::last(attribute.path()).as_str());
    let Some(first) = function.attributes.iter().position(|attribute| !is_above(&attribute)) else {
        return Ok(function.head);
    };
    for attribute in &function.attributes[first..] {
        let arguments = attribute.meta.to_token_stream().to_string();
        let reads_output = arguments
            .split(|character: char| !character.is_alphanumeric())
            .any(|word| word == "err" || word == "ret");
        if syntax::last(attribute.path()) == "instrument" && reads_output {
            return Err("`#[instrument(err)]` has to be above a policy, and the attributes above it below one: \
                 move it to the top"
                .to_owned());
        }
    }
    Ok(function.attributes[first].span().start())
}

/// Returns the attribute in the spelling of the file.
fn attribute(program: &Program<'_>, function: &Function<'_>, policy: Policy) -> String {
    let dependency = program.packages[function.package].followthrough().unwrap_or("followthrough");
    let attribute = policy.attribute();
    let name = attribute.split('(').next().unwrap_or(attribute);
    let is_imported = program
        .imported(&function.scope(), name)
        .is_some_and(|path| path.iter().map(String::as_str).eq([dependency, name]));
    let path = if is_imported { String::new() } else { format!("{dependency}::") };
    if dependency == "followthrough" {
        return format!("#[{path}{attribute}]");
    }
    // A renamed dependency.
    match attribute.strip_suffix(')') {
        Some(open) => format!("#[{path}{open}, crate = {dependency})]"),
        None => format!("#[{path}{attribute}(crate = {dependency})]"),
    }
}
