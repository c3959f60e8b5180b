//! Every form of statement as a site, in a crate of edition 2021.

include!("shared/sites.rs");
include!("shared/sites_expressions.rs");
