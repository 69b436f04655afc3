//! What a file may be called that is kept or handed out under a name of somebody else's.

/// A file's name without path, control characters or quotes, of a bounded length. `None` where nothing is left.
#[must_use]
pub fn bare_file_name(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = base
        .chars()
        .filter(|c| !c.is_control() && *c != '"')
        .take(200)
        .collect();
    (!clean.trim().is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_only_a_name() {
        assert_eq!(
            bare_file_name("../../etc/passwd").as_deref(),
            Some("passwd")
        );
        assert_eq!(
            bare_file_name(r"C:\calls\monday.wav").as_deref(),
            Some("monday.wav")
        );
        assert_eq!(bare_file_name("a\r\nb\0\".wav").as_deref(), Some("ab.wav"));
        assert_eq!(bare_file_name("").as_deref(), None);
        assert_eq!(bare_file_name("été.wav").as_deref(), Some("été.wav"));
    }
}
