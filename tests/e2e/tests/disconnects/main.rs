//! Clients that leave: how soon that is noticed, before the body of a handler begins and within it, behind a proxy,
//! and how it is told from the end of a request.

mod before_the_body;
mod ended_or_left;
mod noticed;
mod through_proxies;
