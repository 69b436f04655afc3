//! The languages that Gladia transcribes, and those that it translates to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::OptionsPolicy;
use super::check::Checker;
use super::warning::WarningCode;

/// Where languages are named.
pub(super) const LANGUAGE_CONFIG: &str = "language_config";

/// Where they were named for [`ENABLE_CODE_SWITCHING`].
pub(super) const CODE_SWITCHING_CONFIG: &str = "code_switching_config";

/// What switched between languages before `code_switching` did.
pub(super) const ENABLE_CODE_SWITCHING: &str = "enable_code_switching";

/// The languages that are spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LanguageConfig {
    /// The languages that may be spoken. One: that one is used. None or several: Gladia detects which.
    /// Gladia's default is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
    /// Whether the language is detected again at every utterance rather than once, at the first. Needs `languages`, best
    /// 3 to 5 of them; with one, Gladia ignores it. Gladia's default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_switching: Option<bool>,
}

/// Declares the languages once: translation knows those of transcription, and some more.
macro_rules! languages {
    (
        transcribed { $($variant:ident $code:literal $name:literal,)* }
        translated_only { $($more:ident $more_code:literal $more_name:literal,)* }
    ) => {
        /// A language that Gladia transcribes, by its code. Javanese is `jw`, as in Whisper's list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Language {
            $(#[doc = $name] $variant,)*
        }

        /// A language that Gladia translates to, by its code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum TargetLanguage {
            $(#[doc = $name] $variant,)*
            $(#[doc = $more_name] $more,)*
        }

        /// Codes with the English names of their languages.
        const NAMES: &[(&str, &str)] = &[$(($code, $name),)* $(($more_code, $more_name),)*];
    };
}

languages! {
transcribed {
    Af "af" "Afrikaans",
    Am "am" "Amharic",
    Ar "ar" "Arabic",
    As "as" "Assamese",
    Az "az" "Azerbaijani",
    Ba "ba" "Bashkir",
    Be "be" "Belarusian",
    Bg "bg" "Bulgarian",
    Bn "bn" "Bengali",
    Bo "bo" "Tibetan",
    Br "br" "Breton",
    Bs "bs" "Bosnian",
    Ca "ca" "Catalan",
    Cs "cs" "Czech",
    Cy "cy" "Welsh",
    Da "da" "Danish",
    De "de" "German",
    El "el" "Greek",
    En "en" "English",
    Es "es" "Spanish",
    Et "et" "Estonian",
    Eu "eu" "Basque",
    Fa "fa" "Persian",
    Fi "fi" "Finnish",
    Fo "fo" "Faroese",
    Fr "fr" "French",
    Gl "gl" "Galician",
    Gu "gu" "Gujarati",
    Ha "ha" "Hausa",
    Haw "haw" "Hawaiian",
    He "he" "Hebrew",
    Hi "hi" "Hindi",
    Hr "hr" "Croatian",
    Ht "ht" "Haitian Creole",
    Hu "hu" "Hungarian",
    Hy "hy" "Armenian",
    Id "id" "Indonesian",
    Is "is" "Icelandic",
    It "it" "Italian",
    Ja "ja" "Japanese",
    Jw "jw" "Javanese",
    Ka "ka" "Georgian",
    Kk "kk" "Kazakh",
    Km "km" "Khmer",
    Kn "kn" "Kannada",
    Ko "ko" "Korean",
    La "la" "Latin",
    Lb "lb" "Luxembourgish",
    Ln "ln" "Lingala",
    Lo "lo" "Lao",
    Lt "lt" "Lithuanian",
    Lv "lv" "Latvian",
    Mg "mg" "Malagasy",
    Mi "mi" "Maori",
    Mk "mk" "Macedonian",
    Ml "ml" "Malayalam",
    Mn "mn" "Mongolian",
    Mr "mr" "Marathi",
    Ms "ms" "Malay",
    Mt "mt" "Maltese",
    My "my" "Burmese",
    Ne "ne" "Nepali",
    Nl "nl" "Dutch",
    Nn "nn" "Norwegian Nynorsk",
    No "no" "Norwegian",
    Oc "oc" "Occitan",
    Pa "pa" "Punjabi",
    Pl "pl" "Polish",
    Ps "ps" "Pashto",
    Pt "pt" "Portuguese",
    Ro "ro" "Romanian",
    Ru "ru" "Russian",
    Sa "sa" "Sanskrit",
    Sd "sd" "Sindhi",
    Si "si" "Sinhala",
    Sk "sk" "Slovak",
    Sl "sl" "Slovenian",
    Sn "sn" "Shona",
    So "so" "Somali",
    Sq "sq" "Albanian",
    Sr "sr" "Serbian",
    Su "su" "Sundanese",
    Sv "sv" "Swedish",
    Sw "sw" "Swahili",
    Ta "ta" "Tamil",
    Te "te" "Telugu",
    Tg "tg" "Tajik",
    Th "th" "Thai",
    Tk "tk" "Turkmen",
    Tl "tl" "Tagalog",
    Tr "tr" "Turkish",
    Tt "tt" "Tatar",
    Uk "uk" "Ukrainian",
    Ur "ur" "Urdu",
    Uz "uz" "Uzbek",
    Vi "vi" "Vietnamese",
    Yi "yi" "Yiddish",
    Yo "yo" "Yoruba",
    Zh "zh" "Chinese",
}
translated_only {
    Wo "wo" "Wolof",
}
}

/// The code that a caller probably meant: by the language's name (`French`), its standard code where Gladia's differs
/// (`jv`), or its code with a region (`fr-CA`).
pub(super) fn probable_code(found: &str) -> Option<&'static str> {
    let found = found.trim().to_ascii_lowercase().replace('_', "-");
    let base = found.split('-').next().unwrap_or_default();
    let base = match base {
        "jv" => "jw",
        "iw" => "he",
        "nb" => "no",
        "fil" => "tl",
        "cmn" => "zh",
        other => other,
    };
    NAMES
        .iter()
        .find(|(code, name)| *code == base || name.eq_ignore_ascii_case(&found))
        .map(|(code, _)| *code)
}

/// Refuses code switching between all languages that there are, which Gladia warns of, unless the operator accepts it.
pub(super) fn check(body: &Map<String, Value>, policy: OptionsPolicy, checker: &mut Checker) {
    check_discontinued(body, checker);
    let Some(spoken) = spoken(body, LANGUAGE_CONFIG).filter(|_| may_switch(body)) else {
        return;
    };
    match distinct(&spoken) {
        0 if policy.accepts_code_switching_without_languages => checker.warn_at(
            &["language_config", "code_switching"],
            WarningCode::LikelyHarmful,
            "Without `languages`, any language may be found at any utterance, which Gladia warns of: name the 3 to 5 \
             that may be spoken.",
        ),
        0 => checker.report_at(
            &["language_config", "languages"],
            "`code_switching` needs `languages`: without, any language may be found at any utterance, which Gladia \
             warns of. Name the 3 to 5 that may be spoken, or leave `code_switching` out."
                .to_owned(),
        ),
        1 => checker.warn_at(
            &["language_config", "code_switching"],
            WarningCode::NoEffect,
            "With one language, Gladia ignores `code_switching`: name every language that may be spoken, or leave \
             `code_switching` out.",
        ),
        _ => {}
    }
}

/// Warns of the same in the spelling that Gladia has discontinued: it may come to nothing.
fn check_discontinued(body: &Map<String, Value>, checker: &mut Checker) {
    let names_none = |config| spoken(body, config).is_some_and(|languages| languages.is_empty());
    if may_switch_as_before(body)
        && names_none(CODE_SWITCHING_CONFIG)
        && names_none(LANGUAGE_CONFIG)
    {
        checker.warn_at(
            &[ENABLE_CODE_SWITCHING],
            WarningCode::LikelyHarmful,
            "Without languages, any may be found at any utterance, which Gladia warns of: use `language_config` with \
             `code_switching`, and with the 3 to 5 `languages` that may be spoken.",
        );
    }
}

/// Whether code switching is asked for.
pub(super) fn may_switch(body: &Map<String, Value>) -> bool {
    let config = body.get(LANGUAGE_CONFIG);
    config.and_then(|config| config.get("code_switching")) == Some(&Value::Bool(true))
}

/// The same in the spelling that Gladia has discontinued.
pub(super) fn may_switch_as_before(body: &Map<String, Value>) -> bool {
    body.get(ENABLE_CODE_SWITCHING) == Some(&Value::Bool(true))
}

/// The languages that a configuration names, right or wrong; nothing if what stands in their place is no array.
pub(super) fn spoken<'a>(body: &'a Map<String, Value>, config: &str) -> Option<Vec<&'a Value>> {
    let config = body.get(config).unwrap_or(&Value::Null);
    match config.get("languages").unwrap_or(&Value::Null) {
        Value::Null => Some(Vec::new()),
        Value::Array(languages) => Some(languages.iter().collect()),
        _ => None,
    }
}

/// How many languages there are, each counted once, as far as 2.
pub(super) fn distinct(spoken: &[&Value]) -> usize {
    match spoken.split_first() {
        None => 0,
        Some((first, rest)) => 1 + usize::from(rest.iter().any(|other| other != first)),
    }
}
