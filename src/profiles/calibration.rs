//! What `calibrate` measured on a machine, as it is kept for later plans.

use std::fmt::Write;

use serde::Deserialize;

use crate::units::Bytes;

/// One machine's measurements.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calibration {
    /// Its memory and storage.
    pub host: HostCalibration,
    /// Its cards, one entry a product name.
    pub cards: Vec<CardCalibration>,
}

/// Rates of the host, bytes per second.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCalibration {
    /// When it was measured, UTC, `2026-05-01T12:00:00Z`.
    #[serde(default)]
    pub measured: String,
    /// Copying within memory, one thread.
    pub memory_copy: Option<f64>,
    /// Reading a cached file.
    pub read_cached: Option<f64>,
    /// Reading a file around the page cache; absent where the file system offers no direct I/O.
    pub read_direct: Option<f64>,
    /// The file or folder that was read.
    pub read_from: Option<String>,
}

/// One kind of card on one driver.
#[derive(Debug, Clone, PartialEq)]
pub struct CardCalibration {
    /// Product name as the driver gives it.
    pub name: String,
    /// When it was measured, UTC.
    pub measured: String,
    /// Driver version; a context's size depends on it, so that another driver's figures are not used.
    pub driver: Option<String>,
    /// CUDA total.
    pub capacity: Bytes,
    /// A context without any kernels; absent without NVML.
    pub bare_context: Option<Bytes>,
    /// What allocations are rounded up to.
    pub granularity: Option<Bytes>,
    /// The most that one process could allocate beside its context; absent where somebody else used the card.
    pub usable: Option<Bytes>,
    /// Pinned memory to the card, bytes per second.
    pub to_card: Option<f64>,
    /// The card to pinned memory, bytes per second.
    pub from_card: Option<f64>,
    /// Rows narrower than this many bytes reach the card faster when the CPU packs them.
    pub pack_below: Option<u64>,
}

/// A calibration file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// Not TOML, an unknown key, a missing one, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// Written by another version of this program.
    #[error("it has `schema = {0}`, and this version reads schema 1")]
    Schema(u32),
    /// A size or a rate that cannot be.
    #[error("`{field}` of `{card}` is no amount: {value}")]
    Value {
        /// The card.
        card: String,
        /// The key.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalibrationFile {
    schema: u32,
    #[serde(default)]
    host: HostCalibration,
    #[serde(default, rename = "card")]
    cards: Vec<CardTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardTable {
    name: String,
    measured: String,
    driver: Option<String>,
    capacity: String,
    bare_context: Option<String>,
    granularity: Option<String>,
    usable: Option<String>,
    to_card: Option<f64>,
    from_card: Option<f64>,
    pack_below: Option<u64>,
}

impl Calibration {
    /// Reads what [`Calibration::text`] wrote.
    ///
    /// # Errors
    /// When the text is no calibration of this version.
    pub fn parse(text: &str) -> Result<Self, CalibrationError> {
        let file: CalibrationFile =
            toml::from_str(text).map_err(|error| CalibrationError::Syntax(error.to_string().trim().to_owned()))?;
        if file.schema != 1 {
            return Err(CalibrationError::Schema(file.schema));
        }
        let cards = file.cards.into_iter().map(card).collect::<Result<_, _>>()?;
        Ok(Self { host: file.host, cards })
    }

    /// As a file that a person can read and change.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# Measured by `shardfit calibrate` on this machine; plans for its cards use it unless `--no-calibration` is given.\n\
             # Rates are bytes per second.\nschema = 1\n",
        );
        let HostCalibration { measured, memory_copy, read_cached, read_direct, read_from } = &self.host;
        text.push_str("\n[host]\n");
        let mut table = Table(&mut text);
        table.string("measured", Some(measured));
        table.rate("memory_copy", *memory_copy);
        table.rate("read_cached", *read_cached);
        table.rate("read_direct", *read_direct);
        table.string("read_from", read_from.as_deref());
        for card in &self.cards {
            text.push_str("\n[[card]]\n");
            let mut table = Table(&mut text);
            table.string("name", Some(&card.name));
            table.string("measured", Some(&card.measured));
            table.string("driver", card.driver.as_deref());
            table.bytes("capacity", Some(card.capacity));
            table.bytes("bare_context", card.bare_context);
            table.bytes("granularity", card.granularity);
            table.bytes("usable", card.usable);
            table.rate("to_card", card.to_card);
            table.rate("from_card", card.from_card);
            table.number("pack_below", card.pack_below);
        }
        text
    }

    /// Replaces what was measured before of the same things; cards that are not here now keep their figures.
    #[must_use]
    pub fn renewed(mut self, newer: Self) -> Self {
        self.cards.retain(|old| newer.cards.iter().all(|new| new.name != old.name));
        self.cards.extend(newer.cards);
        self.cards.sort_by(|a, b| a.name.cmp(&b.name));
        Self { host: newer.host, cards: self.cards }
    }

    /// What was measured of a card of this name under this driver; an unknown driver is taken for the same.
    #[must_use]
    pub fn card(&self, name: &str, driver: Option<&str>) -> Option<&CardCalibration> {
        let same_driver = |card: &&CardCalibration| match (card.driver.as_deref(), driver) {
            (Some(then), Some(now)) => then == now,
            _ => true,
        };
        self.cards.iter().filter(|card| card.name == name).find(same_driver)
    }
}

fn card(table: CardTable) -> Result<CardCalibration, CalibrationError> {
    let bad = |field, value: String| CalibrationError::Value { card: table.name.clone(), field, value };
    let size = |field, text: &Option<String>| {
        text.as_ref().map(|text| text.parse::<Bytes>().map_err(|error| bad(field, error.to_string()))).transpose()
    };
    let rate = |field, value: Option<f64>| match value {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => Err(bad(field, rate.to_string())),
        other => Ok(other),
    };
    let capacity = table.capacity.parse::<Bytes>().map_err(|error| bad("capacity", error.to_string()))?;
    let inside = |field, value: Option<Bytes>| match value {
        Some(bytes) if bytes > capacity => Err(bad(field, format!("{bytes}, more than the card has"))),
        other => Ok(other),
    };
    Ok(CardCalibration {
        capacity,
        bare_context: inside("bare_context", size("bare_context", &table.bare_context)?)?,
        granularity: inside("granularity", size("granularity", &table.granularity)?)?,
        usable: inside("usable", size("usable", &table.usable)?)?,
        to_card: rate("to_card", table.to_card)?,
        from_card: rate("from_card", table.from_card)?,
        pack_below: table.pack_below,
        name: table.name.clone(),
        measured: table.measured.clone(),
        driver: table.driver.clone(),
    })
}

/// Lines of a TOML table; absent values leave none.
struct Table<'a>(&'a mut String);

impl Table<'_> {
    fn line(&mut self, key: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn string(&mut self, key: &str, value: Option<&str>) {
        if let Some(text) = value {
            // JSON's escapes are TOML's, but for DEL, which JSON leaves alone.
            let quoted = serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f");
            self.line(key, &quoted);
        }
    }

    fn bytes(&mut self, key: &str, value: Option<Bytes>) {
        self.string(key, value.map(|bytes| format!("{} B", bytes.0)).as_deref());
    }

    fn rate(&mut self, key: &str, value: Option<f64>) {
        if let Some(rate) = value {
            self.line(key, &format!("{rate:.1}"));
        }
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(number) = value {
            self.line(key, &number.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a10(context: u64) -> CardCalibration {
        CardCalibration {
            name: "NVIDIA \"A10\" \\ \u{7f}".to_owned(),
            measured: "2026-05-01T12:00:00Z".to_owned(),
            driver: Some("570.124.06".to_owned()),
            capacity: Bytes::mib(22_508),
            bare_context: Some(Bytes::mib(context)),
            granularity: Some(Bytes::mib(2)),
            usable: None,
            to_card: Some(2.5e10),
            from_card: Some(2.4e10),
            pack_below: Some(512),
        }
    }

    fn calibration(context: u64) -> Calibration {
        let host = HostCalibration {
            measured: "2026-05-01T12:00:00Z".to_owned(),
            memory_copy: Some(1.0e10),
            read_from: Some("/data/model".to_owned()),
            ..HostCalibration::default()
        };
        Calibration { host, cards: vec![a10(context)] }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = calibration(240);
        assert_eq!(Calibration::parse(&written.text()), Ok(written));
        assert_eq!(Calibration::parse(&Calibration::default().text()), Ok(Calibration::default()));
    }

    #[test]
    fn newer_figures_take_the_place_of_older_ones_of_the_same_card() {
        let other = CardCalibration { name: "NVIDIA L4".to_owned(), ..a10(200) };
        let old = Calibration { cards: vec![a10(240), other.clone()], ..calibration(240) };
        let both = old.renewed(calibration(250));
        assert_eq!(both.cards, [a10(250), other]);
    }

    #[test]
    fn another_drivers_figures_are_not_used() {
        let known = calibration(240);
        let name = known.cards[0].name.clone();
        assert!(known.card(&name, Some("570.124.06")).is_some() && known.card(&name, None).is_some());
        assert!(known.card(&name, Some("580.1")).is_none() && known.card("NVIDIA L4", None).is_none());
    }

    #[test]
    fn nonsense_is_refused_and_named() {
        let card = "[[card]]\nname = \"x\"\nmeasured = \"\"\ncapacity = \"1GiB\"\n";
        for (text, named) in [
            ("schema = 2".to_owned(), "schema = 2"),
            ("schema = 1\nunknown = 3".to_owned(), "unknown"),
            (format!("schema = 1\n{card}to_card = -1.0"), "to_card"),
            (format!("schema = 1\n{card}bare_context = \"2GiB\""), "bare_context"),
            (format!("schema = 1\n{card}usable = \"much\""), "usable"),
        ] {
            let error = Calibration::parse(&text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
