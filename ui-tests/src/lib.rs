//! UI cases live in `tests/`.
