//! What commands print on stdout. A reader that has seen enough (`| head`) is no error.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

/// Prints a text as it is.
///
/// # Errors
/// Where stdout takes no more, other than because its reader left.
pub fn text(text: &str) -> io::Result<()> {
    write_to(&mut io::stdout().lock(), text)
}

/// Prints a line.
///
/// # Errors
/// As [`text`].
pub fn line(line: &str) -> io::Result<()> {
    text(&format!("{line}\n"))
}

/// Prints a line that cannot be had again.
///
/// # Errors
/// Where nobody has it, be it that its reader left.
pub fn only_line(line: &str) -> io::Result<()> {
    write_all(&mut io::stdout().lock(), &format!("{line}\n"))
}

/// Whether whatever is printed is lost. Where stdout was closed when the process began, the runtime has opened `/dev/null` in its
/// place.
#[must_use]
pub fn leads_nowhere() -> bool {
    let is_null = || {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?).metadata()?;
        let null = fs::metadata("/dev/null")?;
        Ok::<_, io::Error>(stdout.file_type().is_char_device() && stdout.rdev() == null.rdev())
    };
    is_null().unwrap_or_default()
}

/// Prints bytes as they come.
///
/// # Errors
/// Where they break off; else as [`text`].
pub fn copy(mut source: impl Read) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let copied = io::copy(&mut source, &mut out).and_then(|_| out.flush());
    unless_left(copied)
}

/// Prints rows under a header, with aligned columns. Control characters of a cell, which may hold what others have said, are
/// replaced: each row is a line, and a terminal obeys none of them.
///
/// # Errors
/// As [`text`].
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    text(&render_table(header, rows))
}

fn write_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    unless_left(write_all(out, text))
}

fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

fn unless_left(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

fn render_table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| row.each_ref().map(|text| cell(text)))
        .collect();
    let lines = || std::iter::once(&header).chain(&shown);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cell(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        assert!(write_to(&mut Refusing(ErrorKind::BrokenPipe), "text").is_ok());
        assert!(write_to(&mut Refusing(ErrorKind::StorageFull), "text").is_err());
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["é", "1", ""], ["long", "22", "x"]].map(|row| row.map(str::to_owned));
        let table = render_table(["NAME", "N", "MORE"], &rows);
        assert_eq!(table, "NAME  N   MORE\né     1\nlong  22  x\n");
    }
    #[test]
    fn a_cell_is_neither_two_rows_nor_a_command_to_the_terminal() {
        let rows = [["a\nb", "\u{1b}[2J"].map(str::to_owned)];
        let table = render_table(["NAME", "MORE"], &rows);
        assert_eq!(table, "NAME  MORE\na\u{fffd}b   \u{fffd}[2J\n");
    }
}
