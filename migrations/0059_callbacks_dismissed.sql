SET LOCAL lock_timeout = '5s';

-- When an operator said that nobody needs a callback which is kept without having been carried out. From then on it is neither
-- listed nor counted; its body stays for as long as its job's content does, and it can be tried again. Once that succeeds, this
-- says nothing any more.
ALTER TABLE callbacks ADD COLUMN dismissed_at timestamptz;
