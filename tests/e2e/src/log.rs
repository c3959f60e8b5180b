//! The log lines of the runtime, captured on this thread.

use std::{
    cell::RefCell,
    fmt::{Debug, Write},
    sync::Once,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// A log line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The level.
    pub level: Level,
    /// The message and the fields, each as `name=value`.
    pub text: String,
    /// The surrounding spans, the outermost first.
    pub spans: Vec<String>,
}

thread_local! {
    static LINES: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
}

/// The log of this thread while the value lives, for tests on one thread.
///
/// A single subscriber serves the whole process. Threads with and without a subscriber of their own
/// would let `tracing` cache that no subscriber is interested.
#[derive(Debug)]
pub struct Log {
    _private: (),
}

impl Log {
    /// Begins to capture.
    #[must_use]
    pub fn capture() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = Registry::default().with(Capture);
            let _ = tracing::subscriber::set_global_default(subscriber);
        });
        LINES.set(Some(Vec::new()));
        Self { _private: () }
    }

    /// Returns the lines of the runtime so far.
    pub fn lines(&self) -> Vec<Line> {
        LINES.with_borrow(|lines| lines.clone().unwrap_or_default())
    }

    /// Returns the lines that contain `text`.
    pub fn with(&self, text: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.text.contains(text)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

struct Capture;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "followthrough" {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let spans = context
            .event_scope(event)
            .map(|scope| scope.from_root().map(|span| span.name().to_owned()).collect())
            .unwrap_or_default();
        let line = Line { level: *event.metadata().level(), text: text.0, spans };
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.push(line.clone())));
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        if field.name() == "message" {
            self.0.push_str(&value);
        } else {
            let _ = write!(self.0, "{}={}", field.name(), value.trim_matches('"'));
        }
    }
}
