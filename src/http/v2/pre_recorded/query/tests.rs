use serde_json::json;

use super::*;

fn parsed(query: &str) -> ListQuery {
    ListQuery::parse(query).unwrap_or_else(|errors| panic!("{query}: {errors:?}"))
}

#[test]
fn brackets_go_as_deep_as_anybody_means_and_no_deeper() {
    let query = |levels: usize| format!("custom_metadata{}=1", "[a]".repeat(levels));
    assert_eq!(parsed(&query(MOST_METADATA_LEVELS)).rest.len(), 1);
    let json = |levels: usize| {
        let (begin, end) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        format!("custom_metadata={begin}1{end}")
    };
    assert_eq!(parsed(&json(MOST_METADATA_LEVELS)).rest.len(), 1);
    for levels in [MOST_METADATA_LEVELS + 1, 30_000] {
        for query in [query(levels), json(levels)] {
            let errors = ListQuery::parse(&query).unwrap_err();
            assert!(errors[0].contains("64 levels"), "{errors:?}");
        }
    }
}

#[test]
fn statuses_are_repeated_or_listed() {
    for query in [
        "status=done&status=error",
        "status=done,error",
        "status[]=done&status%5B%5D=error",
        "status[0]=done&status%5B12%5D=error",
        "status[0]=done,error",
    ] {
        let statuses = parsed(query).filter.statuses;
        let expected = [
            PublicStatus::Done,
            PublicStatus::Error,
            PublicStatus::Canceled,
        ];
        assert!(statuses.into_iter().eq(expected), "{query}");
    }
    for query in [
        "status[a]=done",
        "status[0=done",
        "status[0][1]=done",
        "statuses=done",
    ] {
        assert!(parsed(query).filter.statuses.is_empty(), "{query}");
    }
}

#[test]
fn metadata_are_written_in_brackets_or_as_json() {
    let brackets = parsed("custom_metadata[user]=John+Doe&custom_metadata%5Border%5D=7");
    let json = parsed(r#"custom_metadata={"user":"John+Doe","order":7}"#);
    let expected = [("order", "7"), ("user", "John Doe")];
    let expected: BTreeMap<String, String> = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(brackets.filter.metadata, expected);
    assert_eq!(json.filter.metadata, expected);
    assert!(json.rest.is_empty());
}

#[test]
fn what_no_index_holds_is_compared_here() {
    let query = parsed("custom_metadata[a][b]=7&custom_metadata[c]=x");
    assert_eq!(query.filter.metadata.len(), 1);
    assert!(query.fits(Some(&json!({ "a": { "b": 7, "d": 1 } }))));
    assert!(query.fits(Some(&json!({ "a": { "b": "7" } }))));
    for other in [json!({ "a": { "b": 8 } }), json!({ "a": 7 }), json!({})] {
        assert!(!query.fits(Some(&other)), "{other}");
    }
    assert!(!query.fits(None));
    let query = parsed(r#"custom_metadata={"a":{"b":{"c":[1,null]}}}"#);
    assert!(query.fits(Some(&json!({ "a": { "b": { "c": [1, null] } } }))));
    assert!(!query.fits(Some(&json!({ "a": { "b": { "c": [1] } } }))));
}

#[test]
fn a_day_and_bounds_are_narrowed_to_what_all_of_them_allow() {
    let filter =
        parsed("date=2026-11-20&after_date=2026-11-20T06:00:00&before_date=2026-11-22").filter;
    let text = |at: Option<DateTime<Utc>>| at.unwrap().to_rfc3339();
    assert_eq!(text(filter.created_after), "2026-11-20T06:00:00+00:00");
    assert_eq!(text(filter.created_before), "2026-11-21T00:00:00+00:00");
    for written in [
        "2026-11-20T08:00:00.5+02:00",
        "2026-11-20T08:00:00.5%2B02:00",
        "2026-11-20T06:00:00.500Z",
        "2026-11-20 06:00:00.5",
        "2026-11-20T06:00:00.5",
        "2026-11-20T08:00:00.5%2B0200",
        "2026-11-20T01:30:00.5-0430",
    ] {
        let filter = parsed(&format!("after_date={written}")).filter;
        assert_eq!(text(filter.created_after), "2026-11-20T06:00:00.500+00:00");
    }
    for written in [
        "2026-11-20T06:00Z",
        "2026-11-20T06:00",
        "2026-11-20 06:00",
        "2026-11-20T08:00%2B02:00",
        "2026-11-20T08:00+0200",
        "2026-11-20T08:00%2B02",
        "2026-11-20T08:00:00%2B02",
        "2026-11-20T06:00:00+0000",
    ] {
        let filter = parsed(&format!("after_date={written}")).filter;
        assert_eq!(text(filter.created_after), "2026-11-20T06:00:00+00:00");
    }
}

#[test]
fn links_repeat_what_was_asked_for() {
    let query = parsed("status=done&offset=5&status=error&limit=2&custom_metadata[a]=b+c&page=1");
    assert_eq!(
        query.at(7),
        "status=done&status=error&custom_metadata%5Ba%5D=b+c&offset=7&limit=2"
    );
    let query = parsed("status[0]=done&status[1]=error").at(20);
    assert_eq!(
        query,
        "status%5B0%5D=done&status%5B1%5D=error&offset=20&limit=20"
    );
    assert_eq!(parsed(&query).filter.statuses.len(), 3);
    assert_eq!(parsed("").at(0), "offset=0&limit=20");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let errors = ListQuery::parse(
        "offset=-1&limit=0&limit=1001&limit=x&offset=&date=today&before_date=1&after_date=99999-01-01\
         &status=gone&status=canceled&custom_metadata=[object+Object]",
    );
    assert_eq!(
        errors.unwrap_err(),
        [
            "offset must not be less than 0",
            "limit must not be less than 1",
            "limit must not be greater than 1000",
            "limit must be an integer number",
            "offset must be an integer number",
            "date must be a valid ISO 8601 date string",
            "before_date must be a valid ISO 8601 date string",
            "after_date must be a valid ISO 8601 date string",
            "each value in status must be one of the following values: queued, processing, done, error",
            "custom_metadata must be an object",
        ]
    );
    assert_eq!(parsed("offset=99999999999999999999").offset, i64::MAX);
}
