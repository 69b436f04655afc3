//! The spool, as far as it needs no service around it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use uuid::Uuid;

use super::*;
use crate::{
    domain::ids::{AttemptId, CallbackId},
    journal::body::TooLarge,
};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("gladia-gateway-spool-{}", Uuid::now_v7())))
    }

    fn open(&self) -> Spool {
        Spool::open(self.0.clone()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Breaks off at once.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::ConnectionReset.into())
    }
}

fn header() -> SpoolHeader {
    SpoolHeader::new(CallbackId(Uuid::now_v7()), AttemptId(Uuid::now_v7()), "PUT")
}

#[test]
fn what_is_kept_is_read_again_oldest_first() {
    let directory = Directory::new();
    let spool = directory.open();
    let compressed = zstd::encode_all(&b"from memory"[..], 1).unwrap();
    let headers = [header(), header(), header()];
    spool.keep(&headers[0], &compressed).unwrap();
    spool.receive(&headers[1], &b"as it came"[..]).unwrap();
    let seen = TooLarge {
        gladia_id: Some("b7".into()),
        seen_bytes: 12,
        seen_sha256: [7; 32],
        received_at: None,
    };
    let [first, second, third] = headers;
    let (third_id, attempt_id) = (third.id, third.attempt_id);
    spool.keep(&third.too_large(seen), &[]).unwrap();

    let files = spool.list().unwrap();
    for (file, (expected, body)) in files
        .iter()
        .zip([(first, "from memory"), (second, "as it came")])
    {
        let Spooled::Body(header, mut read) = open(file).unwrap() else {
            panic!("no body");
        };
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, body);
        assert_eq!(
            (header.id, header.attempt_id),
            (expected.id, expected.attempt_id)
        );
        assert_eq!(header.method, "PUT");
        assert!(header.received_at.is_some() && header.received_at == expected.received_at);
    }
    let Spooled::Beginning(header, seen) = open(&files[2]).unwrap() else {
        panic!("no beginning");
    };
    assert_eq!((header.id, header.attempt_id), (third_id, attempt_id));
    assert_eq!(
        (seen.gladia_id.as_deref(), seen.seen_bytes),
        (Some("b7"), 12)
    );
    assert_eq!(
        (seen.seen_sha256, seen.received_at),
        ([7; 32], header.received_at)
    );

    for file in files {
        remove(&file).unwrap();
        remove(&file).unwrap();
    }
    assert_eq!(directory.names(), [LOCK]);
}

#[test]
fn nothing_is_left_of_what_could_not_be_written_or_did_not_arrive() {
    let directory = Directory::new();
    let spool = directory.open();
    let full = spool.write(&header(), |file| {
        file.write_all(&vec![0; 200_000])?;
        Err(ErrorKind::StorageFull.into())
    });
    assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
    let broken = spool.receive(&header(), b"words"[..].chain(Broken));
    assert!(matches!(broken, Err(SpoolError::Source(_))), "{broken:?}");
    assert_eq!(directory.names(), [LOCK]);
    fs::remove_dir_all(&directory.0).unwrap();
    let gone = spool.receive(&header(), &b"words"[..]);
    assert!(matches!(gone, Err(SpoolError::Disk(_))), "{gone:?}");
    assert!(!spool.can_be_written());
}

#[test]
fn what_another_process_is_writing_stays() {
    let directory = Directory::new();
    let first = directory.open();
    let unfinished = directory.0.join("a.part");
    fs::write(&unfinished, "").unwrap();
    directory.open();
    assert!(unfinished.exists());
    drop(first);
    directory.open();
    assert!(!unfinished.exists());
}

#[test]
fn whoever_comes_while_another_ends_has_the_directory_afterwards() {
    let directory = Directory::new();
    let first = directory.open();
    let second = directory.open();
    drop(first);
    second.take_over();
    let unfinished = directory.0.join("a.part");
    fs::write(&unfinished, "").unwrap();
    directory.open();
    assert!(unfinished.exists(), "it is the second one's");
}

#[test]
fn a_lock_that_cannot_be_opened_is_not_taken_for_the_directory() {
    let directory = Directory::new();
    let lock = directory.0.join(LOCK);
    // Not even root opens this, as nobody else opens what is root's.
    fs::create_dir_all(&lock).unwrap();
    let refused = Spool::open(directory.0.clone()).err().unwrap().to_string();
    let owner = fs::metadata(&lock).unwrap().uid();
    let named = format!(
        "but not {}, which belongs to the user {owner};",
        lock.display()
    );
    assert!(refused.contains(&named), "{refused}");
    // A directory that is none.
    let file = directory.0.join("file");
    fs::write(&file, "").unwrap();
    let refused = Spool::open(file).err().unwrap().to_string();
    assert!(refused.starts_with("cannot write to "), "{refused}");
}

#[test]
fn transcripts_are_for_nobody_else_on_the_machine() {
    let directory = Directory::new();
    let inner = directory.0.join("inner");
    let spool = Spool::open(inner.clone()).unwrap();
    spool.keep(&header(), b"words").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for file in spool.list().unwrap() {
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn a_body_of_which_something_is_missing_is_not_taken_for_a_shorter_one() {
    let directory = Directory::new();
    let spool = directory.open();
    let frames = [&b"first"[..], b"second"].map(|text| zstd::encode_all(text, 1).unwrap());
    spool.keep(&header(), &frames.concat()).unwrap();
    let path = spool.list().unwrap().remove(0);
    let whole = fs::read(&path).unwrap();
    let without_one = &whole[..whole.len() - frames[1].len()];
    fs::write(&path, without_one).unwrap();
    assert!(matches!(open(&path), Err(FileError::Broken(_))));

    // An older file does not say how long it is.
    let line = without_one.split(|byte| *byte == b'\n').next().unwrap();
    let mut older: serde_json::Value = serde_json::from_slice(line).unwrap();
    assert!(
        older
            .as_object_mut()
            .unwrap()
            .remove("compressed_bytes")
            .is_some()
    );
    let older = [older.to_string().as_bytes(), b"\n", &frames[0]].concat();
    fs::write(&path, older).unwrap();
    let Ok(Spooled::Body(_, mut body)) = open(&path) else {
        panic!("no body");
    };
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "first");
}
