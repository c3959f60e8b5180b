//! `Serialize` for the types of the reports, without `serde_derive`: its build takes longer than that of this crate's
//! other small dependencies together.

use std::time::Duration;

use serde_core::{Serialize, Serializer};

/// Implements `Serialize` for a struct. `field: ms` is a `Duration` in milliseconds, under the name `field_ms`, and
/// the fields behind `skip` are left out.
///
/// Input:
///
/// ```ignore
/// serialize!(Work { name, age: ms; skip text });
/// ```
///
/// Output: `{ "name": …, "age_ms": … }`. A field that the list does not name is a compile error.
macro_rules! serialize {
    ($type:ident { $($field:ident $(: $unit:ident)?),+ $(; skip $($skipped:ident),+)? }) => {
        impl serde_core::Serialize for $type {
            fn serialize<S: serde_core::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde_core::ser::SerializeStruct as _;
                let Self { $($field,)+ $($($skipped: _),+)? } = self;
                let fields = [$(stringify!($field)),+].len();
                let mut object = to.serialize_struct(stringify!($type), fields)?;
                $($crate::serialize::serialize!(@field object $field $($unit)?);)+
                object.end()
            }
        }
    };
    (@field $object:ident $field:ident) => {
        $object.serialize_field(stringify!($field), $field)?
    };
    (@field $object:ident $field:ident ms) => {
        $object.serialize_field(
            concat!(stringify!($field), "_ms"),
            &$crate::serialize::Millis(*$field),
        )?
    };
}

pub(crate) use serialize;

/// A duration that serialises in milliseconds.
pub(crate) struct Millis(pub(crate) Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX))
    }
}
