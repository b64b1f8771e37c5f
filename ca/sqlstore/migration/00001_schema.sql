-- +goose Up
-- One schema for SQLite and PostgreSQL. Times are microseconds since 1970 in UTC, 0 for none. Foreign keys are declared so
-- that no row can speak of something that is not there.

CREATE TABLE sequences (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE persons (
    id         BIGINT PRIMARY KEY,
    given_name TEXT NOT NULL,
    surname    TEXT NOT NULL,
    country    TEXT NOT NULL,
    identity   TEXT NOT NULL UNIQUE,
    id_sisc    TEXT UNIQUE
);

CREATE TABLE accounts (
    id         BIGINT PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    password   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    role       TEXT NOT NULL,
    language   TEXT NOT NULL,
    person_id  BIGINT REFERENCES persons (id),
    created_at BIGINT NOT NULL
);

CREATE TABLE attempts (
    key TEXT NOT NULL,
    at  BIGINT NOT NULL
);
CREATE INDEX attempts_by_key ON attempts (key, at);

CREATE TABLE factors (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    purpose    TEXT NOT NULL,
    hash       BYTEA NOT NULL,
    tries      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, purpose)
);

CREATE TABLE terms (
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    version    TEXT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, version)
);

CREATE TABLE enrolments (
    id         TEXT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    person_id  BIGINT NOT NULL REFERENCES persons (id),
    csr_sha256 TEXT NOT NULL UNIQUE,
    spki_sha256 TEXT NOT NULL,
    csr        BYTEA NOT NULL,
    subject    BYTEA NOT NULL,
    terms      TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX enrolments_by_key ON enrolments (spki_sha256);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    enrolment_id TEXT REFERENCES enrolments (id),
    sha256       TEXT UNIQUE,
    expires_at   BIGINT NOT NULL,
    spent_at     BIGINT NOT NULL
);

CREATE TABLE issuers (
    id  TEXT PRIMARY KEY,
    der BYTEA NOT NULL
);

-- What the CA's key was about to sign. A serial number, an enrolment and a key each come here at most once; an abandoned
-- intent keeps its serial number but gives enrolment and key free.
CREATE TABLE intents (
    serial       TEXT PRIMARY KEY,
    enrolment_id TEXT NOT NULL REFERENCES enrolments (id),
    spki_sha256  TEXT NOT NULL,
    tbs          BYTEA NOT NULL,
    issuer_id    TEXT NOT NULL REFERENCES issuers (id),
    person_id    BIGINT NOT NULL REFERENCES persons (id),
    shard        BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    state        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    decided_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX intents_by_enrolment ON intents (enrolment_id) WHERE state <> 'abandoned';
CREATE UNIQUE INDEX intents_by_key ON intents (spki_sha256) WHERE state <> 'abandoned';
CREATE INDEX intents_open ON intents (person_id) WHERE state = 'open';

CREATE TABLE certificates (
    serial       TEXT PRIMARY KEY REFERENCES intents (serial),
    enrolment_id TEXT NOT NULL UNIQUE REFERENCES enrolments (id),
    issuer_id    TEXT NOT NULL REFERENCES issuers (id),
    person_id    BIGINT NOT NULL REFERENCES persons (id),
    account_id   BIGINT NOT NULL REFERENCES accounts (id),
    der          BYTEA NOT NULL,
    spki_sha256  TEXT NOT NULL UNIQUE,
    csr_sha256   TEXT NOT NULL UNIQUE,
    shard        BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    issued_at    BIGINT NOT NULL,
    terms        TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       BIGINT NOT NULL,
    since        BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    held_by      TEXT NOT NULL,
    code         BYTEA NOT NULL,
    code_tries   BIGINT NOT NULL
);
CREATE INDEX certificates_by_person ON certificates (person_id, issued_at);
-- Covers what a CRL needs, so that making one reads no certificate.
CREATE INDEX certificates_listed ON certificates (issuer_id, shard, serial, not_after, reason, revoked_at) WHERE state <> 'active';

CREATE TABLE shards (
    shard   BIGINT PRIMARY KEY,
    changes BIGINT NOT NULL
);

CREATE TABLE crls (
    issuer_id   TEXT NOT NULL,
    shard       BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    changes     BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    der         BYTEA NOT NULL,
    PRIMARY KEY (issuer_id, shard)
);

CREATE TABLE requests (
    ticket     TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    serial     TEXT NOT NULL REFERENCES certificates (serial),
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    reason     TEXT NOT NULL,
    state      TEXT NOT NULL,
    held       BOOLEAN NOT NULL,
    comment    TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE INDEX requests_by_account ON requests (account_id, created_at);
CREATE INDEX requests_open ON requests (serial) WHERE state = 'submitted';

CREATE TABLE documents (
    id         TEXT PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (id),
    name       TEXT NOT NULL,
    mime       TEXT NOT NULL,
    state      TEXT NOT NULL,
    reference  TEXT NOT NULL,
    problem    TEXT NOT NULL,
    detail     TEXT NOT NULL,
    report     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at    BIGINT NOT NULL,
    content    BYTEA NOT NULL,
    signed     BYTEA,
    receipt    BYTEA
);
CREATE INDEX documents_by_account ON documents (account_id, created_at);

CREATE TABLE mail (
    id         BIGINT PRIMARY KEY,
    address    TEXT NOT NULL,
    subject    TEXT NOT NULL,
    text       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at    BIGINT NOT NULL
);
CREATE INDEX mail_by_address ON mail (address, id);
CREATE INDEX mail_unsent ON mail (id) WHERE sent_at = 0;

CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    hash     BYTEA NOT NULL
);

-- +goose Down
DROP TABLE audit;
DROP TABLE mail;
DROP TABLE documents;
DROP TABLE requests;
DROP TABLE crls;
DROP TABLE shards;
DROP TABLE certificates;
DROP TABLE intents;
DROP TABLE issuers;
DROP TABLE tokens;
DROP TABLE enrolments;
DROP TABLE terms;
DROP TABLE factors;
DROP TABLE attempts;
DROP TABLE accounts;
DROP TABLE persons;
DROP TABLE sequences;
