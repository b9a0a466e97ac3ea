//! The stack of contexts of each thread.

use std::cell::RefCell;

use super::Handle;

thread_local! {
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

/// The thread's context.
pub(super) fn get() -> Option<Handle> {
    STACK.with_borrow(|stack| stack.last().copied())
}

/// Replaces the thread's context; `None` pops it.
pub(super) fn set(context: Option<Handle>) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        stack.extend(context);
    });
}

pub(super) fn push(context: Handle) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

pub(super) fn pop() -> Option<Handle> {
    STACK.with_borrow_mut(Vec::pop)
}
