SET LOCAL lock_timeout = '5s';

-- The file that an erased job has used, until Gladia's copies of the job are deleted: the file may go with them, so they wait for
-- others that need it. No reference: the file's own row may go before.
ALTER TABLE jobs ADD COLUMN erased_upload_id uuid;
