//! The document of aide, and the handlers in its routers.

use ::aide::{
    generate::GenContext,
    openapi::{
        OpenApi, Operation as AideOperation, Parameter as AideParameter, PathItem, ReferenceOr,
        Response, StatusCode,
    },
    operation::{OperationInput, OperationOutput},
};

use super::{
    AnnotateError, Document,
    addition::{Addition, Answer, EXTENSION, Operation},
    key_header::{self, KeyHeaders, Parameter},
    sealed::Sealed,
};
use crate::{
    handler::Governed,
    handler_policy::Policy,
    idempotency::IdempotencyKey,
    token::{DurableToken, RawToken, RequestToken, ShutdownToken},
};

/// Documents the response of the handler.
impl<R: OperationOutput, P: Policy> OperationOutput for Governed<R, P> {
    type Inner = R::Inner;

    fn operation_response(
        context: &mut GenContext,
        operation: &mut AideOperation,
    ) -> Option<Response> {
        R::operation_response(context, operation)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut AideOperation,
    ) -> Vec<(Option<u16>, Response)> {
        R::inferred_responses(context, operation)
    }
}

// A token is no part of a request.
impl OperationInput for RequestToken {}
impl OperationInput for DurableToken {}
impl OperationInput for ShutdownToken {}
/// The type that the attributes give to a parameter `CancellationToken`.
impl OperationInput for RawToken {}
/// The header is no part of the handler's input, because [`annotate`](super::annotate) adds it for each handler that takes
/// keys, also for one without this parameter.
impl OperationInput for IdempotencyKey {}

impl Sealed for OpenApi {}

impl Document for OpenApi {
    fn add(
        &mut self,
        look_up: &mut dyn FnMut(&Operation<'_>) -> Option<Addition>,
    ) -> Result<(), AnnotateError> {
        let mut used: Vec<&'static Answer> = Vec::new();
        let components = self.components.iter().flat_map(|components| &components.parameters);
        let headers = KeyHeaders::among(components.map(|(name, one)| (name, parameter(one))));
        for (path, item) in self.paths.iter_mut().flat_map(|paths| &mut paths.paths) {
            let ReferenceOr::Item(item) = item else { continue };
            let has_key = headers.contain(item.parameters.iter().map(parameter));
            for (method, operation) in operations(item) {
                let id = operation.operation_id.as_deref();
                let Some(addition) = look_up(&Operation { method, path, id }) else { continue };
                used.extend(&addition.answers);
                let known = has_key || headers.contain(operation.parameters.iter().map(parameter));
                if let Some(required) = addition.key.filter(|_| !known) {
                    operation.parameters.push(ReferenceOr::Item(key(required)?));
                }
                extend(operation, addition);
            }
        }
        for answer in used {
            let responses = &mut self.components.get_or_insert_default().responses;
            if !responses.contains_key(answer.name) {
                responses.insert(answer.name.to_owned(), ReferenceOr::Item(response(answer)?));
            }
        }
        Ok(())
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut AideOperation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("options", &mut item.options),
        ("head", &mut item.head),
        ("patch", &mut item.patch),
        ("trace", &mut item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn parameter(parameter: &ReferenceOr<AideParameter>) -> Parameter<'_> {
    match parameter {
        ReferenceOr::Reference { reference, .. } => Parameter::Reference(reference),
        ReferenceOr::Item(AideParameter::Header { parameter_data, .. }) => {
            Parameter::Header(&parameter_data.name)
        }
        ReferenceOr::Item(_) => Parameter::Other,
    }
}

/// Returns the header `Idempotency-Key`.
fn key(required: bool) -> Result<AideParameter, AnnotateError> {
    serde_json::from_value(key_header::to_value(required)).map_err(|error| {
        AnnotateError(format!("aide has no parameter like `{}`: {error}", key_header::NAME))
    })
}

fn extend(operation: &mut AideOperation, addition: Addition) {
    operation.extensions.insert(EXTENSION.to_owned(), addition.policy);
    if addition.answers.is_empty() {
        return;
    }
    let responses = operation.responses.get_or_insert_default();
    for answer in addition.answers {
        let reference = format!("#/components/responses/{}", answer.name);
        responses
            .responses
            .entry(StatusCode::Code(answer.status))
            .or_insert_with(|| ReferenceOr::ref_(&reference));
    }
}

fn response(answer: &Answer) -> Result<Response, AnnotateError> {
    serde_json::from_value(answer.to_value()).map_err(|error| {
        AnnotateError(format!("aide has no response like `{}`: {error}", answer.name))
    })
}
