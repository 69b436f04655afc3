//! The closed lists of values.

/// Models that transcribe.
pub const MODELS: &[&str] = &["solaria-1", "solaria-3", "solaria-fusion"];

/// Languages that can be spoken.
#[rustfmt::skip]
pub(super) const LANGUAGES: &[&str] = &[
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs", "cy", "da", "de", "el", "en",
    "es", "et", "eu", "fa", "fi", "fo", "fr", "gl", "gu", "ha", "haw", "he", "hi", "hr", "ht", "hu", "hy", "id", "is",
    "it", "ja", "jw", "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk", "ml", "mn",
    "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps", "pt", "ro", "ru", "sa", "sd", "si", "sk",
    "sl", "sn", "so", "sq", "sr", "su", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz",
    "vi", "yi", "yo", "zh",
];

/// The one language that is translated to but not understood.
pub(super) const TARGET_ONLY: &str = "wo";

/// What can be redacted.
#[rustfmt::skip]
pub(super) const ENTITY_TYPES: &[&str] = &[
    "APPI", "APPI_SENSITIVE", "CCI", "CORE_ENTITIES", "CPRA", "GDPR", "GDPR_SENSITIVE", "HEALTH_INFORMATION",
    "HIPAA_SAFE_HARBOR", "LIDI", "NUMERICAL_EXCL_PCI", "PCI", "QUEBEC_PRIVACY_ACT", "ACCOUNT_NUMBER", "AGE", "DATE",
    "DATE_INTERVAL", "DOB", "DRIVER_LICENSE", "DURATION", "EMAIL_ADDRESS", "EVENT", "FILENAME", "GENDER",
    "HEALTHCARE_NUMBER", "IP_ADDRESS", "LANGUAGE", "LOCATION", "LOCATION_ADDRESS", "LOCATION_ADDRESS_STREET",
    "LOCATION_CITY", "LOCATION_COORDINATE", "LOCATION_COUNTRY", "LOCATION_STATE", "LOCATION_ZIP", "MARITAL_STATUS",
    "MONEY", "NAME", "NAME_FAMILY", "NAME_GIVEN", "NAME_MEDICAL_PROFESSIONAL", "NUMERICAL_PII", "OCCUPATION",
    "ORGANIZATION", "ORGANIZATION_MEDICAL_FACILITY", "ORIGIN", "PASSPORT_NUMBER", "PASSWORD", "PHONE_NUMBER",
    "PHYSICAL_ATTRIBUTE", "POLITICAL_AFFILIATION", "RELIGION", "SEXUALITY", "SSN", "TIME", "URL", "USERNAME",
    "VEHICLE_ID", "ZODIAC_SIGN", "BLOOD_TYPE", "CONDITION", "DOSE", "DRUG", "INJURY", "MEDICAL_PROCESS", "STATISTICS",
    "BANK_ACCOUNT", "CREDIT_CARD", "CREDIT_CARD_EXPIRATION", "CVV", "ROUTING_NUMBER", "CORPORATE_ACTION", "DAY",
    "EFFECT", "FINANCIAL_METRIC", "MEDICAL_CODE", "MONTH", "ORGANIZATION_ID", "PRODUCT", "PROJECT", "TREND", "YEAR",
];

/// Options that are switched on by a plain boolean.
pub const FLAGS: &[&str] = &[
    "callback",
    "custom_spelling",
    "subtitles",
    "diarization",
    "translation",
    "summarization",
    "named_entity_recognition",
    "sentiment_analysis",
    "audio_to_llm",
    "pii_redaction",
    "sentences",
    "punctuation_enhanced",
];

/// All other current options.
pub(super) const OTHERS: &[&str] = &[
    "audio_url",
    "model",
    "language_config",
    "custom_vocabulary",
    "custom_vocabulary_config",
    "custom_spelling_config",
    "callback_config",
    "callback_url",
    "subtitles_config",
    "diarization_config",
    "translation_config",
    "summarization_config",
    "audio_to_llm_config",
    "pii_redaction_config",
    "custom_metadata",
];

/// Flags that the echo still lists although they were discontinued or never documented.
pub const ECHOED_FLAGS: &[&str] = &[
    "moderation",
    "display_mode",
    "audio_enhancer",
    "chapterization",
    "name_consistency",
    "diarization_enhanced",
    "enable_code_switching",
    "accurate_words_timestamps",
    "skip_channel_deduplication",
    "structured_data_extraction",
];
