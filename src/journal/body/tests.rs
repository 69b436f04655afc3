//! Bodies are kept byte for byte, whatever they say, and results have frames of their own.

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*};
use sha2::{Digest, Sha256};

use super::{frames::CompressorPlaces, *};
use crate::gladia::callback::{
    random::{Pieces, any_body, any_damage, damage},
    result_of,
};

/// Nothing here takes longer unless it is broken.
const BOUND: Duration = Duration::from_secs(30);

const BODY: &[u8] = br#"{"id":"b7","event":"transcription.success","payload":{"metadata":{}}}"#;

/// Breaks off after what it has.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
            read => read,
        }
    }
}

/// The whole body, from all frames.
fn unpacked(kept: &KeptBody) -> Vec<u8> {
    zstd::decode_all(kept.compressed().zstd).unwrap()
}

/// The result, from its frame alone.
fn unpacked_result(kept: &KeptBody) -> Option<Vec<u8>> {
    let CompressedBody { zstd, result_frame } = kept.compressed();
    let frame = result_frame?;
    let start = usize::try_from(frame.start).unwrap();
    let length = usize::try_from(frame.length).unwrap();
    let frame = &zstd[start..start + length];
    // One frame, whole: a client may read no further than its end.
    let mut result = Vec::new();
    let mut decoder = zstd::Decoder::with_buffer(frame).unwrap().single_frame();
    decoder.read_to_end(&mut result).unwrap();
    assert!(decoder.finish().is_empty());
    Some(result)
}

/// Reads a body that a thread of its own compresses.
fn read_beside(source: impl Read, shape: Shape, places: &CompressorPlaces) -> io::Result<KeptBody> {
    let place = places.take();
    assert!(place.is_some());
    KeptBody::read_large(source, shape, u64::MAX, place)
        .map(|read| read.unwrap_or_else(|_| unreachable!("nothing is too large")))
}

#[test]
fn the_whole_body_is_kept_also_where_reading_stops_early() {
    for body in [
        BODY,
        &[b"no JSON ", BODY].concat(),
        &[BODY, b" more"].concat(),
        b"",
    ] {
        let kept = KeptBody::read(body, Shape::Callback).unwrap();
        assert_eq!(unpacked(&kept), body);
        assert_eq!(usize::try_from(kept.body_bytes()).unwrap(), body.len());
        assert_eq!(kept.body_sha256(), <[u8; 32]>::from(Sha256::digest(body)));
        assert_eq!(kept.report().is_ok(), body == BODY);
    }
}

#[test]
fn a_body_that_breaks_off_is_none() {
    for length in [0, 10, BODY.len()] {
        let error = KeptBody::read(Broken(&BODY[..length]), Shape::Callback).err();
        assert_eq!(error.unwrap().kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_place_is_free_again_once_its_body_is_read_or_has_broken_off() {
    let places = CompressorPlaces::of(1);
    let kept = read_beside(BODY, Shape::Callback, &places).unwrap();
    assert_eq!(unpacked(&kept), BODY);

    // More than waits for the thread at once.
    let long = vec![b'.'; 1_000_000];
    let broken_off = read_beside(Broken(&long), Shape::Callback, &places);
    assert_eq!(
        broken_off.err().map(|error| error.kind()),
        Some(io::ErrorKind::ConnectionReset)
    );
    // Whoever has it ends by itself; until then the next body is compressed where it is read.
    let begun = Instant::now();
    while places.take().is_none() {
        assert!(begun.elapsed() < BOUND);
        std::thread::yield_now();
    }
}

#[test]
fn of_a_larger_body_the_id_is_known_where_it_was_seen() {
    let limit = BODY.len() as u64;
    assert!(
        KeptBody::read_within(BODY, Shape::Callback, limit)
            .unwrap()
            .is_ok()
    );
    for (limit, id) in [(limit - 1, Some("b7")), (4, None)] {
        let seen = KeptBody::read_within(BODY, Shape::Callback, limit)
            .unwrap()
            .err()
            .unwrap();
        assert_eq!(seen.gladia_id.as_deref(), id);
        assert_eq!(seen.seen_bytes.unsigned_abs(), limit);
        let hash = Sha256::digest(&BODY[..usize::try_from(limit).unwrap()]);
        assert_eq!(seen.seen_sha256, <[u8; 32]>::from(hash));
    }
}

#[test]
fn a_result_has_a_frame_where_the_body_is_understood_and_none_otherwise() {
    let callback = |rest: &str| format!(r#"{{"id":"b7","event":"transcription.success",{rest}"#);
    let job = |rest: &str| format!(r#"{{"id":"b7","status":"done",{rest}"#);
    for (body, shape, result) in [
        (
            callback(r#""payload": {"metadata" : {}} }"#),
            Shape::Callback,
            Some(r#"{"metadata" : {}}"#),
        ),
        (
            callback(r#""p\u0061yload":{"met\u0061data":{}}}"#),
            Shape::Callback,
            Some(r#"{"met\u0061data":{}}"#),
        ),
        (
            callback(r#""result":{"transcription":{}},"payload":{"metadata":{}}}"#),
            Shape::Callback,
            Some(r#"{"metadata":{}}"#),
        ),
        (
            job(r#""payload":{"metadata":{}},"result":{"transcription":{}}}"#),
            Shape::Job,
            Some(r#"{"transcription":{}}"#),
        ),
        // Which of the two is meant is open.
        (
            callback(r#""payload":{"metadata":{}},"payload":{"transcription":{}}}"#),
            Shape::Callback,
            None,
        ),
        (
            job(r#""result":{"metadata":{}},"result":null}"#),
            Shape::Job,
            None,
        ),
        (callback(r#""payload":{}}"#), Shape::Callback, None),
        (callback(r#""payload":[1]}"#), Shape::Callback, None),
        (callback(r#""payload":null}"#), Shape::Callback, None),
        (
            callback(r#""result":{"metadata":{}}}"#),
            Shape::Callback,
            None,
        ),
        (
            callback(r#""payload":{"metadata":{}}"#),
            Shape::Callback,
            None,
        ),
        (
            callback(r#""payload":{"metadata":{}"#),
            Shape::Callback,
            None,
        ),
        (
            callback(r#""payload":{"metadata":{}}} more"#),
            Shape::Callback,
            None,
        ),
        (
            job(r#""event":1,"result":{"transcription":{}}}"#),
            Shape::Job,
            None,
        ),
        (
            r#"{"id":"b7","status":"queued","result":{"transcription":{}}}"#.into(),
            Shape::Job,
            None,
        ),
    ] {
        let kept = KeptBody::read(body.as_bytes(), shape).unwrap();
        assert_eq!(unpacked(&kept), body.as_bytes());
        let found = unpacked_result(&kept).map(|result| String::from_utf8(result).unwrap());
        assert_eq!(found.as_deref(), result, "{body}");
    }
}

#[test]
fn whatever_is_said_of_the_result_the_body_stays_as_it_came() {
    for marks in [
        &[] as &[(u64, u64)],
        // As where understanding it fails in the middle.
        &[(6, u64::MAX)],
        &[(12, 40)],
        &[(20, 20), (30, 25)],
        // These bytes have gone by.
        &[(2, 4)],
        &[(u64::MAX, 12)],
    ] {
        let mut tee = Tee::new(BODY, u64::MAX, Frames::here().unwrap());
        tee.read_exact(&mut [0; 5]).unwrap();
        tee.read_exact(&mut [0; 45]).unwrap();
        for (begins, ends) in marks {
            (&mut tee).result_begins(*begins);
            (&mut tee).result_ends(*ends);
        }
        let passed = tee.finish().unwrap();
        assert_eq!(
            zstd::decode_all(passed.compressed.as_slice()).unwrap(),
            BODY
        );
        let begins_and_ends = marks.first() == Some(&(12, 40)) || marks.len() == 2;
        assert_eq!(passed.result_frame.is_some(), begins_and_ends, "{marks:?}");
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Characters before a body, sometimes more than are read at once.
fn any_padding() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 1 => 0..40_000_usize]
}

fn any_sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![vec(1..50_usize, 1..4), vec(1000..100_000_usize, 1..4)]
}

/// A body with a string of characters of three bytes before everything else.
fn padded(body: &str, padding: usize) -> Vec<u8> {
    let fields = body.strip_prefix('{').unwrap();
    format!(r#"{{"":"{}",{fields}"#, "€".repeat(padding)).into_bytes()
}

/// What holds of every body.
fn check(body: &[u8], shape: Shape, sizes: &[usize]) {
    let kept = KeptBody::read(Pieces::new(body, sizes), shape).unwrap();
    let beside = read_beside(Pieces::new(body, sizes), shape, &CompressorPlaces::of(1)).unwrap();
    assert!(beside.compressed().zstd == kept.compressed().zstd);
    assert_eq!(beside.result_frame, kept.result_frame);
    assert_eq!(unpacked(&kept), body);
    let result = unpacked_result(&kept);
    assert_eq!(result.is_some(), kept.success().is_some());
    if let Some(result) = result {
        assert_eq!(result, result_of(body).unwrap().get().as_bytes());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_result_is_cut_out_exactly_in_whatever_pieces_it_comes(
        (body, shape) in any_body(),
        padding in any_padding(),
        sizes in any_sizes(),
    ) {
        check(&padded(&body.to_string(), padding), shape, &sizes);
    }

    #[test]
    fn a_damaged_body_is_kept_exactly_and_what_is_cut_out_of_it_is_its_result(
        (body, shape) in any_body(),
        damages in any_damage(),
        sizes in any_sizes(),
    ) {
        let mut body = body.to_string().into_bytes();
        damage(&mut body, &damages);
        check(&body, shape, &sizes);
    }
}
