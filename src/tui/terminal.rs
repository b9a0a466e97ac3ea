//! The terminal while a screen is open, and its return to what it was, whatever happens.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

use super::Size;

/// Whether a screen is open in this process, for the panic hook, which can hold no reference.
static OPEN: AtomicBool = AtomicBool::new(false);
/// Whether a panic closed it: nothing may be painted any more.
static BROKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The alternate screen of the terminal in raw mode. Dropping it gives the terminal back; so does a panic on any thread, before its
/// message is printed.
pub struct Terminal {
    inner: ratatui::Terminal<Backend>,
}

/// Each frame is written at once: a terminal that is shown half a frame flickers.
type Backend = CrosstermBackend<BufWriter<Stdout>>;

fn backend() -> Backend {
    /// A whole frame of the usual size; larger ones are written in few pieces.
    const FRAME: usize = 32 << 10;
    CrosstermBackend::new(BufWriter::with_capacity(FRAME, stdout()))
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When stdout is no terminal, or refuses.
    pub fn open() -> io::Result<Self> {
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if OPEN.load(Ordering::SeqCst) {
                    BROKEN.store(true, Ordering::SeqCst);
                    close();
                }
                previous(info);
            }));
        });
        take()?;
        match ratatui::Terminal::new(backend()) {
            Ok(inner) => Ok(Self { inner }),
            Err(error) => {
                close();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal does not tell.
    pub fn size(&self) -> io::Result<Size> {
        let size = self.inner.size()?;
        Ok(Size { width: size.width, height: size.height })
    }

    /// Paints a frame; only what differs from the last is written.
    ///
    /// # Errors
    /// When the terminal cannot be written, or a panic on another thread has closed it.
    pub fn draw(&mut self, paint: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if BROKEN.load(Ordering::SeqCst) {
            return Err(io::Error::other("another thread of the program failed"));
        }
        self.inner.draw(paint).map(|_| ())
    }

    /// Rings the bell of the terminal.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub fn ring(&mut self) -> io::Result<()> {
        let mut out = stdout();
        out.write_all(b"\x07").and_then(|()| out.flush())
    }

    /// Forgets what is on the screen, so that the next frame is written whole.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not `ratatui::Terminal::clear`: it asks the terminal for its cursor and waits for the answer, which a thread that reads input
        // takes away from it.
        execute!(stdout(), Clear(ClearType::All))?;
        self.inner = ratatui::Terminal::new(backend())?;
        Ok(())
    }

    /// Gives the terminal back while `during` runs, then takes it again.
    ///
    /// # Errors
    /// When the terminal refuses, or `during` fails.
    pub fn lend(&mut self, during: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        close();
        let result = during();
        take()?;
        self.clear()?;
        result
    }
}

/// Gives the terminal back from any thread, for a program that must end without returning; nothing where no screen is open.
pub fn give_back() {
    BROKEN.store(true, Ordering::SeqCst);
    close();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        close();
    }
}

fn take() -> io::Result<()> {
    // From here on a panic, or an error halfway, has something to undo.
    OPEN.store(true, Ordering::SeqCst);
    let taken = enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen, DisableLineWrap));
    if taken.is_err() {
        close();
    }
    taken
}

/// Gives the terminal back; a second call does nothing. Errors are of no use here: there is no screen left to show them on.
fn close() {
    if OPEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), EnableLineWrap, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
