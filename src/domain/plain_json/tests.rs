use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use super::*;

/// The key that means something to `serde_json`.
const KEY: &str = "$serde_json::private::RawValue";

#[test]
fn a_key_means_nothing_wherever_it_stands_and_however_it_is_spelt() {
    for text in [
        format!(r#"{{"{KEY}":"1"}}"#),
        format!(r#"{{"\u0024{}":"1"}}"#, &KEY[1..]),
    ] {
        let expected = Value::Object(Map::from_iter([(KEY.to_owned(), json!("1"))]));
        assert_eq!(from_str(&text).unwrap(), expected);
        assert_eq!(
            from_str(&format!(r#"[{{"a":{text},"b":{text}}}]"#)).unwrap(),
            json!([{ "a": expected, "b": expected }])
        );
    }
    for text in [
        format!(r#"{{"{KEY}":"1","a":2}}"#),
        format!(r#"{{"{KEY}":"{{"}}"#),
        format!(r#"{{"{KEY}":[]}}"#),
        r#"{"$serde_json::private::Number":"7"}"#.to_owned(),
    ] {
        let read = from_str(&text).unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(from_slice(text.as_bytes()).unwrap(), read);
    }
}

#[test]
fn fields_hold_what_is_there() {
    #[derive(Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "value")]
        value: Value,
        #[serde(default, deserialize_with = "value_if_any")]
        any: Option<Value>,
        #[serde(default, deserialize_with = "object_if_any")]
        object: Option<Map<String, Value>>,
    }
    let inner = format!(r#"{{"a":{{"{KEY}":"1"}}}}"#);
    let text = format!(r#"{{"value":{inner},"any":{inner},"object":{inner}}}"#);
    // From a text, and from what was read of one.
    for holder in [
        serde_json::from_str::<Holder>(&text).unwrap(),
        serde_json::from_value::<Holder>(from_str(&text).unwrap()).unwrap(),
    ] {
        assert_eq!(holder.value.to_string(), inner);
        assert_eq!(holder.any.unwrap().to_string(), inner);
        assert_eq!(Value::Object(holder.object.unwrap()).to_string(), inner);
    }
    for text in [
        r#"{"value":null,"any":null,"object":null}"#,
        r#"{"value":null}"#,
    ] {
        let holder = serde_json::from_str::<Holder>(text).unwrap();
        assert_eq!((holder.any, holder.object), (None, None));
        assert_eq!(holder.value, Value::Null);
    }
    assert!(serde_json::from_str::<Holder>(r#"{"value":1,"object":[]}"#).is_err());
}

/// A text that goes as deep as this anew in each of its strings.
fn nested(times: usize) -> String {
    let deep = |inner: &str| {
        let (open, close) = ("[".repeat(100), "]".repeat(100));
        format!(r#"{open}{{"{KEY}":"{inner}"}}{close}"#)
    };
    (0..times).fold("1".to_owned(), |inner, _| {
        // Both marks are escaped so that the text grows by a few bytes a level, and does not double.
        let inner = inner.replace('\\', r"\u005c").replace('"', r"\u0022");
        deep(&inner)
    })
}

#[test]
fn what_nests_in_strings_takes_no_more_of_the_stack_than_its_first_level() {
    let text = nested(150);
    assert!(text.len() < 1_000_000, "{} bytes", text.len());
    // As much as the threads have that handle requests. More would end the process.
    let reading = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let reading = reading.spawn(move || {
        let read = from_str(&text).unwrap();
        from_str(&read.to_string()).unwrap() == read
    });
    assert!(reading.unwrap().join().unwrap());
}

/// Any piece of JSON, and what is close to it.
fn any_text() -> impl Strategy<Value = String> {
    let scalars = vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0",
        "1.10",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "0.6399999999999999",
        "1e300",
        "1e400",
        "-1e400",
        "5e-324",
        "1e-400",
        "01",
        "1.",
        "NaN",
        r#""""#,
        r#""é\u00e9\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00x""#,
        r#""\u0000\n\/""#,
        "\"\t\"",
        r#""open"#,
        "",
    ];
    let names = vec![
        r#""""#,
        r#""a""#,
        r#""\u0061""#,
        r#""$serde_json::private""#,
        r#""$serde_json::private::Number""#,
        r#""\ud83d""#,
        "a",
        "1",
    ];
    // What is no JSON is rare, so that most of what is made is read.
    let scalar = prop_oneof![
        9 => select(scalars[..12].to_vec()),
        1 => select(scalars),
    ]
    .prop_map(str::to_owned)
    .boxed();
    let name = prop_oneof![9 => select(names[..5].to_vec()), 1 => select(names)];
    scalar.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            vec((name.clone(), inner), 0..5).prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

/// As `serde_json` reads it, which may be not at all.
fn assert_read_alike(text: &str) {
    let expected = serde_json::from_str::<Value>(text);
    for read in [from_str(text), from_slice(text.as_bytes())] {
        match (&expected, read) {
            (Ok(expected), Ok(read)) => {
                assert_eq!(read, *expected, "{text}");
                // Minus zero is equal to zero, and not the same.
                assert_eq!(read.to_string(), expected.to_string(), "{text}");
            }
            (Err(expected), Err(error)) => {
                assert_eq!(error.to_string(), expected.to_string(), "{text}");
            }
            (expected, read) => panic!("{text}: {expected:?}, {read:?}"),
        }
    }
}

proptest! {
    #[test]
    fn everything_else_is_read_as_serde_json_reads_it(text in any_text()) {
        assert_read_alike(&text);
    }
}

#[test]
fn so_is_what_is_rare() {
    for text in [
        "1e400",
        "-0",
        "9007199254740993",
        "18446744073709551616",
        "0.6399999999999999",
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"a":{}}"#,
        r#""\ud83d""#,
        r#"{"\ud83d":1}"#,
        "[1,]",
        r#"{"a":1,}"#,
        "[1] 2",
        " [1]\n",
        "\u{feff}[]",
        "",
    ] {
        assert_read_alike(text);
    }
    for levels in [126, 127, 128, 129, 100_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let text = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_read_alike(&text);
            assert_eq!(from_str(&text).is_ok(), levels < 128, "{levels}");
        }
    }
    assert!(from_slice(b"\"\xff\"").is_err());
}
