-- +goose Up
-- One row per order. record is the whole of it, as JSON, and all that is read
-- back. The other columns are copies for queries of your own. Change neither.
-- Times are microseconds since 1970 in UTC. There is no credential in it.
-- Nothing in this package looks for an order or a user here, so no index costs
-- every charge its time: add one if you search by them.
-- Text is VARBINARY and BLOB, as in codegrant_tokens. record is UTF-8 as well.
CREATE TABLE IF NOT EXISTS codegrant_payments (
	id              VARBINARY(256)  NOT NULL PRIMARY KEY,
	account_id      VARBINARY(256)  NOT NULL,
	order_id        VARBINARY(256)  NOT NULL,
	user_id         VARBINARY(1024) NOT NULL,
	token_id        VARBINARY(256)  NOT NULL,
	wallet          VARBINARY(256)  NOT NULL,
	attempt         BIGINT          NOT NULL,
	outcome         VARBINARY(256)  NOT NULL,
	amount_minor    BIGINT          NOT NULL,
	currency        VARBINARY(256)  NOT NULL,
	revision        BIGINT          NOT NULL,
	unsettled_since BIGINT,
	created_at      BIGINT          NOT NULL,
	updated_at      BIGINT          NOT NULL,
	record          MEDIUMBLOB      NOT NULL,
	KEY codegrant_payments_unsettled (unsettled_since, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
