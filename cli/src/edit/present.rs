//! The policy that a handler has already.

use crate::{
    program::{FunctionId, Program},
    syntax,
};
use quote::ToTokens;

const POLICIES: [&str; 4] = ["cancellable", "durable_write", "exempt", "background"];

/// Returns the policy attribute of a function, such as `cancellable(read)`.
pub(crate) fn present(program: &Program<'_>, id: FunctionId) -> Option<String> {
    let function = &program.functions[id];
    let scope = function.scope();
    function.attributes.iter().find_map(|attribute| {
        let path = attribute.path();
        let name = syntax::last(path);
        let text = attribute.meta.to_token_stream().to_string();
        if path.is_ident("cfg_attr") {
            let words =
                text.split(|character: char| !character.is_alphanumeric() && character != '_');
            return words.into_iter().find(|word| POLICIES.contains(word)).map(str::to_owned);
        }
        // A policy may be imported under another name.
        let imported = path.get_ident().and_then(|_| program.imported(&scope, &name));
        let original =
            imported.and_then(|path| path.last()).cloned().unwrap_or_else(|| name.clone());
        if !POLICIES.contains(&original.as_str()) {
            return None;
        }
        let arguments = text.find('(').map_or("", |at| &text[at..]);
        let short: String = arguments
            .replace(" . ", ".")
            .replace(" :: ", "::")
            .replace(" (", "(")
            .replace(" ,", ",")
            .replace("( ", "(")
            .replace(" )", ")");
        Some(format!("{original}{}", short.trim()))
    })
}
