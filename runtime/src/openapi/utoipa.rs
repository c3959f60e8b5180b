//! The document of utoipa.

use ::utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Object, OpenApi, PathItem, Ref, RefOr, Required, Response,
    ResponseBuilder, Type,
    path::{
        Operation as UtoipaOperation, Parameter as UtoipaParameter, ParameterBuilder, ParameterIn,
    },
    schema::{ObjectBuilder, Schema},
};
use serde_json::Value;

use super::{
    AnnotateError, Document,
    addition::{Addition, Answer, EXTENSION, Member, Operation, PROBLEM_JSON},
    key_header::{self, KeyHeaders, Parameter},
    sealed::Sealed,
};

impl Sealed for OpenApi {}

impl Document for OpenApi {
    fn add(
        &mut self,
        look_up: &mut dyn FnMut(&Operation<'_>) -> Option<Addition>,
    ) -> Result<(), AnnotateError> {
        let mut used: Vec<&'static Answer> = Vec::new();
        let components = self.components.iter().flat_map(|components| &components.parameters);
        let headers = KeyHeaders::among(components.map(|(name, one)| (name, parameter(one))));
        for (path, item) in &mut self.paths.paths {
            let has_key = headers.contain(parameters(item.parameters.as_ref()));
            for (method, operation) in operations(item) {
                let id = operation.operation_id.as_deref();
                let Some(addition) = look_up(&Operation { method, path, id }) else { continue };
                used.extend(&addition.answers);
                let known = has_key || headers.contain(parameters(operation.parameters.as_ref()));
                if let Some(required) = addition.key.filter(|_| !known) {
                    operation.parameters.get_or_insert_default().push(RefOr::T(key(required)));
                }
                extend(operation, addition);
            }
        }
        if !used.is_empty() {
            let responses = &mut self.components.get_or_insert_default().responses;
            for answer in used {
                let response = || RefOr::T(response(answer));
                responses.entry(answer.name.to_owned()).or_insert_with(response);
            }
        }
        Ok(())
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut UtoipaOperation)> {
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

fn parameter(parameter: &RefOr<UtoipaParameter>) -> Parameter<'_> {
    match parameter {
        RefOr::Ref(reference) => Parameter::Reference(&reference.ref_location),
        RefOr::T(one) if one.parameter_in == ParameterIn::Header => Parameter::Header(&one.name),
        RefOr::T(_) => Parameter::Other,
    }
}

fn parameters(list: Option<&Vec<RefOr<UtoipaParameter>>>) -> impl Iterator<Item = Parameter<'_>> {
    list.into_iter().flatten().map(parameter)
}

/// Returns the header `Idempotency-Key`.
fn key(required: bool) -> UtoipaParameter {
    let schema =
        ObjectBuilder::new().schema_type(Type::String).max_length(Some(key_header::MAX_LENGTH));
    ParameterBuilder::new()
        .name(key_header::NAME)
        .parameter_in(ParameterIn::Header)
        .description(Some(key_header::description(required)))
        .required(if required { Required::True } else { Required::False })
        .schema(Some(schema))
        .build()
}

fn extend(operation: &mut UtoipaOperation, addition: Addition) {
    let extensions = operation.extensions.get_or_insert_default();
    extensions.insert(EXTENSION.to_owned(), addition.policy);
    for answer in addition.answers {
        let reference = || RefOr::Ref(Ref::from_response_name(answer.name));
        operation.responses.responses.entry(answer.status.to_string()).or_insert_with(reference);
    }
}

fn response(answer: &Answer) -> Response {
    let mut problem = ObjectBuilder::new().schema_type(Type::Object);
    for member in answer.members {
        problem = problem.property(member.name, schema(member)).required(member.name);
    }
    let content = ContentBuilder::new().schema(Some(problem)).build();
    let mut response =
        ResponseBuilder::new().description(answer.description).content(PROBLEM_JSON, content);
    if let Some(description) = answer.retry_after {
        let seconds = Some(Object::with_type(Type::Integer));
        let header = HeaderBuilder::new().schema(seconds).description(Some(description)).build();
        response = response.header("Retry-After", header);
    }
    response.build()
}

fn schema(member: &Member) -> Schema {
    let kind = if member.is_integer { Type::Integer } else { Type::String };
    let schema = ObjectBuilder::new().schema_type(kind).description(Some(member.description));
    let values = (!member.values.is_empty())
        .then(|| member.values.iter().map(|value| Value::from(*value)).collect::<Vec<_>>());
    Schema::Object(schema.enum_values(values).build())
}
