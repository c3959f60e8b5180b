//! Two small pet shops: the same handlers, documented by utoipa and by aide.

pub mod aide_shop;
pub mod store;
pub mod utoipa_shop;

#[cfg(doctest)]
#[doc = include_str!("../../../runtime/guide/openapi.md")]
struct Guide;
