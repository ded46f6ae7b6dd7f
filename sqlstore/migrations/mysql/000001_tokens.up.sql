-- +goose Up
-- Times are microseconds since 1970 in UTC. Secrets rest sealed: see package seal.
-- Text is VARBINARY and BLOB, so that no collation, no character set of a
-- connection and no padding rule changes or equates values. It is UTF-8:
-- WHERE user_id = 'ann' works, CONVERT(user_id USING utf8mb4) shows it.
CREATE TABLE IF NOT EXISTS codegrant_tokens (
	id              VARBINARY(256)  NOT NULL PRIMARY KEY,
	account_id      VARBINARY(256)  NOT NULL,
	user_id         VARBINARY(1024) NOT NULL,
	wallet          VARBINARY(256)  NOT NULL,
	status          SMALLINT        NOT NULL,
	handled         SMALLINT        NOT NULL,
	revision        BIGINT          NOT NULL,
	token_value     BLOB            NOT NULL,
	fingerprint     VARBINARY(256)  NOT NULL,
	bind_reference  BLOB            NOT NULL,
	auth_url        BLOB            NOT NULL,
	auth_state      BLOB            NOT NULL,
	return_to       BLOB            NOT NULL,
	login_id        BLOB            NOT NULL,
	ended_by        VARBINARY(256)  NOT NULL,
	doubted_at      BIGINT,
	unsettled_since BIGINT,
	created_at      BIGINT          NOT NULL,
	updated_at      BIGINT          NOT NULL,
	KEY codegrant_tokens_by_fingerprint (fingerprint, created_at, id),
	KEY codegrant_tokens_by_user (account_id, user_id, created_at, id),
	KEY codegrant_tokens_unsettled (unsettled_since, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
