//! Connections: listeners, protocols, limits, and peers that are slow or silent.

mod connection_limits;
mod early_answers;
mod floods;
mod kept_and_counted;
mod listeners;
mod paused_time;
mod routing;
mod serve_limits;
mod stalled_readers;
mod tcp_keepalive;
mod transports;
mod uploads_of_a_connection;
