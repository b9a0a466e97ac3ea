//! The snapshot as a table.

use super::{TopCard, TopProcess, TopReport};
use crate::units::Bytes;

/// A row of cells; numbers are aligned right, words left.
type Row = Vec<String>;

impl TopReport {
    /// A table of cards and one of processes, for a terminal or a log; no colour, no width to fit.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        text += &table(&CARD_COLUMNS, &self.cards.iter().map(card_row).collect::<Vec<_>>());
        text += "\n";
        if self.processes.is_empty() {
            text += "no process is listed on these cards\n";
        } else {
            text += &table(&PROCESS_COLUMNS, &self.processes.iter().map(process_row).collect::<Vec<_>>());
        }
        for note in self.notes() {
            text += &format!("\n{note}\n");
        }
        text
    }

    /// The same as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        text += &markdown_table(&CARD_COLUMNS, &self.cards.iter().map(card_row).collect::<Vec<_>>());
        if !self.processes.is_empty() {
            text += "\n";
            text += &markdown_table(&PROCESS_COLUMNS, &self.processes.iter().map(process_row).collect::<Vec<_>>());
        }
        for note in self.notes() {
            text += &format!("\n{note}\n");
        }
        text
    }

    fn title(&self) -> String {
        let unknown = "unknown";
        format!(
            "driver {}, CUDA {}; memory in GiB",
            self.driver_version.as_deref().unwrap_or(unknown),
            self.cuda_version.as_deref().unwrap_or(unknown),
        )
    }

    /// What the tables leave open, one sentence each.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for card in &self.cards {
            if let Some(reason) = card.processes_reason {
                notes.push(format!("card {}: processes are unknown: {reason}", card.card));
            }
            if card.total_bytes.is_some()
                && let Some(reason) = card.reserved_reason
            {
                notes.push(format!(
                    "card {}: memory reserved by the driver is unknown ({reason}) and counted as used",
                    card.card
                ));
            }
        }
        if self.processes.iter().any(|process| process.orphan) {
            notes.push("orphan: a worker whose parent is gone holds this memory for nobody".to_owned());
        }
        notes
    }
}

struct Column {
    title: &'static str,
    number: bool,
}

const fn number(title: &'static str) -> Column {
    Column { title, number: true }
}

const fn word(title: &'static str) -> Column {
    Column { title, number: false }
}

const CARD_COLUMNS: [Column; 11] = [
    word("CARD"),
    word("NAME"),
    number("TOTAL"),
    number("SHARDFIT"),
    number("OTHERS"),
    number("UNSEEN"),
    number("RESERVED"),
    number("FREE"),
    number("UTIL"),
    number("TEMP"),
    number("POWER"),
];

const PROCESS_COLUMNS: [Column; 5] = [word("CARD"), number("PID"), word("USER"), number("MEMORY"), word("COMMAND")];

fn card_row(card: &TopCard) -> Row {
    vec![
        card.card.clone(),
        card.name.clone().unwrap_or_else(|| "?".to_owned()),
        gib(card.total_bytes),
        gib(card.own_bytes),
        gib(card.other_processes_bytes),
        gib(card.unseen_bytes),
        gib(card.reserved_bytes),
        gib(card.free_bytes),
        with_unit(card.utilization_percent, "%"),
        with_unit(card.temperature_celsius, "C"),
        with_unit(card.power_milliwatts.map(|milliwatts| milliwatts.div_ceil(1000)), "W"),
    ]
}

fn process_row(process: &TopProcess) -> Row {
    let seen = process.command.clone().or_else(|| process.name.clone());
    let command = seen.unwrap_or_else(|| "(not visible from here)".to_owned());
    vec![
        process.card.clone(),
        process.pid.to_string(),
        process.user.clone().unwrap_or_else(|| "?".to_owned()),
        gib(process.used_bytes),
        if process.orphan { format!("orphan: {command}") } else { command },
    ]
}

/// `?` for the unknown: never 0.
fn gib(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{:.2}", bytes.as_gib()))
}

fn with_unit(value: Option<u32>, unit: &str) -> String {
    value.map_or_else(|| "?".to_owned(), |value| format!("{value} {unit}"))
}

fn table(columns: &[Column], rows: &[Row]) -> String {
    use unicode_width::UnicodeWidthStr;
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([columns[column].title.width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, column), width) in cells.zip(columns).zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            let padded = if column.number { padding + cell } else { cell.to_owned() + &padding };
            line += if line.is_empty() { "" } else { "  " };
            line += &padded;
        }
        line.trim_end().to_owned() + "\n"
    };
    let head = line(&mut columns.iter().map(|column| column.title));
    rows.iter().fold(head, |text, row| text + &line(&mut row.iter().map(String::as_str)))
}

fn markdown_table(columns: &[Column], rows: &[Row]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(|column| column.title.to_lowercase()).collect());
    text += &line(columns.iter().map(|column| if column.number { "--:" } else { "---" }.to_owned()).collect());
    for row in rows {
        text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_kind() {
        let rows = [vec!["a".to_owned(), "1.00".to_owned()], vec!["long".to_owned(), "12.00".to_owned()]];
        let columns = [word("NAME"), number("X")];
        assert_eq!(table(&columns, &rows), "NAME      X\na      1.00\nlong  12.00\n");
        assert_eq!(
            markdown_table(&columns, &[vec!["a|b".to_owned(), "1".to_owned()]]),
            "| name | x |\n| --- | --: |\n| a\\|b | 1 |\n"
        );
    }

    #[test]
    fn the_unknown_is_never_zero() {
        assert_eq!(gib(None), "?");
        assert_eq!(gib(Some(Bytes::ZERO)), "0.00");
        assert_eq!(with_unit(None, "W"), "?");
    }
}
