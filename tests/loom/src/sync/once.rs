//! `std::sync::OnceLock`: a thread that finds the value sees all that its maker did before. A
//! thread that finds no value has synchronized with nothing.

use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    set: AtomicBool,
    making: Mutex<()>,
    /// Read only after `set`.
    value: std::sync::OnceLock<T>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let once = Self::new();
        once.get_or_init(|| value);
        once
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            set: AtomicBool::new(false),
            making: Mutex::new(()),
            value: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _making = self.making.lock().unwrap();
        let set = self.value.set(value);
        if set.is_ok() {
            self.set.store(true, Ordering::Release);
        }
        set
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _making = self.making.lock().unwrap();
        let value = self.value.get_or_init(make);
        self.set.store(true, Ordering::Release);
        value
    }
}
