//! Streams: work in the order it was submitted, done as late as the rules allow.
//!
//! Nothing runs until somebody waits for it or asks about it. A staging buffer that is refilled too early therefore always delivers
//! wrong bytes here, and a missing dependency between two streams always shows.

use std::collections::VecDeque;

use super::Handle;
use super::errors::Code;
use super::rectangle::{Copy, Fill};
use crate::driver::Driver;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) context: Handle,
    /// Belongs to the context itself: the default stream and the per-thread one.
    pub(super) hidden: bool,
    /// Orders itself with the default stream.
    blocking: bool,
    pending: VecDeque<Item>,
    /// Nanoseconds of work done, by the card's stated rates; for event times.
    pub(super) clock: u64,
}

/// A piece of work with its place in the order of submission.
#[derive(Debug)]
struct Item {
    sequence: u64,
    work: Work,
}

/// What can be submitted.
#[derive(Debug, Clone, std::marker::Copy)]
pub(super) enum Work {
    Copy(Copy),
    Fill(Fill),
    /// Reaches an event.
    Record(Handle),
    /// Waits until another stream has done its work up to a place.
    Wait {
        stream: Handle,
        sequence: u64,
    },
}

impl Stream {
    pub(super) fn hidden(context: Handle) -> Self {
        Self { hidden: true, ..Self::new(context, true) }
    }

    pub(super) fn new(context: Handle, blocking: bool) -> Self {
        Self { context, hidden: false, blocking, pending: VecDeque::new(), clock: 0 }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Driver {
    /// The stream that a caller's handle means in a context: null and 1 are its default stream, 2 the per-thread one.
    pub(super) fn stream(&self, context: Handle, handle: Handle) -> Result<Handle, Code> {
        let own = self.cuda.contexts.get(&context).ok_or(Code::INVALID_CONTEXT)?;
        match handle {
            0 | 1 => Ok(own.default_stream),
            2 => Ok(own.thread_stream),
            _ => match self.cuda.streams.get(&handle) {
                Some(stream) if stream.context == context => Ok(handle),
                _ => Err(Code::INVALID_HANDLE),
            },
        }
    }

    /// Adds work to a stream and returns its place in the order.
    pub(super) fn submit(&mut self, stream: Handle, work: Work) -> u64 {
        self.cuda.next_sequence += 1;
        let sequence = self.cuda.next_sequence;
        if let Some(stream) = self.cuda.streams.get_mut(&stream) {
            stream.pending.push_back(Item { sequence, work });
        }
        sequence
    }

    /// Whether a stream still has work up to a place.
    pub(super) fn is_pending(&self, stream: Handle, upto: u64) -> bool {
        let front = self.cuda.streams.get(&stream).and_then(|stream| stream.pending.front());
        front.is_some_and(|item| item.sequence <= upto)
    }

    /// Does a stream's work up to a place. What fails ends the context, which callers look at afterwards.
    pub(super) fn run_until(&mut self, stream: Handle, upto: u64) {
        while self.is_pending(stream, upto) {
            self.run_one(stream);
        }
    }

    /// Does all work of a stream.
    pub(super) fn run_all(&mut self, stream: Handle) {
        self.run_until(stream, u64::MAX);
    }

    /// Does all work of a context. Later streams go first, so that what relies on their order without saying so fails.
    pub(super) fn finish(&mut self, context: Handle) {
        let of_context = self.cuda.streams.iter().filter(|(_, stream)| stream.context == context);
        let streams: Vec<Handle> = of_context.map(|(handle, _)| *handle).collect();
        for stream in streams.into_iter().rev() {
            self.run_all(stream);
        }
    }

    /// Does the first piece of work of a stream, and before it what it waits for. Everything waited for was submitted earlier, so this
    /// ends.
    pub(super) fn run_one(&mut self, stream: Handle) {
        let front = self.cuda.streams.get(&stream).and_then(|found| found.pending.front());
        let Some((sequence, work)) = front.map(|item| (item.sequence, item.work)) else { return };
        for other in self.ordered_with(stream) {
            self.run_until(other, sequence - 1);
        }
        if let Work::Wait { stream: other, sequence: upto } = work {
            self.run_until(other, upto);
            let reached = self.cuda.streams.get(&other).map_or(0, |other| other.clock);
            self.advance(stream, |clock| clock.max(reached));
        }
        // An error in what came before may have emptied the stream.
        let Some(found) = self.cuda.streams.get_mut(&stream).filter(|found| !found.pending.is_empty()) else { return };
        found.pending.pop_front();
        let context = found.context;
        if let Err(error) = self.execute(context, stream, sequence, work) {
            self.end_context(context, error);
        }
    }

    /// The streams that order themselves with this one without being told: all blocking ones with the default stream.
    fn ordered_with(&self, stream: Handle) -> Vec<Handle> {
        let Some(this) = self.cuda.streams.get(&stream) else { return Vec::new() };
        let Some(context) = self.cuda.contexts.get(&this.context) else { return Vec::new() };
        if !this.blocking {
            return Vec::new();
        }
        if stream != context.default_stream {
            return vec![context.default_stream];
        }
        let others = self
            .cuda
            .streams
            .iter()
            .filter(|(handle, other)| **handle != stream && other.context == this.context && other.blocking);
        others.map(|(handle, _)| *handle).collect()
    }

    pub(super) fn advance(&mut self, stream: Handle, step: impl FnOnce(u64) -> u64) {
        if let Some(stream) = self.cuda.streams.get_mut(&stream) {
            stream.clock = step(stream.clock);
        }
    }

    /// An error that nothing in the context survives: its work is dropped and every later call gives the error.
    fn end_context(&mut self, context: Handle, error: Code) {
        for stream in self.cuda.streams.values_mut().filter(|stream| stream.context == context) {
            stream.pending.clear();
        }
        if let Some(context) = self.cuda.contexts.get_mut(&context) {
            context.error.get_or_insert(error);
        }
    }
}
