//! Personal information that is taken out of the transcript.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is redacted, and what stands in its place. The text of the result itself is redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PiiRedactionConfig {
    /// What to redact: kinds of entities, and sets of them such as `GDPR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_types: Option<Vec<PiiEntityType>>,
    /// What stands in place of redacted text. Gladia's default is `MARKER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed_text_type: Option<ProcessedTextType>,
}

/// What stands in place of redacted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessedTextType {
    /// The kind of entity with a number: `[NAME_1]`.
    Marker,
    /// One `#` for each character.
    Mask,
}

/// A kind of entity to redact, or a set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PiiEntityType {
    /// Everything personal under Japan's APPI.
    Appi,
    /// What Japan's APPI calls sensitive.
    AppiSensitive,
    /// Confidential company information.
    Cci,
    /// The core set of entities.
    CoreEntities,
    /// Everything personal under California's CPRA.
    Cpra,
    /// Everything personal under the European Union's GDPR.
    Gdpr,
    /// What the European Union's GDPR calls special categories.
    GdprSensitive,
    /// Health information.
    HealthInformation,
    /// The identifiers of the United States' HIPAA Safe Harbor.
    HipaaSafeHarbor,
    /// The set that Gladia names LIDI.
    Lidi,
    /// Numbers, payment card data excepted.
    NumericalExclPci,
    /// Payment card data.
    Pci,
    /// Everything personal under Quebec's privacy act.
    QuebecPrivacyAct,
    /// Account number.
    AccountNumber,
    /// Age.
    Age,
    /// Date.
    Date,
    /// Date interval.
    DateInterval,
    /// Date of birth.
    Dob,
    /// Driver license.
    DriverLicense,
    /// Duration.
    Duration,
    /// Email address.
    EmailAddress,
    /// Event.
    Event,
    /// Filename.
    Filename,
    /// Gender.
    Gender,
    /// Healthcare number.
    HealthcareNumber,
    /// IP address.
    IpAddress,
    /// Language.
    Language,
    /// Location.
    Location,
    /// Location address.
    LocationAddress,
    /// Location address street.
    LocationAddressStreet,
    /// Location city.
    LocationCity,
    /// Location coordinate.
    LocationCoordinate,
    /// Location country.
    LocationCountry,
    /// Location state.
    LocationState,
    /// Location zip.
    LocationZip,
    /// Marital status.
    MaritalStatus,
    /// Money.
    Money,
    /// Name.
    Name,
    /// Name family.
    NameFamily,
    /// Name given.
    NameGiven,
    /// Name medical professional.
    NameMedicalProfessional,
    /// Numerical pii.
    NumericalPii,
    /// Occupation.
    Occupation,
    /// Organization.
    Organization,
    /// Organization medical facility.
    OrganizationMedicalFacility,
    /// Origin.
    Origin,
    /// Passport number.
    PassportNumber,
    /// Password.
    Password,
    /// Phone number.
    PhoneNumber,
    /// Physical attribute.
    PhysicalAttribute,
    /// Political affiliation.
    PoliticalAffiliation,
    /// Religion.
    Religion,
    /// Sexuality.
    Sexuality,
    /// Social security number.
    Ssn,
    /// Time.
    Time,
    /// Web address.
    Url,
    /// Username.
    Username,
    /// Vehicle id.
    VehicleId,
    /// Zodiac sign.
    ZodiacSign,
    /// Blood type.
    BloodType,
    /// Condition.
    Condition,
    /// Dose.
    Dose,
    /// Drug.
    Drug,
    /// Injury.
    Injury,
    /// Medical process.
    MedicalProcess,
    /// Statistics.
    Statistics,
    /// Bank account.
    BankAccount,
    /// Credit card.
    CreditCard,
    /// Credit card expiration.
    CreditCardExpiration,
    /// Card verification value.
    Cvv,
    /// Routing number.
    RoutingNumber,
    /// Corporate action.
    CorporateAction,
    /// Day.
    Day,
    /// Effect.
    Effect,
    /// Financial metric.
    FinancialMetric,
    /// Medical code.
    MedicalCode,
    /// Month.
    Month,
    /// Organization id.
    OrganizationId,
    /// Product.
    Product,
    /// Project.
    Project,
    /// Trend.
    Trend,
    /// Year.
    Year,
}
