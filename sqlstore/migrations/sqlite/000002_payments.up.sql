-- +goose Up
-- One row per order. record is the whole of it, as JSON, and all that is read
-- back. The other columns are copies for queries of your own. Change neither.
-- Times are microseconds since 1970 in UTC. There is no credential in it.
-- Nothing in this package looks for an order or a user here, so no index costs
-- every charge its time: add one if you search by them.
CREATE TABLE IF NOT EXISTS codegrant_payments (
	id              TEXT   NOT NULL PRIMARY KEY,
	account_id      TEXT   NOT NULL,
	order_id        TEXT   NOT NULL,
	user_id         TEXT   NOT NULL,
	token_id        TEXT   NOT NULL,
	wallet          TEXT   NOT NULL,
	attempt         BIGINT NOT NULL,
	outcome         TEXT   NOT NULL,
	amount_minor    BIGINT NOT NULL,
	currency        TEXT   NOT NULL,
	revision        BIGINT NOT NULL,
	unsettled_since BIGINT,
	created_at      BIGINT NOT NULL,
	updated_at      BIGINT NOT NULL,
	record          TEXT   NOT NULL
);

CREATE INDEX IF NOT EXISTS codegrant_payments_unsettled ON codegrant_payments (unsettled_since, id) WHERE unsettled_since IS NOT NULL;
