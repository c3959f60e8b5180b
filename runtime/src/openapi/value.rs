//! A document as a JSON value.

use serde_json::{Map, Value, json};

use super::{
    AnnotateError, Document,
    addition::{Addition, Answer, EXTENSION, Operation},
    key_header::{self, KeyHeaders, Parameter},
    sealed::Sealed,
};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Sealed for Value {}

impl Document for Value {
    fn add(
        &mut self,
        look_up: &mut dyn FnMut(&Operation<'_>) -> Option<Addition>,
    ) -> Result<(), AnnotateError> {
        let version = self.get("openapi").and_then(Value::as_str);
        if !version.is_some_and(|version| version.starts_with("3.")) {
            let message = "expected a document of OpenAPI 3, with `\"openapi\": \"3.…\"`";
            return Err(AnnotateError(message.to_owned()));
        }
        let mut used = Vec::new();
        let added = operations(self, look_up, &mut used);
        // After an error as well, so that no operation refers to a response that is not there.
        components(self, &used)?;
        added
    }
}

fn operations(
    document: &mut Value,
    look_up: &mut dyn FnMut(&Operation<'_>) -> Option<Addition>,
    used: &mut Vec<&'static Answer>,
) -> Result<(), AnnotateError> {
    let headers = key_headers(document);
    let Some(paths) = document.get_mut("paths") else { return Ok(()) };
    // A member without a slash is an extension, of any type.
    let paths = object(paths, || "paths".to_owned())?.iter_mut();
    for (path, item) in paths.filter(|(path, _)| path.starts_with('/')) {
        let item = object(item, || format!("paths.{path}"))?;
        let has_key = headers.contain(parameters(item.get("parameters")));
        for method in METHODS {
            let Some(operation) = item.get_mut(method) else { continue };
            let place = || format!("paths.{path}.{method}");
            let operation = object(operation, place)?;
            let id = operation.get("operationId").and_then(Value::as_str);
            let Some(addition) = look_up(&Operation { method, path, id }) else { continue };
            used.extend(&addition.answers);
            if let Some(required) = addition.key.filter(|_| !has_key) {
                add_key(operation, required, &headers, place)?;
            }
            extend(operation, addition, place)?;
        }
    }
    Ok(())
}

/// Finds the header `Idempotency-Key` among the components of `document`.
fn key_headers(document: &Value) -> KeyHeaders {
    let components = document.pointer("/components/parameters").and_then(Value::as_object);
    KeyHeaders::among(
        components.into_iter().flatten().map(|(name, value)| (name, parameter(value))),
    )
}

fn parameter(value: &Value) -> Parameter<'_> {
    let text = |member: &str| value.get(member).and_then(Value::as_str);
    match (text("$ref"), text("in"), text("name")) {
        (Some(reference), ..) => Parameter::Reference(reference),
        (_, Some("header"), Some(name)) => Parameter::Header(name),
        _ => Parameter::Other,
    }
}

fn parameters(list: Option<&Value>) -> impl Iterator<Item = Parameter<'_>> {
    list.and_then(Value::as_array).into_iter().flatten().map(parameter)
}

/// Adds the header `Idempotency-Key`, unless the operation has it.
fn add_key(
    operation: &mut Map<String, Value>,
    required: bool,
    headers: &KeyHeaders,
    place: impl Fn() -> String,
) -> Result<(), AnnotateError> {
    if headers.contain(parameters(operation.get("parameters"))) {
        return Ok(());
    }
    let list = operation.entry("parameters").or_insert_with(|| json!([]));
    let list = list.as_array_mut().ok_or_else(|| {
        AnnotateError(format!("expected `{}.parameters` to be an array", place()))
    })?;
    list.push(key_header::to_value(required));
    Ok(())
}

/// Adds the policy and the responses that the operation does not have.
fn extend(
    operation: &mut Map<String, Value>,
    addition: Addition,
    place: impl Fn() -> String,
) -> Result<(), AnnotateError> {
    operation.insert(EXTENSION.to_owned(), addition.policy);
    if addition.answers.is_empty() {
        return Ok(());
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let responses = object(responses, || format!("{}.responses", place()))?;
    for answer in addition.answers {
        responses.entry(answer.status.to_string()).or_insert_with(
            || json!({ "$ref": format!("#/components/responses/{}", answer.name) }),
        );
    }
    Ok(())
}

/// Adds the responses that operations refer to.
fn components(document: &mut Value, used: &[&'static Answer]) -> Result<(), AnnotateError> {
    if used.is_empty() {
        return Ok(());
    }
    let document = object(document, || "the document".to_owned())?;
    let components = document.entry("components").or_insert_with(|| json!({}));
    let components = object(components, || "components".to_owned())?;
    let responses = components.entry("responses").or_insert_with(|| json!({}));
    let responses = object(responses, || "components.responses".to_owned())?;
    for answer in used {
        responses.entry(answer.name).or_insert_with(|| answer.to_value());
    }
    Ok(())
}

fn object(
    value: &mut Value,
    place: impl FnOnce() -> String,
) -> Result<&mut Map<String, Value>, AnnotateError> {
    value
        .as_object_mut()
        .ok_or_else(|| AnnotateError(format!("expected `{}` to be an object", place())))
}
