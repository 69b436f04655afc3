ALTER TABLE jobs VALIDATE CONSTRAINT jobs_batch;
ALTER TABLE jobs VALIDATE CONSTRAINT jobs_batch_index;
ALTER TABLE idempotency_keys VALIDATE CONSTRAINT idempotency_keys_batch;
ALTER TABLE idempotency_keys VALIDATE CONSTRAINT idempotency_keys_complete;
ALTER TABLE callbacks VALIDATE CONSTRAINT callbacks_result_frame;
