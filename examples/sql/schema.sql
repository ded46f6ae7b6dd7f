-- The shop's own tables. Times are microseconds since 1970 in UTC. On MySQL and
-- MariaDB each TEXT becomes VARBINARY(1000): see database.go.
CREATE TABLE IF NOT EXISTS shop_users (
	name TEXT NOT NULL PRIMARY KEY,
	id   TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS shop_sessions (
	id_hash  TEXT   NOT NULL PRIMARY KEY,
	user_id  TEXT   NOT NULL,
	name     TEXT   NOT NULL,
	form_key TEXT   NOT NULL,
	ends     BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS shop_orders (
	id             TEXT    NOT NULL PRIMARY KEY,
	user_id        TEXT    NOT NULL,
	sku            TEXT    NOT NULL,
	minor          BIGINT  NOT NULL,
	currency       TEXT    NOT NULL,
	wallet         TEXT    NOT NULL,
	token_id       TEXT    NOT NULL,
	placed_at      BIGINT  NOT NULL,
	state          TEXT    NOT NULL,
	note           TEXT    NOT NULL,
	reconnect      BOOLEAN NOT NULL,
	checking       BOOLEAN NOT NULL,
	gave_up        BOOLEAN NOT NULL,
	refunds        BIGINT  NOT NULL,
	failed_refunds TEXT    NOT NULL,
	UNIQUE (user_id, placed_at, id)
);

CREATE TABLE IF NOT EXISTS shop_news (
	item        TEXT   NOT NULL,
	user_id     TEXT   NOT NULL,
	message     TEXT   NOT NULL,
	happened_at BIGINT NOT NULL
);
