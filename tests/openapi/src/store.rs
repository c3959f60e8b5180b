//! The pets of both shops.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A pet.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize, ToSchema)]
pub struct Pet {
    /// The number on the cage.
    pub id: u64,
    /// The name that it answers to.
    pub name: String,
}

/// The pets, by number.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<BTreeMap<u64, Pet>>>);

impl Store {
    /// Returns the pet with this number.
    pub fn get(&self, id: u64) -> Option<Pet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Keeps a pet.
    pub fn put(&self, pet: Pet) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pet.id, pet);
    }

    /// Gives a pet away.
    pub fn remove(&self, id: u64) -> Option<Pet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}
