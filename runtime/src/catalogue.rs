//! The parts of the list that [`policies`](crate::policies) and
//! [`Lifecycle::policies`](crate::Lifecycle::policies) give.

pub use crate::deadlines::{EffectiveDeadline, Origin, Policies};
