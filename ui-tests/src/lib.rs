//! The cases are in `tests/`. The examples in the docs of the attributes run here, because `followthrough-macros`
//! cannot depend on the runtime that its output calls.

#[cfg(doctest)]
mod examples {
    #[doc = include_str!("../../macros/docs/background.md")]
    mod background {}
    #[doc = include_str!("../../macros/docs/cancellable.md")]
    mod cancellable {}
    #[doc = include_str!("../../macros/docs/deadline.md")]
    mod deadline {}
    #[doc = include_str!("../../macros/docs/durable_write.md")]
    mod durable_write {}
    #[doc = include_str!("../../macros/docs/exempt.md")]
    mod exempt {}
}
