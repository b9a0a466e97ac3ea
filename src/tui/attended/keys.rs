//! Keys of a screen of work in progress. Ending the work is asked for twice; a key after its end leaves.

use std::io;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Onlooker, Wish};

/// A question that the next key answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether the work should end.
    Stop,
    /// Whether work that was told to end should be killed.
    Kill,
}

/// Lines of a page.
const PAGE: usize = 10;

/// Gives every key pressed since to `press`, until one of them is a wish. Returns at once.
///
/// # Errors
/// When the terminal goes away.
pub fn keys(mut press: impl FnMut(&KeyEvent) -> Wish) -> io::Result<Wish> {
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match press(&key) {
                Wish::GoOn => {}
                wish => return Ok(wish),
            }
        }
    }
    Ok(Wish::GoOn)
}

/// What a key does. `was_told` is whether the work was told to end before; `has_ended` whether it is over.
pub fn press(onlooker: &mut Onlooker, was_told: bool, has_ended: bool, key: &KeyEvent) -> Wish {
    let interrupts = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    if interrupts {
        return if has_ended { Wish::Leave } else { Wish::Interrupt };
    }
    if let Some(question) = onlooker.question.take()
        && !has_ended
    {
        return match (key.code, question) {
            (KeyCode::Char('y' | 'Y'), Question::Stop) => Wish::Stop,
            (KeyCode::Char('y' | 'Y'), Question::Kill) => Wish::Kill,
            _ => Wish::GoOn,
        };
    }
    let last = onlooker.cards.cards.len().saturating_sub(1);
    match key.code {
        KeyCode::Char('j') | KeyCode::Down => onlooker.card = (onlooker.card + 1).min(last),
        KeyCode::Char('k') | KeyCode::Up => onlooker.card = onlooker.card.saturating_sub(1),
        KeyCode::Char('g') | KeyCode::Home => onlooker.card = 0,
        KeyCode::Char('G') | KeyCode::End => onlooker.card = last,
        KeyCode::PageUp => page(onlooker, has_ended, false),
        KeyCode::PageDown | KeyCode::Char(' ') => page(onlooker, has_ended, true),
        _ if has_ended => return Wish::Leave,
        KeyCode::Char('q') | KeyCode::Esc => {
            onlooker.question = Some(if was_told { Question::Kill } else { Question::Stop });
        }
        _ => {}
    }
    Wish::GoOn
}

/// Pages the log while the work goes on, and what is said about its end afterwards.
fn page(onlooker: &mut Onlooker, has_ended: bool, forward: bool) {
    let place = if has_ended { &mut onlooker.down } else { &mut onlooker.back };
    // The log is counted from its end, the ending from its begin.
    *place = if forward == has_ended { place.saturating_add(PAGE) } else { place.saturating_sub(PAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(onlooker: &mut Onlooker, has_ended: bool, code: KeyCode) -> Wish {
        press(onlooker, false, has_ended, &KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn ending_is_asked_for_twice() {
        let mut onlooker = Onlooker::default();
        assert_eq!(wish(&mut onlooker, false, KeyCode::Char('y')), Wish::GoOn);
        assert_eq!(wish(&mut onlooker, false, KeyCode::Char('q')), Wish::GoOn);
        assert_eq!(wish(&mut onlooker, false, KeyCode::Char('n')), Wish::GoOn);
        assert_eq!(onlooker.question, None);
        wish(&mut onlooker, false, KeyCode::Esc);
        assert_eq!(wish(&mut onlooker, false, KeyCode::Char('y')), Wish::Stop);
        // What was told to end and did not may be killed.
        let q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        press(&mut onlooker, true, false, &q);
        assert_eq!(wish(&mut onlooker, false, KeyCode::Char('y')), Wish::Kill);
    }

    #[test]
    fn control_c_interrupts_and_leaves() {
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut Onlooker::default(), false, false, &control_c), Wish::Interrupt);
        assert_eq!(press(&mut Onlooker::default(), false, true, &control_c), Wish::Leave);
    }

    #[test]
    fn after_the_end_keys_that_do_not_scroll_leave() {
        let mut onlooker = Onlooker::default();
        assert_eq!(wish(&mut onlooker, true, KeyCode::PageDown), Wish::GoOn);
        assert_eq!((onlooker.down, onlooker.back), (PAGE, 0));
        wish(&mut onlooker, true, KeyCode::PageUp);
        assert_eq!(onlooker.down, 0);
        wish(&mut onlooker, false, KeyCode::PageUp);
        assert_eq!((onlooker.down, onlooker.back), (0, PAGE));
        for code in [KeyCode::Enter, KeyCode::Char('q'), KeyCode::Char('x'), KeyCode::Esc] {
            assert_eq!(wish(&mut onlooker, true, code), Wish::Leave);
        }
        // A question that was open when the work ended is answered by nobody.
        onlooker.question = Some(Question::Stop);
        assert_eq!(wish(&mut onlooker, true, KeyCode::Char('y')), Wish::Leave);
    }
}
