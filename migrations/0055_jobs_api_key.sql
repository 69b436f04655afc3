SET LOCAL lock_timeout = '300ms';

-- As with events: whose key it is was read from `api_keys`.
ALTER TABLE jobs DROP CONSTRAINT jobs_api_key_id_fkey;
