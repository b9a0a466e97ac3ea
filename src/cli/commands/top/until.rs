//! `top --until`: waits for a condition without a screen, for scripts.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::{Exit, Format, Output, Problem};
use crate::monitor::alarm::{CardEvent, CardEventKind, Raised, Rule, Watchman};
use crate::monitor::recording::Recorder;
use crate::monitor::{Analysis, Expectation, Interval, Sample, Sampler, Watch};
use crate::probe::{CardError, Probe, wait_for_errors};

/// What is waited for.
pub struct Until {
    /// Any of these.
    pub rules: Vec<Rule>,
    /// At most so long.
    pub timeout: Option<Duration>,
    /// How often the cards are asked.
    pub interval: Interval,
    /// Time over which growth and imbalance are judged.
    pub window: Duration,
    /// What a plan predicts.
    pub expectation: Option<Expectation>,
    /// Where samples are written meanwhile.
    pub recorder: Option<Recorder>,
    /// Whether the driver's own reports are waited for.
    pub events: bool,
}

enum Message {
    Sample(Sample),
    CardError(Option<CardError>),
}

/// Waits. Ends with 0 when a condition holds, with 1 when it did not in time, with 3 when the driver never answered.
///
/// # Errors
/// When the system gives no thread.
pub fn run(mut until: Until, probe: Box<dyn Probe + Send>, output: &mut Output) -> Result<Exit, Problem> {
    let no_thread = |error: std::io::Error| Problem::cannot_tell(format!("the system gives no thread: {error}"));
    let (sink, messages) = channel();
    if until.events {
        let sink = sink.clone();
        wait_for_errors(move |error| sink.send(Message::CardError(error)).is_ok()).map_err(no_thread)?;
    }
    let sampler = Sampler::start(probe, until.interval, sink, Message::Sample).map_err(no_thread)?;
    let started = Instant::now();
    let mut watch = Watch::default();
    let mut watchman = Watchman::new(until.rules.clone());
    loop {
        let left = until.timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return timed_out(&watch, &until, started.elapsed(), output);
        }
        let message = match messages.recv_timeout(left.unwrap_or(Duration::from_secs(3600))) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Problem::cannot_tell("the sampling thread ended: this is a fault of the program"));
            }
        };
        match message {
            Message::Sample(sample) => {
                if let Some(recorder) = &mut until.recorder {
                    recorder.sample(&sample);
                }
                watch.absorb(sample);
            }
            Message::CardError(Some(CardError { card, xid })) => {
                let kind = xid.map_or(CardEventKind::DoubleBitError, CardEventKind::Xid);
                watchman.report(CardEvent { at: sampler.now(), card, kind });
            }
            Message::CardError(None) => continue,
        }
        let expectation = until.expectation.as_ref();
        let analysis = Analysis::of(&watch, until.window, expectation);
        let raised = watchman.judge(&watch, &analysis, expectation, sampler.now());
        if !raised.is_empty() {
            if let Some(recorder) = &mut until.recorder {
                raised.iter().for_each(|raised| recorder.mark(&raised.mark(sampler.now())));
            }
            met(&raised, started.elapsed(), output);
            return Ok(Exit::Fits);
        }
    }
}

fn met(raised: &[Raised], after: Duration, output: &mut Output) {
    if output.format == Format::Json {
        let seen: Vec<_> = raised
            .iter()
            .map(|raised| {
                let card = raised.card.map(|card| card.to_string());
                json!({"rule": raised.rule.to_string(), "card": card, "seen": raised.seen})
            })
            .collect();
        output.json(&json!({
            "schema": "shardfit/until/1", "met": true, "after_seconds": after.as_secs_f64(), "seen": seen,
        }));
    } else {
        for raised in raised {
            output.data(&format!("{raised}\n"));
        }
    }
}

fn timed_out(watch: &Watch, until: &Until, after: Duration, output: &mut Output) -> Result<Exit, Problem> {
    if watch.last_answer.is_none() {
        let why = watch.trouble.as_ref().map_or("it did not answer in time", |trouble| trouble.message.as_str());
        return Err(Problem::cannot_tell(format!("the driver never answered: {why}")));
    }
    let rules: Vec<_> = until.rules.iter().map(ToString::to_string).collect();
    if output.format == Format::Json {
        output.json(&json!({
            "schema": "shardfit/until/1", "met": false, "after_seconds": after.as_secs_f64(), "rules": rules,
        }));
    }
    output.talk(&format!("{} did not come in {:.0} s", rules.join(", "), after.as_secs_f64()));
    Ok(Exit::DoesNotFit)
}
