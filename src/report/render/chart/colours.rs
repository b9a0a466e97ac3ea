//! Colours by meaning, on light and dark.

/// The background of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Dark on white, for paper and documents.
    #[default]
    Light,
    /// Light on nearly black, for slides.
    Dark,
}

/// Red, green, blue.
pub type Rgb = (u8, u8, u8);

/// What a surface stands for. The hues are those of M. Okabe and K. Ito, "Color Universal Design" (2008).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hue {
    /// Blue: weights, memory in use.
    Blue,
    /// Bluish green: KV cache, what fits.
    Green,
    /// Vermilion: what is too much.
    Vermilion,
    /// Orange: activations, warnings.
    Orange,
    /// Reddish purple: graphs, speed.
    Purple,
    /// Yellow: communication.
    Yellow,
    /// Sky blue: reserved by an allocator and not used.
    Sky,
    /// Grey: context, what the runtime costs.
    Grey,
    /// Light grey: other processes.
    Pale,
}

/// The parts of a picture that are no surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    /// Behind everything.
    pub background: Rgb,
    /// Titles and figures.
    pub text: Rgb,
    /// Explanations.
    pub muted: Rgb,
    /// Lines of the grid.
    pub grid: Rgb,
    /// The track of a bar.
    pub track: Rgb,
    /// Capacity, and all that must not be crossed.
    pub limit: Rgb,
}

impl Mode {
    /// Its inks.
    #[must_use]
    pub const fn ink(self) -> Ink {
        match self {
            Self::Light => Ink {
                background: (255, 255, 255),
                text: (28, 32, 38),
                muted: (98, 106, 117),
                grid: (226, 229, 233),
                track: (241, 243, 245),
                limit: (28, 32, 38),
            },
            Self::Dark => Ink {
                background: (18, 21, 26),
                text: (236, 239, 243),
                muted: (152, 161, 173),
                grid: (46, 52, 61),
                track: (32, 37, 44),
                limit: (236, 239, 243),
            },
        }
    }
}

impl Hue {
    /// The colour of a surface.
    #[must_use]
    pub const fn rgb(self, mode: Mode) -> Rgb {
        match (self, mode) {
            (Self::Blue, Mode::Light) => (0, 114, 178),
            (Self::Blue, Mode::Dark) => (58, 150, 208),
            (Self::Green, Mode::Light) => (0, 158, 115),
            (Self::Green, Mode::Dark) => (32, 178, 138),
            (Self::Vermilion, Mode::Light) => (213, 94, 0),
            (Self::Vermilion, Mode::Dark) => (236, 120, 40),
            (Self::Orange, _) => (230, 159, 0),
            (Self::Purple, Mode::Light) => (188, 108, 154),
            (Self::Purple, Mode::Dark) => (214, 138, 182),
            (Self::Yellow, Mode::Light) => (222, 205, 40),
            (Self::Yellow, Mode::Dark) => (240, 228, 66),
            (Self::Sky, _) => (86, 180, 233),
            (Self::Grey, Mode::Light) => (120, 128, 138),
            (Self::Grey, Mode::Dark) => (132, 141, 152),
            (Self::Pale, Mode::Light) => (190, 196, 203),
            (Self::Pale, Mode::Dark) => (84, 92, 103),
        }
    }

    /// The colour of text on a surface: black or white, whichever stands out more (relative luminance after WCAG 2.1).
    #[must_use]
    pub fn text_on(self, mode: Mode) -> Rgb {
        let (red, green, blue) = self.rgb(mode);
        let linear = |value: u8| (f64::from(value) / 255.0).powf(2.2);
        let luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
        if luminance > 0.22 { (20, 23, 28) } else { (255, 255, 255) }
    }
}
