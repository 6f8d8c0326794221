-- Times are milliseconds since 1970. What is secret is in `sealed`; keys are hashes.
CREATE TABLE sessions (
    key        BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    account    BLOB    NOT NULL CHECK (length(account) = 32),
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE grants (
    account    BLOB    NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;
CREATE INDEX grants_by_end ON grants (expires_at);

-- Who may refresh an account's grant at the moment.
CREATE TABLE leases (
    account BLOB    NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    holder  BLOB    NOT NULL CHECK (length(holder) = 16),
    until   INTEGER NOT NULL
) STRICT;
CREATE INDEX leases_by_end ON leases (until);

-- What may be used once only, such as the state of a sign-in.
CREATE TABLE claims (
    once  BLOB    NOT NULL PRIMARY KEY CHECK (length(once) = 32),
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX claims_by_end ON claims (until);

-- One row that is written to find out whether the store can be written.
CREATE TABLE heartbeat (id INTEGER PRIMARY KEY CHECK (id = 1), beats INTEGER NOT NULL) STRICT;
INSERT INTO heartbeat (id, beats) VALUES (1, 0);
