//! Requests of other kinds: optional keys, routers of plain axum, statements that several futures enter.
