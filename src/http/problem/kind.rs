//! The table of every problem.

use axum::http::StatusCode;

/// Every kind of problem. The slug is the stable end of its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    /// The body is no JSON object.
    MalformedJson,
    /// The body's content type is another than the operation takes.
    UnsupportedMediaType,
    /// One or more fields break a rule.
    InvalidRequest,
    /// A query parameter or header breaks a rule.
    InvalidParameter,
    /// The multipart form cannot be read, or its parts are not the ones that belong there.
    InvalidForm,
    /// The file holds nothing.
    EmptyFile,
    /// Gladia refuses the file.
    FileRefused,
    /// No valid API key.
    Unauthorized,
    /// The API key's scope does not include this.
    Forbidden,
    /// There is nothing of that name, or it is another tenant's.
    NotFound,
    /// `audio_url` names a file that this tenant has not uploaded.
    AudioNotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// The transcription's content was deleted.
    TranscriptionDeleted,
    /// Events after the one that the reader has seen last are gone.
    EventCursorExpired,
    /// As many requests wait as may.
    TooManyWaiting,
    /// The transcription has ended, so it cannot be canceled; or it did not end in an error, so it cannot be retried.
    AlreadyEnded,
    /// A retry may be billed a second time, which the caller has not agreed to.
    SecondBillNotAccepted,
    /// A retry may be billed a second time, to which only an operator may agree.
    SecondBillNotAllowed,
    /// There is no result yet, or there never will be one.
    ResultNotReady,
    /// The result is not translated into this language.
    TranslationNotFound,
    /// Gladia failed at the translation.
    TranslationFailed,
    /// The result holds no transcript.
    TranscriptMissing,
    /// Gladia does not have the audio yet.
    AudioNotReady,
    /// The Gladia account has zero data retention: it takes and gives no files.
    ZeroDataRetention,
    /// The attempt's outcome is known, so there is nothing to decide.
    AttemptSettled,
    /// The Gladia job belongs to another attempt.
    GladiaIdTaken,
    /// The delivery is being sent at this moment.
    DeliveryInProgress,
    /// The webhook endpoint is disabled.
    WebhookEndpointDisabled,
    /// The webhook endpoint was deleted.
    WebhookEndpointDeleted,
    /// The event is not kept any more.
    EventExpired,
    /// The tenant has as many webhook endpoints as it may have.
    TooManyWebhookEndpoints,
    /// Another request with this idempotency key is under way.
    IdempotencyKeyInProgress,
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused,
    /// The body is larger than it may be.
    PayloadTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body broke off.
    UploadInterrupted,
    /// Gladia broke off or answered something unexpected.
    UpstreamFailed,
    /// Gladia cannot be reached, or takes nothing at the moment.
    UpstreamUnavailable,
    /// As many streams are open as may be.
    TooManyStreams,
    /// More is asked than can be done.
    Overloaded,
    /// The database cannot be reached.
    DatabaseUnavailable,
    /// A mistake of the gateway's. The last of all: [`ProblemType::ALL`] counts on it.
    Internal,
}

impl ProblemType {
    /// Every kind. It is as long as the last of them says, so one that is added has to stand here too.
    pub const ALL: [Self; Self::Internal as usize + 1] = [
        Self::MalformedJson,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::InvalidParameter,
        Self::InvalidForm,
        Self::EmptyFile,
        Self::FileRefused,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::AudioNotFound,
        Self::MethodNotAllowed,
        Self::TranscriptionDeleted,
        Self::EventCursorExpired,
        Self::TooManyWaiting,
        Self::AlreadyEnded,
        Self::ResultNotReady,
        Self::TranslationNotFound,
        Self::TranslationFailed,
        Self::TranscriptMissing,
        Self::SecondBillNotAccepted,
        Self::SecondBillNotAllowed,
        Self::AudioNotReady,
        Self::ZeroDataRetention,
        Self::AttemptSettled,
        Self::GladiaIdTaken,
        Self::DeliveryInProgress,
        Self::WebhookEndpointDisabled,
        Self::WebhookEndpointDeleted,
        Self::EventExpired,
        Self::TooManyWebhookEndpoints,
        Self::IdempotencyKeyInProgress,
        Self::IdempotencyKeyReused,
        Self::PayloadTooLarge,
        Self::RequestTimeout,
        Self::UploadInterrupted,
        Self::UpstreamFailed,
        Self::UpstreamUnavailable,
        Self::TooManyStreams,
        Self::Overloaded,
        Self::DatabaseUnavailable,
        Self::Internal,
    ];

    /// The end of its `type`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.parts().0
    }

    /// The kind whose `type` ends like this.
    #[must_use]
    pub fn find(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.parts().1
    }

    /// What it is, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.parts().2
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one row a kind; a table split in two is harder to read"
    )]
    pub(super) fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedJson => (
                "malformed-json",
                StatusCode::BAD_REQUEST,
                "The body is no JSON object",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The content type is not supported",
            ),
            Self::InvalidRequest => (
                "invalid-request",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The request breaks a rule",
            ),
            Self::InvalidParameter => (
                "invalid-parameter",
                StatusCode::BAD_REQUEST,
                "A parameter breaks a rule",
            ),
            Self::InvalidForm => (
                "invalid-form",
                StatusCode::BAD_REQUEST,
                "The form cannot be used",
            ),
            Self::EmptyFile => ("empty-file", StatusCode::BAD_REQUEST, "The file is empty"),
            Self::FileRefused => (
                "file-refused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "Gladia refuses the file",
            ),
            Self::Unauthorized => (
                "unauthorized",
                StatusCode::UNAUTHORIZED,
                "A valid API key is needed",
            ),
            Self::Forbidden => (
                "forbidden",
                StatusCode::FORBIDDEN,
                "The API key may not do this",
            ),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Not found"),
            Self::AudioNotFound => (
                "audio-not-found",
                StatusCode::NOT_FOUND,
                "The audio is not found",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed here",
            ),
            Self::TranscriptionDeleted => (
                "transcription-deleted",
                StatusCode::GONE,
                "The transcription was deleted",
            ),
            Self::EventCursorExpired => (
                "event-cursor-expired",
                StatusCode::GONE,
                "The events to go on with are gone",
            ),
            Self::TooManyWaiting => (
                "too-many-waiting",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests wait",
            ),
            Self::AlreadyEnded => (
                "already-ended",
                StatusCode::CONFLICT,
                "The transcription has ended",
            ),
            Self::SecondBillNotAccepted => (
                "second-bill-not-accepted",
                StatusCode::CONFLICT,
                "The retry may be billed twice",
            ),
            Self::SecondBillNotAllowed => (
                "second-bill-not-allowed",
                StatusCode::CONFLICT,
                "The retry may be billed twice",
            ),
            Self::ResultNotReady => (
                "result-not-ready",
                StatusCode::CONFLICT,
                "There is no result",
            ),
            Self::TranslationNotFound => (
                "translation-not-found",
                StatusCode::NOT_FOUND,
                "There is no such translation",
            ),
            Self::TranslationFailed => (
                "translation-failed",
                StatusCode::CONFLICT,
                "The translation failed",
            ),
            Self::TranscriptMissing => (
                "transcript-missing",
                StatusCode::CONFLICT,
                "The result holds no transcript",
            ),
            Self::AudioNotReady => (
                "audio-not-ready",
                StatusCode::CONFLICT,
                "The audio is not available yet",
            ),
            Self::ZeroDataRetention => (
                "zero-data-retention",
                StatusCode::FORBIDDEN,
                "Gladia keeps no files for this account",
            ),
            Self::AttemptSettled => (
                "attempt-settled",
                StatusCode::CONFLICT,
                "The attempt's outcome is known",
            ),
            Self::GladiaIdTaken => (
                "gladia-id-taken",
                StatusCode::CONFLICT,
                "The Gladia job belongs to another attempt",
            ),
            Self::DeliveryInProgress => (
                "delivery-in-progress",
                StatusCode::CONFLICT,
                "The delivery is being sent",
            ),
            Self::WebhookEndpointDisabled => (
                "webhook-endpoint-disabled",
                StatusCode::CONFLICT,
                "The webhook endpoint is disabled",
            ),
            Self::WebhookEndpointDeleted => (
                "webhook-endpoint-deleted",
                StatusCode::CONFLICT,
                "The webhook endpoint was deleted",
            ),
            Self::EventExpired => (
                "event-expired",
                StatusCode::GONE,
                "The event is not kept any more",
            ),
            Self::TooManyWebhookEndpoints => (
                "too-many-webhook-endpoints",
                StatusCode::CONFLICT,
                "There are too many webhook endpoints",
            ),
            Self::IdempotencyKeyInProgress => (
                "idempotency-key-in-progress",
                StatusCode::CONFLICT,
                "A request with this idempotency key is under way",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key belongs to another request",
            ),
            Self::PayloadTooLarge => (
                "payload-too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::RequestTimeout => (
                "request-timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The body did not arrive in time",
            ),
            Self::UploadInterrupted => (
                "upload-interrupted",
                StatusCode::BAD_REQUEST,
                "The body broke off",
            ),
            Self::UpstreamFailed => ("upstream-failed", StatusCode::BAD_GATEWAY, "Gladia failed"),
            Self::UpstreamUnavailable => (
                "upstream-unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Gladia is not available",
            ),
            Self::TooManyStreams => (
                "too-many-streams",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many streams are open",
            ),
            Self::Overloaded => (
                "overloaded",
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway is overloaded",
            ),
            Self::DatabaseUnavailable => (
                "database-unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "The database is not available",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The gateway made a mistake",
            ),
        }
    }
}
