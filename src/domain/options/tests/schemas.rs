//! The generated schemas: the checks read all of what they declare, and the lists are Gladia's.

use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::options::{TranscriptionOptions, discontinued, pairs, schema};

/// Keywords that the checks obey, and those that only describe.
const READ: &[&str] = &[
    "$ref",
    "additionalProperties",
    "enum",
    "items",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "type",
    "deprecated",
    "description",
    "format",
    // Always strings, as the names of a JSON object are.
    "propertyNames",
];

fn keywords(declared: &'static Value, found: &mut Vec<&'static str>) {
    let Some(schema) = declared.as_object() else {
        return;
    };
    for (keyword, value) in schema {
        found.push(keyword);
        match keyword.as_str() {
            "properties" => {
                for property in value.as_object().unwrap().values() {
                    keywords(property, found);
                }
            }
            "oneOf" => {
                for branch in value.as_array().unwrap() {
                    keywords(branch, found);
                }
            }
            "items" | "additionalProperties" => keywords(value, found),
            _ => {}
        }
    }
}

#[test]
fn the_schemas_use_no_keyword_that_the_checks_do_not_read() {
    let mut found = Vec::new();
    for declared in schema::all() {
        keywords(declared, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    let unread: Vec<_> = found
        .iter()
        .filter(|keyword| !READ.contains(keyword))
        .collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn every_nested_schema_is_listed() {
    let mut schemas = Vec::new();
    TranscriptionOptions::schemas(&mut schemas);
    let mut names: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "AudioToLlmConfig",
            "CallbackConfig",
            "CallbackMethod",
            "CodeSwitchingConfig",
            "CustomSpellingConfig",
            "CustomVocabulary",
            "CustomVocabularyConfig",
            "DiarizationConfig",
            "Language",
            "LanguageConfig",
            "PiiEntityType",
            "PiiRedactionConfig",
            "ProcessedTextType",
            "StructuredDataExtractionConfig",
            "SubtitlesConfig",
            "SubtitlesFormat",
            "SubtitlesStyle",
            "SummarizationConfig",
            "SummaryType",
            "TargetLanguage",
            "TranscriptionModel",
            "TranslationConfig",
            "TranslationModel",
            "VocabularyEntry",
            "VocabularyWord",
        ]
    );
}

#[test]
fn every_flag_with_a_configuration_is_a_pair() {
    let names = schema::known_names();
    let declared: Vec<(&str, &str)> = names
        .iter()
        .filter_map(|name| Some((name.strip_suffix("_config")?, *name)))
        .filter(|(flag, _)| names.contains(flag))
        // The gateway's own matter, and no flag.
        .filter(|(flag, _)| !["callback", "language"].contains(flag))
        .collect();
    let mut paired: Vec<(&str, &str)> = pairs::names().collect();
    paired.sort_unstable();
    assert_eq!(paired, declared);
}

#[test]
fn the_document_marks_what_is_discontinued_or_deprecated_and_nothing_else() {
    for (name, declared) in schema::properties(schema::options()).unwrap() {
        let branches = schema::branches(declared);
        let is_deprecated = branches.iter().any(|branch| branch["deprecated"] == true);
        let should_be = discontinued::is_discontinued(name) || name == "callback_url";
        assert_eq!(is_deprecated, should_be, "{name}");
    }
}

/// The values of a named enumeration.
fn values(name: &str) -> Vec<&'static str> {
    schema::named(name)["enum"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn the_languages_are_gladias() {
    let listed = "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr \
                  ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc \
                  pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh";
    let listed: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(values("Language"), listed);
    assert_eq!(values("TargetLanguage"), [listed, vec!["wo"]].concat());
}

#[test]
fn the_kinds_of_personal_information_are_gladias() {
    let listed = "APPI APPI_SENSITIVE CCI CORE_ENTITIES CPRA GDPR GDPR_SENSITIVE HEALTH_INFORMATION HIPAA_SAFE_HARBOR \
        LIDI NUMERICAL_EXCL_PCI PCI QUEBEC_PRIVACY_ACT ACCOUNT_NUMBER AGE DATE DATE_INTERVAL DOB \
        DRIVER_LICENSE DURATION EMAIL_ADDRESS EVENT FILENAME GENDER HEALTHCARE_NUMBER IP_ADDRESS LANGUAGE \
        LOCATION LOCATION_ADDRESS LOCATION_ADDRESS_STREET LOCATION_CITY LOCATION_COORDINATE LOCATION_COUNTRY \
        LOCATION_STATE LOCATION_ZIP MARITAL_STATUS MONEY NAME NAME_FAMILY NAME_GIVEN \
        NAME_MEDICAL_PROFESSIONAL NUMERICAL_PII OCCUPATION ORGANIZATION ORGANIZATION_MEDICAL_FACILITY ORIGIN \
        PASSPORT_NUMBER PASSWORD PHONE_NUMBER PHYSICAL_ATTRIBUTE POLITICAL_AFFILIATION RELIGION SEXUALITY \
        SSN TIME URL USERNAME VEHICLE_ID ZODIAC_SIGN BLOOD_TYPE CONDITION DOSE DRUG INJURY MEDICAL_PROCESS \
        STATISTICS BANK_ACCOUNT CREDIT_CARD CREDIT_CARD_EXPIRATION CVV ROUTING_NUMBER CORPORATE_ACTION DAY \
        EFFECT FINANCIAL_METRIC MEDICAL_CODE MONTH ORGANIZATION_ID PRODUCT PROJECT TREND YEAR";
    let listed: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(values("PiiEntityType"), listed);
}
