//! Cards as people describe them after the fact: `RTX 3090 24GB (WSL)`, `48GB class (47.38 GiB)`, `8 GPUs`.

use super::Card;
use crate::profiles::gpus::GpuCatalogue;
use crate::units::Bytes;

/// What a description tells: how many cards, and which, where a name or a size stands in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Described {
    /// How many, where a number stands in front.
    pub count: Option<u32>,
    /// One of them.
    pub card: Option<Card>,
}

/// Reads a description such as `4xL40 45GB (shared)`. The longest beginning that is a card's name counts; else the most precise size.
#[must_use]
pub fn described(text: &str, catalogue: &GpuCatalogue) -> Described {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let after = text[digits..].trim_start().strip_prefix(['x', 'X', '*', '×']);
    let (count, rest) = match (text[..digits].parse::<u32>(), after) {
        (Ok(count), Some(rest)) => (Some(count.clamp(1, super::fleet::MAX_CARDS as u32)), rest.trim()),
        _ => (None, text),
    };
    let size = size(rest);
    let card = by_name(rest, size, catalogue).or_else(|| size.map(Card::of_size));
    Described { count, card }
}

fn by_name(text: &str, size: Option<Bytes>, catalogue: &GpuCatalogue) -> Option<Card> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = |n: usize| catalogue.select(words[..n].join(" ").trim_end_matches([',', ';'])).ok();
    let profile = (1..=words.len()).rev().find_map(named)?;
    // A name with another size beside it is another card of that name.
    size.is_none_or(|size| profile.memory.may_be_sold_as(size)).then(|| Card::of_profile(&profile))
}

/// The size that is written with the most digits; `GB` is what a card is sold with, 2^30 bytes each.
fn size(text: &str) -> Option<Bytes> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c| !is_number(c)).map_or(rest.len(), |i| start + i);
        let (number, unit) = (&rest[start..end], rest[end..].trim_start().to_ascii_lowercase());
        let is_size = ["gb", "gib"].iter().any(|u| unit.starts_with(u));
        if let Some(gib) = number.parse::<f64>().ok().filter(|n| is_size && (1.0..=4096.0).contains(n)) {
            found.push((number.len(), gib));
        }
        rest = &rest[end..];
    }
    found.into_iter().max_by_key(|(digits, _)| *digits).map(|(_, gib)| Bytes::from_gib(gib))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_tell_what_they_can() {
        let catalogue = GpuCatalogue::built_in();
        for (text, count, card) in [
            ("4xRTX 3090 24GB (Windows/WSL docker)", 4, Some("RTX-3090")),
            ("T4 (Colab)", 0, Some("T4")),
            ("2 x A100 80GB, NVLink", 2, Some("A100-80GB")),
            ("1x48GB class (47.38 GiB)", 1, Some("47.38GiB")),
            ("8x8 GPUs, mixed", 8, None),
            ("H100 96GB", 0, Some("96GiB")),
            ("AMD-type DCU 16GB", 0, Some("16GiB")),
            ("x", 0, None),
            ("", 0, None),
            ("99999999999x", 0, None),
            ("4x0GB 9999GB", 4, None),
        ] {
            let found = described(text, &catalogue);
            assert_eq!(
                (found.count.unwrap_or(0), found.card.as_ref().map(|c| c.label.as_str())),
                (count, card),
                "{text}"
            );
        }
    }
}
