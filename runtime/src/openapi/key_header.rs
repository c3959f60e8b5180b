//! The header `Idempotency-Key`, a parameter of the operations whose handlers take keys.

use std::collections::HashSet;

use serde_json::{Value, json};

pub(super) const NAME: &str = "Idempotency-Key";

/// The longest key, in characters.
pub(super) const MAX_LENGTH: usize = 255;

/// Returns the description of the parameter.
pub(super) const fn description(required: bool) -> &'static str {
    if required {
        "Names the operation. A request that is repeated with the same key is carried out once, and receives the \
         same answer."
    } else {
        "Names the operation. A request that is repeated with the same key is carried out once, and receives the \
         same answer. A request without a key is carried out each time."
    }
}

/// Returns the parameter object.
pub(super) fn to_value(required: bool) -> Value {
    json!({
        "name": NAME,
        "in": "header",
        "description": description(required),
        "required": required,
        "schema": { "type": "string", "maxLength": MAX_LENGTH },
    })
}

/// A parameter of a document, of any library.
pub(super) enum Parameter<'a> {
    /// A header with its name.
    Header(&'a str),
    /// A reference to one of the components.
    Reference(&'a str),
    Other,
}

/// The references of a document to parameters that are the header.
pub(super) struct KeyHeaders(HashSet<String>);

impl KeyHeaders {
    /// Finds the header among the parameters of the components.
    pub(super) fn among<'a>(
        components: impl IntoIterator<Item = (&'a String, Parameter<'a>)>,
    ) -> Self {
        let headers = components.into_iter().filter(|(_, parameter)| is_key(parameter));
        Self(headers.map(|(name, _)| format!("#/components/parameters/{name}")).collect())
    }

    /// Returns whether one of `parameters` is the header.
    pub(super) fn contain<'a>(&self, parameters: impl IntoIterator<Item = Parameter<'a>>) -> bool {
        parameters.into_iter().any(|parameter| match parameter {
            Parameter::Reference(reference) => self.0.contains(reference),
            other => is_key(&other),
        })
    }
}

fn is_key(parameter: &Parameter<'_>) -> bool {
    matches!(parameter, Parameter::Header(name) if name.eq_ignore_ascii_case(NAME))
}
