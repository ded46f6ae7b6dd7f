-- +goose Up
-- Times are microseconds since 1970 in UTC. Secrets rest sealed: see package seal.
CREATE TABLE IF NOT EXISTS codegrant_tokens (
	id              TEXT     NOT NULL PRIMARY KEY,
	account_id      TEXT     NOT NULL,
	user_id         TEXT     NOT NULL,
	wallet          TEXT     NOT NULL,
	status          SMALLINT NOT NULL,
	handled         SMALLINT NOT NULL,
	revision        BIGINT   NOT NULL,
	token_value     TEXT     NOT NULL,
	fingerprint     TEXT     NOT NULL,
	bind_reference  TEXT     NOT NULL,
	auth_url        TEXT     NOT NULL,
	auth_state      TEXT     NOT NULL,
	return_to       TEXT     NOT NULL,
	login_id        TEXT     NOT NULL,
	ended_by        TEXT     NOT NULL,
	doubted_at      BIGINT,
	unsettled_since BIGINT,
	created_at      BIGINT   NOT NULL,
	updated_at      BIGINT   NOT NULL
);

CREATE INDEX IF NOT EXISTS codegrant_tokens_by_fingerprint ON codegrant_tokens (fingerprint, created_at, id);

CREATE INDEX IF NOT EXISTS codegrant_tokens_by_user ON codegrant_tokens (account_id, user_id, created_at, id);

CREATE INDEX IF NOT EXISTS codegrant_tokens_unsettled ON codegrant_tokens (unsettled_since, id) WHERE unsettled_since IS NOT NULL;
