//! Every statement form as a durable site, in a crate of edition 2024.

include!("../../../../ui-tests/tests/shared/sites.rs");
include!("../../../../ui-tests/tests/shared/sites_expressions.rs");
