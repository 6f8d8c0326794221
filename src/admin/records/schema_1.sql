-- Times are milliseconds since 1970. No password, and nothing that a password could be found out from, stands here.
CREATE TABLE users (
    user_id        TEXT    NOT NULL PRIMARY KEY,
    -- The forge's number for the account; none while its creation is under way.
    forge_id       INTEGER UNIQUE,
    -- The forge's name of the moment in small letters; none where somebody else has that name by now.
    name_key       TEXT    UNIQUE,
    username       TEXT    NOT NULL,
    first_username TEXT    NOT NULL,
    display_name   TEXT    NOT NULL,
    email          TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('creating', 'active', 'suspended', 'vanished')),
    created_at     INTEGER NOT NULL,
    -- When an initial password was handed out last.
    password_at    INTEGER,
    last_activity  INTEGER,
    -- When the forge was asked last.
    checked_at     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX users_by_creation ON users (created_at);
CREATE INDEX users_by_activity ON users (last_activity);

CREATE TABLE vms (
    vm_id       TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL REFERENCES users (user_id),
    url         TEXT,
    assigned_at INTEGER NOT NULL
) STRICT;
CREATE INDEX vms_of_user ON vms (user_id);

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    caller     TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    user_id    TEXT,
    target     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    request_id TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_of_user ON audit (user_id, id);
-- What was done stays written down.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the trail is not changed'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the trail is not shortened'); END;

-- API keys by their hash: they are random, so that nobody finds one by its hash.
CREATE TABLE keys (
    key_id     TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT;
