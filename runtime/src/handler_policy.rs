//! The policy of a handler: the marker in its return type, and its description at run time.

mod key;

use std::time::Duration;

pub use self::key::KeyPolicy;

/// A policy as a type: the `P` of [`Governed<R, P>`](crate::Governed).
pub trait Policy: 'static {
    /// Whether the handler writes; a write does not belong behind GET, HEAD or OPTIONS.
    const WRITE: bool;
    /// Whether the response body is part of the work.
    const STREAM: bool = false;
    /// Whether the runtime never ends the handler.
    #[doc(hidden)]
    const EXEMPT: bool = false;
    /// Whether GET, HEAD, OPTIONS, TRACE and `any` accept the handler.
    #[doc(hidden)]
    const SAFE_METHODS: bool = !Self::WRITE;
}

/// The marker of `#[cancellable(read)]` without durable sites.
#[derive(Debug)]
pub enum Read {}
/// The marker of `#[cancellable(stream)]` without durable sites.
#[derive(Debug)]
pub enum Stream {}
/// The marker of `#[durable_write]`, of the two cancellable writes, and of every handler with a durable site.
#[derive(Debug)]
pub enum Write {}
/// The marker of a write with `safe_method = "…"`.
#[derive(Debug)]
pub enum SafeMethodWrite {}
/// The marker of `#[exempt]`.
#[derive(Debug)]
pub enum Exempt {}

impl Policy for Read {
    const WRITE: bool = false;
}
impl Policy for Stream {
    const WRITE: bool = false;
    const STREAM: bool = true;
}
impl Policy for Write {
    const WRITE: bool = true;
}
impl Policy for SafeMethodWrite {
    const WRITE: bool = true;
    const SAFE_METHODS: bool = true;
}
impl Policy for Exempt {
    const WRITE: bool = false;
    const EXEMPT: bool = true;
}

/// The policy in a handler's attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// `#[cancellable(read)]`
    Read,
    /// `#[cancellable(stream)]`
    Stream,
    /// `#[cancellable(idempotent_write)]`
    IdempotentWrite,
    /// `#[cancellable(reversible_write, on_cancel = …)]`
    ReversibleWrite,
    /// `#[durable_write]`
    DurableWrite,
    /// `#[exempt(reason = "…")]`
    Exempt,
}

/// The description of a handler's policy, which hooks get, and logs and reports name.
#[derive(Debug)]
pub struct HandlerPolicy {
    name: &'static str,
    file: &'static str,
    line: u32,
    mode: Mode,
    cooperative: bool,
    compensates: bool,
    durable_sites: usize,
    reopened_sites: usize,
    deadline: Option<Duration>,
    named_deadline: Option<&'static str>,
    reason: Option<&'static str>,
    streaming_body: Option<&'static str>,
    safe_method: Option<&'static str>,
    max_in_flight: Option<usize>,
    needs: Option<Duration>,
    /// Whether the handler is a stream that has the read grace to end by itself.
    finish: bool,
    /// The options of its idempotency keys, if it takes them.
    key: Option<KeyPolicy>,
    /// Returns the `type_name` of an item beside the policy, which begins with the path of the function.
    path: Option<fn() -> &'static str>,
}

impl HandlerPolicy {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, file: &'static str, line: u32, mode: Mode) -> Self {
        Self {
            name,
            file,
            line,
            mode,
            cooperative: false,
            compensates: matches!(mode, Mode::ReversibleWrite),
            durable_sites: 0,
            reopened_sites: 0,
            deadline: None,
            named_deadline: None,
            reason: None,
            streaming_body: None,
            safe_method: None,
            max_in_flight: None,
            needs: None,
            finish: false,
            key: None,
            path: None,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_cooperation(mut self) -> Self {
        self.cooperative = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_finish(mut self) -> Self {
        self.finish = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_idempotency_key(mut self, key: KeyPolicy) -> Self {
        self.key = Some(key);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_path(mut self, path: fn() -> &'static str) -> Self {
        self.path = Some(path);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_compensation(mut self) -> Self {
        self.compensates = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_durable_sites(mut self, sites: usize) -> Self {
        self.durable_sites = sites;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_reopened_sites(mut self, sites: usize) -> Self {
        self.reopened_sites = sites;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_named_deadline(mut self, name: &'static str) -> Self {
        self.named_deadline = Some(name);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_streaming_body(mut self, reason: &'static str) -> Self {
        self.streaming_body = Some(reason);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_safe_method(mut self, reason: &'static str) -> Self {
        self.safe_method = Some(reason);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_max_in_flight(mut self, limit: usize) -> Self {
        assert!(limit > 0, "`max_in_flight = 0` would refuse every write: write 1 or more");
        self.max_in_flight = Some(limit);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_needs(mut self, needs: Duration) -> Self {
        self.needs = Some(needs);
        self
    }

    pub(crate) const fn with_name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Returns a copy, to be changed.
    pub(crate) const fn copied(&self) -> Self {
        Self { ..*self }
    }

    /// Returns `module::function`, or the `name = "…"` of the attribute.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the source file of the handler.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// Returns the line of the handler in [`file`](Self::file).
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// Returns the policy in the attribute.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns whether the body keeps running after its token has fired.
    #[must_use]
    pub const fn is_cooperative(&self) -> bool {
        self.cooperative
    }

    /// Returns whether the handler is a stream that has the read grace to end by itself.
    #[must_use]
    pub const fn finishes(&self) -> bool {
        self.finish
    }

    /// Returns the options of its idempotency keys, if the handler takes them.
    #[must_use]
    pub const fn key(&self) -> Option<KeyPolicy> {
        self.key
    }

    /// Returns a `type_name` that begins with the path of the function.
    pub(crate) fn path(&self) -> Option<&'static str> {
        self.path.map(|path| path())
    }

    /// Returns whether a cut of the body may begin a compensation, for which it holds a permit.
    pub(crate) const fn compensates(&self) -> bool {
        self.compensates
    }

    /// Returns how many durable sites the handler has.
    #[must_use]
    pub const fn durable_sites(&self) -> usize {
        self.durable_sites
    }

    /// Returns how many statements past the point of no return a disconnect or a deadline may end.
    #[must_use]
    pub const fn reopened_sites(&self) -> usize {
        self.reopened_sites
    }

    /// Returns the `reason` of a durable write or an exempt handler.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns the reason for which a durable write may take a body that is still arriving.
    #[must_use]
    pub const fn streaming_body(&self) -> Option<&'static str> {
        self.streaming_body
    }

    /// Returns the reason for which a write may be routed behind GET, HEAD, OPTIONS, TRACE or `any`.
    #[must_use]
    pub const fn safe_method(&self) -> Option<&'static str> {
        self.safe_method
    }

    /// Returns the handler's own limit on durable work, for each lifecycle.
    #[must_use]
    pub const fn max_in_flight(&self) -> Option<usize> {
        self.max_in_flight
    }

    /// Returns whether the handler writes: by its mode, or because it has a durable site.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        self.durable_sites > 0
            || matches!(
                self.mode,
                Mode::IdempotentWrite | Mode::ReversibleWrite | Mode::DurableWrite
            )
    }

    /// Returns the policy as its attribute has it, without the options that other columns show:
    /// `cancellable(read, cooperative)`.
    pub(crate) fn as_written(&self) -> String {
        let cooperative = if self.cooperative { ", cooperative" } else { "" };
        match self.mode {
            Mode::Read => format!("cancellable(read{cooperative})"),
            Mode::Stream => format!("cancellable(stream{cooperative})"),
            Mode::IdempotentWrite => format!("cancellable(idempotent_write{cooperative})"),
            Mode::ReversibleWrite => format!("cancellable(reversible_write{cooperative})"),
            Mode::DurableWrite => "durable_write".to_owned(),
            Mode::Exempt => "exempt".to_owned(),
        }
    }

    /// Returns the handler's own `deadline`, if the attribute has a duration. The deadlines in force are in
    /// [`Lifecycle::policies`](crate::Lifecycle::policies).
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns the name of the handler's own `deadline`, if the configuration sets its duration.
    #[must_use]
    pub const fn named_deadline(&self) -> Option<&'static str> {
        self.named_deadline
    }

    /// Returns the time that a durable write `needs` to finish.
    #[must_use]
    pub const fn needs(&self) -> Option<Duration> {
        self.needs
    }
}

/// The place of a durable or reopened statement in the source.
#[doc(hidden)]
#[derive(Debug)]
pub struct Site {
    file: &'static str,
    line: u32,
}

impl Site {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(file: &'static str, line: u32) -> Self {
        Self { file, line }
    }
}

/// A place in the source, `file:line`: of the statement, if it is known, else of the handler.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(crate) policy: &'static HandlerPolicy,
    pub(crate) site: Option<&'static Site>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.site {
            Some(site) => write!(f, "{}:{}", site.file, site.line),
            None => write!(f, "{}:{}", self.policy.file, self.policy.line),
        }
    }
}
