-- The shop's own tables. The two journals have no unique key on purpose: a hook
-- that took effect twice would show as a second row.
CREATE TABLE IF NOT EXISTS shop_orders (
	id       TEXT   NOT NULL PRIMARY KEY,
	user_id  TEXT   NOT NULL,
	minor    BIGINT NOT NULL,
	currency TEXT   NOT NULL,
	state    TEXT   NOT NULL
);

CREATE TABLE IF NOT EXISTS shop_wallet_journal (
	token_id TEXT NOT NULL,
	user_id  TEXT NOT NULL,
	status   TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shop_payment_journal (
	order_id TEXT NOT NULL,
	status   TEXT NOT NULL
);
