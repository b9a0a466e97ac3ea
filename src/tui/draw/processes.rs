//! The list of processes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::text::{fit, left, reading, right, rule, span};
use super::{below, first_row};
use crate::hardware::Reading;
use crate::monitor::{ProcessRow, Watch};
use crate::tui::layout::Layout;
use crate::tui::{Meaning, Pane, State, Theme};

/// Columns of the list, besides the command, which gets the rest.
const CARD: u16 = 5;
const PID: u16 = 8;
const USER: u16 = 10;
const MEMORY: u16 = 12;
const SHARD: u16 = 8;

/// Paints title, column heads and the visible rows.
pub fn draw(state: &State, rows: &[ProcessRow<'_>], layout: &Layout, theme: &Theme, frame: &mut Frame<'_>) {
    let area = layout.processes;
    let focused = state.pane() == Pane::Processes;
    let visible = layout.visible_processes(state.process, rows.len());
    frame.render_widget(title(state, rows.len(), visible.len(), focused, theme, area.width), first_row(area));

    let heads = [
        left(" CARD", CARD + 1, theme),
        right("PID", PID, theme),
        "  ".to_owned() + &left("USER", USER, theme),
        right("MEMORY", MEMORY, theme),
        "  ".to_owned() + &left("SHARD", SHARD, theme),
        "COMMAND".to_owned(),
    ];
    let label = theme.style(Meaning::Label);
    frame.render_widget(Line::raw(fit(&heads.concat(), area.width, theme)).style(label), first_row(below(area, 1)));

    let body = below(area, 2);
    if rows.is_empty() {
        let sentence = if state.filter.is_empty() {
            nobody(state.shown())
        } else {
            format!("  none holds `{}`: Esc takes the filter away", state.filter)
        };
        let sentence = fit(&sentence, area.width, theme);
        frame.render_widget(Line::raw(sentence).style(label), first_row(body));
    }
    for (y, place) in (body.y..body.bottom()).zip(visible) {
        let selected = focused && place == state.process;
        let area = Rect { y, height: 1, ..body };
        frame.render_widget(row(&rows[place], selected, area.width, theme), area);
        if selected {
            frame.buffer_mut().set_style(area, theme.style(Meaning::Selected));
        }
    }
}

fn title(state: &State, count: usize, visible: usize, focused: bool, theme: &Theme, columns: u16) -> Line<'static> {
    let style = theme.style(if focused { Meaning::Focus } else { Meaning::Title });
    let cursor = if focused { theme.symbols.cursor } else { " " };
    let name = vec![span(format!("{cursor}processes {count}"), style)];
    let part = if visible < count { format!("{visible} shown, ") } else { String::new() };
    let mut at_right = Vec::new();
    if !state.filter.is_empty() || state.typing {
        let cursor = if state.typing { "_" } else { "" };
        let room = columns / 3;
        at_right.push(span(fit(&format!("/{}{cursor}", state.filter), room, theme), theme.style(Meaning::Focus)));
        at_right.push(span("  ", theme.style(Meaning::Plain)));
    }
    at_right.push(span(format!("{part}by {} ", state.sort.label()), theme.style(Meaning::Label)));
    rule(name, at_right, columns, theme)
}

/// Why the list is empty: nobody there, or nobody told.
fn nobody(watch: &Watch) -> String {
    let present = || watch.cards.iter().filter(|card| card.is_present());
    match present().find_map(|card| card.usage.processes.reason()) {
        Some(reason) => format!("  the processes cannot be told: {reason}"),
        None if present().next().is_none() => String::new(),
        None => "  no process is listed on these cards".to_owned(),
    }
}

fn row(row: &ProcessRow<'_>, selected: bool, columns: u16, theme: &Theme) -> Line<'static> {
    let cursor = if selected { theme.symbols.cursor } else { " " };
    let command = row.command.or(row.name).map_or("(not visible from here)", without_folder);
    let memory = match row.used {
        Reading::Known(bytes) => format!("{:.2} GiB", bytes.as_gib()),
        _ => reading(row.used, |_| String::new()),
    };
    let memory_style = theme.style(if row.own { Meaning::Own } else { Meaning::Plain });
    let mark = if row.orphan { "orphan " } else { "" };
    let taken = 1 + CARD + PID + 2 + USER + MEMORY + 2 + SHARD + super::width(mark);
    Line::from(vec![
        span(format!("{cursor}{}", left(&row.card.to_string(), CARD, theme)), theme.style(Meaning::Plain)),
        span(right(&row.pid.to_string(), PID, theme), theme.style(Meaning::Plain)),
        span("  ".to_owned() + &left(row.user.unwrap_or("?"), USER, theme), theme.style(Meaning::Plain)),
        span(right(&memory, MEMORY, theme) + "  ", memory_style),
        span(left(&row.shard().unwrap_or_default(), SHARD, theme), theme.style(Meaning::Label)),
        span(mark, theme.style(Meaning::Warning)),
        span(fit(command, columns.saturating_sub(taken), theme), memory_style),
    ])
}

/// `/opt/venv/bin/python3 -m vllm` as `python3 -m vllm`: where the program lies is what a narrow screen can do without.
fn without_folder(command: &str) -> &str {
    let program = command.split(' ').next().unwrap_or_default();
    match program.rfind('/') {
        Some(slash) if program.starts_with('/') && slash + 1 < program.len() => &command[slash + 1..],
        _ => command,
    }
}

#[cfg(test)]
mod tests {
    use super::without_folder;

    #[test]
    fn the_folder_of_a_program_is_left_out() {
        for (command, expected) in [
            ("/usr/bin/python3 -m vllm /models/x", "python3 -m vllm /models/x"),
            ("python3 /srv/run.py", "python3 /srv/run.py"),
            ("/", "/"),
            ("/bin/ x", "/bin/ x"),
            ("", ""),
            ("VLLM::Worker_TP0", "VLLM::Worker_TP0"),
        ] {
            assert_eq!(without_folder(command), expected);
        }
    }
}
