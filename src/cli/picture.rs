//! Charts into files.
#![expect(clippy::disallowed_methods, reason = "writes pictures by design")]

use std::fs;
use std::path::Path;

use super::Problem;
use crate::report::render::chart::{Chart, Format, Mode, draw};

/// Draws a chart into a file whose ending says the format. The file is written beside its place and renamed.
///
/// # Errors
/// When the ending is no format, or the file cannot be written.
pub fn write(chart: &impl Chart, path: &Path, dark: bool) -> Result<(), Problem> {
    let format = Format::of_name(&path.to_string_lossy()).map_err(Problem::usage)?;
    let picture = draw(chart, format, if dark { Mode::Dark } else { Mode::Light }).map_err(Problem::cannot_tell)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder)
        .and_then(|file| fs::write(file.path(), &picture).map(|()| file))
        .and_then(|file| file.persist(path).map_err(|error| error.error));
    let file = written.map_err(|error| Problem::usage(format!("`{}` cannot be written: {error}", path.display())))?;
    // A temporary file is its owner's alone; a picture is for others too.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = file.set_permissions(fs::Permissions::from_mode(0o644));
    }
    drop(file);
    Ok(())
}
