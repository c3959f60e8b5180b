//! Stores that are slow, full or wrong.
