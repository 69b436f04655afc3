-- Files that went through the gateway to Gladia. A row ties Gladia's file URL to the tenant that may use it.
CREATE TABLE uploads (
    id                     uuid PRIMARY KEY,
    tenant_id              uuid NOT NULL REFERENCES tenants,
    -- Gladia's own URL of the file. It opens the file for the whole account, so each tenant may use its own ones only.
    audio_url              text NOT NULL,
    -- Uploaded by itself, for use in several jobs; else it came with a job and goes with it.
    is_standalone          boolean NOT NULL,
    filename               text NOT NULL,
    extension              text,
    size_bytes             bigint NOT NULL CHECK (size_bytes > 0),
    sha256                 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    -- As Gladia reported them.
    audio_duration_seconds double precision,
    number_of_channels     integer,
    created_at             timestamptz NOT NULL DEFAULT gateway_now(),
    -- Should Gladia ever give two uploads of a tenant one URL, they are one.
    CONSTRAINT uploads_audio_url UNIQUE (audio_url, tenant_id)
);
