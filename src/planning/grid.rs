//! What fits at which context length and concurrency: every cell is planned in full.

use super::{PlanRequest, State, Verdict, search};
use crate::engines::{ContextLength, Demand, EnginePlan};

/// Verdicts by context length and concurrency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Context lengths in tokens, rising.
    pub contexts: Vec<u64>,
    /// Sequences at once, rising.
    pub concurrencies: Vec<u64>,
    /// A row for each concurrency, in it a state for each context.
    pub states: Vec<Vec<State>>,
}

/// Shortest context of a grid.
const SHORTEST: u64 = 2048;
/// Context lengths of a grid at most, each twice the one before.
const LENGTHS: usize = 8;
/// Sequences at once.
const CONCURRENCIES: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Plans a request at context lengths from 2048 tokens up to what was asked for or the model supports.
///
/// A cell holds whether so many sequences of that length fit *at once*: engines with a pool also serve more, by turns.
#[must_use]
pub fn grid(request: &PlanRequest) -> Grid {
    let contexts = contexts(longest(request));
    let columns: Vec<Vec<State>> = contexts.iter().map(|context| column(request, *context)).collect();
    let states = (0..CONCURRENCIES.len()).map(|row| columns.iter().map(|column| column[row]).collect()).collect();
    Grid { contexts, concurrencies: CONCURRENCIES.to_vec(), states }
}

/// The longest context worth a column: what the model supports.
fn longest(request: &PlanRequest) -> u64 {
    let asked = match request.settings.max_model_len {
        ContextLength::Tokens(tokens) => Some(tokens),
        _ => None,
    };
    asked.or(request.model.max_position).unwrap_or(SHORTEST << (LENGTHS - 1))
}

/// Doublings that end at `longest`, where it is none of them as a column of its own.
fn contexts(longest: u64) -> Vec<u64> {
    let mut contexts: Vec<u64> = (0..).map(|n| SHORTEST << n).take(LENGTHS).take_while(|c| *c < longest).collect();
    if contexts.len() == LENGTHS {
        contexts.pop();
    }
    contexts.push(longest);
    contexts
}

fn column(request: &PlanRequest, context: u64) -> Vec<State> {
    let mut settings = request.settings.clone();
    settings.max_model_len = ContextLength::Tokens(context);
    let state_of = |batch: Option<u64>| {
        let mut settings = settings.clone();
        settings.batch_size = batch.or(settings.batch_size);
        search::attempt(request, &settings, &request.fleet)
    };
    let Some((plan, verdict)) = state_of(None) else { return vec![State::DoesNotFit; CONCURRENCIES.len()] };
    match plan.kv.max_concurrency {
        Some(most) => CONCURRENCIES.iter().map(|count| pooled(&plan, &verdict, most, *count)).collect(),
        // Without a pool the workload itself decides.
        None => CONCURRENCIES
            .iter()
            .map(|count| state_of(Some(*count)).map_or(State::DoesNotFit, |(_, verdict)| verdict.state))
            .collect(),
    }
}

/// A pool holds `most` sequences at the best figures, and fewer when everything else takes more.
fn pooled(plan: &EnginePlan, verdict: &Verdict, most: f64, count: u64) -> State {
    if !matches!(verdict.state, State::Fits | State::Tight) {
        return verdict.state;
    }
    let shrinks = plan
        .ranks
        .iter()
        .filter(|rank| rank.kv[Demand::Expected as usize].0 > 0)
        .map(|rank| rank.kv[Demand::High as usize].0 as f64 / rank.kv[Demand::Expected as usize].0 as f64);
    let at_high = most * shrinks.fold(1.0, f64::min);
    let count = count as f64;
    match verdict.state {
        State::Fits if count <= at_high => State::Fits,
        _ if count <= most => State::Tight,
        _ => State::DoesNotFit,
    }
}

#[cfg(test)]
mod tests {
    use super::contexts;

    #[test]
    fn lengths_double_and_end_at_the_longest() {
        assert_eq!(contexts(32_768), [2048, 4096, 8192, 16_384, 32_768]);
        assert_eq!(contexts(40_960), [2048, 4096, 8192, 16_384, 32_768, 40_960]);
        assert_eq!(contexts(1024), [1024]);
        assert_eq!(contexts(1 << 20).len(), 8);
        assert_eq!(contexts(1 << 20).last(), Some(&(1 << 20)));
    }
}
