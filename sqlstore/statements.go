package sqlstore

import (
	"fmt"
	"strconv"
	"strings"
)

// Every statement of this package stands here or in migrations/, in the form
// that SQLite and MySQL take: with ? for parameters and with the default
// prefix. [statements] adapts them.
//
// They are the plain SQL that distributed databases speaking PostgreSQL's
// protocol accept as well: no advisory lock, no SKIP LOCKED, no extension.
const (
	// fields is every column but the key, in the order of [fieldsOf] and of
	// [scan].
	fields = "account_id, user_id, wallet, status, handled, revision, token_value, fingerprint, " +
		"bind_reference, auth_url, auth_state, return_to, login_id, ended_by, " +
		"doubted_at, unsettled_since, created_at, updated_at"

	// types are PostgreSQL's, of the fields and the key.
	types = "text text text smallint smallint bigint text text text text text text text text " +
		"bigint bigint bigint bigint bytea"

	selectTokens = "SELECT id, " + fields + " FROM codegrant_tokens "

	getToken      = selectTokens + "WHERE id = ?"
	byFingerprint = selectTokens + "WHERE fingerprint = ? ORDER BY created_at DESC, id DESC LIMIT 1"
	byUser        = selectTokens + "WHERE user_id = ? AND " + scopeColumn + " ORDER BY created_at, id"
	scopeColumn   = "account_id = ?"
	// The first condition says again what the second implies, for planners
	// that would not see that the partial index fits.
	unsettled = selectTokens + "WHERE unsettled_since IS NOT NULL AND unsettled_since <= ? " +
		"ORDER BY unsettled_since, id LIMIT ?"
	listTokens = selectTokens + "WHERE id > ? ORDER BY id LIMIT ?"

	// paymentFields is every column but the key, in the order of
	// [paymentFieldsOf]. Only the last one is read back.
	paymentFields = "account_id, order_id, user_id, token_id, wallet, attempt, outcome, amount_minor, currency, " +
		"revision, unsettled_since, created_at, updated_at, record"

	paymentTypes = "text text text text text bigint text bigint text bigint bigint bigint bigint text bytea"

	selectPayments = "SELECT record FROM codegrant_payments "

	getPayment        = selectPayments + "WHERE id = ?"
	unsettledPayments = selectPayments + "WHERE unsettled_since IS NOT NULL AND unsettled_since <= ? " +
		"ORDER BY unsettled_since, id LIMIT ?"

	insertVersion = "INSERT INTO codegrant_migrations (version, applied_at) VALUES (?, ?)"
	schemaVersion = "SELECT COALESCE(MAX(version), 0) FROM codegrant_migrations"
	createVersion = "CREATE TABLE IF NOT EXISTS codegrant_migrations " +
		"(version INTEGER NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)"

	// onConflict makes an insert of an existing key a success that affects no
	// row: an error would abort PostgreSQL's transaction. MySQL has no such
	// clause that does not also hide other failures (INSERT IGNORE) or whose
	// count of rows does not depend on the connection's clientFoundRows (ON
	// DUPLICATE KEY UPDATE), so there it is error 1062 that tells.
	onConflict = " ON CONFLICT (%s) DO NOTHING"
	// forUpdate locks what a transaction reads; SQLite, which has one writer at
	// a time, does not know it and takes its lock by lockDatabase instead.
	forUpdate = " FOR UPDATE"
	// lockTimeout is in milliseconds, and ends with the transaction: that of
	// tooLong. Its end is the error lockNotAvailable.
	lockTimeout      = "SET LOCAL lock_timeout = 500"
	lockNotAvailable = "55P03"
	lockDatabase     = "UPDATE codegrant_tokens SET revision = revision WHERE 1 = 0"

	// On MySQL a deadlock ends the transaction, and what comes after it on the
	// same connection is kept at once. A hook that passes over that error would
	// have its own writes undone and the token saved; the savepoint is gone then,
	// and releasing it before the first save says so.
	setGuard     = "SAVEPOINT codegrant_guard"
	releaseGuard = "RELEASE SAVEPOINT codegrant_guard"

	durabilitySQLite     = "SELECT synchronous, journal_mode FROM pragma_synchronous, pragma_journal_mode"
	durabilityPostgreSQL = "SELECT COALESCE(current_setting('synchronous_commit', true), ''), " +
		"COALESCE(current_setting('fsync', true), '')"
	// galera finds nothing on a server that knows no Galera.
	galera          = "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_sync_wait')"
	durabilityMySQL = "SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"
)

// defaultPrefix begins the name of every table and index in this package's SQL.
const defaultPrefix = "codegrant_"

// statements are the SQL texts of one store.
type statements struct {
	tokens, payments                            writes
	get, byFingerprint, byUser, getPayment      finding
	unsettled, list, unsettledPayments          string
	begun                                       string // first in a transaction; may be empty
	lockTimeout                                 string // first in a batch; may be empty
	releaseGuard                                string // before its first save; may be empty
	durability                                  string
	createVersion, insertVersion, schemaVersion string
}

// writes are the two statements that save a record. Both take the fields and
// the id; the update also the revision that it replaces.
type writes struct {
	insert, update   string
	inserts, updates manyRows // the same for several rows; none on SQLite
	// lock locks, of n ids, those that nobody else has locked, and returns them
	// with their revisions. Nil where updates say which rows they wrote.
	lock func(n int) string
}

func newStatements(d Dialect, prefix string) statements {
	locked, begun, release, durability := forUpdate, "", "", durabilityPostgreSQL
	onConflict := func(key string) string { return fmt.Sprintf(onConflict, key) }
	lockWait := ""
	switch d {
	case SQLite:
		locked, begun, durability = "", lockDatabase, durabilitySQLite
	case PostgreSQL:
		lockWait = lockTimeout
	case MySQL:
		begun, release, durability = setGuard, releaseGuard, durabilityMySQL
		onConflict = func(string) string { return "" }
	}
	adapt := func(text string) string {
		text = withPrefix(text, prefix)
		if d == PostgreSQL {
			text = numbered(text)
		}
		return text
	}
	into := func(table, fields, types string) writes {
		inserts, updates, lock := groupWrites(d, adapt, table, fields, types)
		return writes{
			inserts: inserts, updates: updates, lock: lock,
			insert: adapt("INSERT INTO " + table + " (" + fields + ", id) VALUES (" +
				strings.Repeat("?, ", strings.Count(fields, ",")+1) + "?)" + onConflict("id")),
			update: adapt("UPDATE " + table + " SET " + strings.ReplaceAll(fields, ",", " = ?,") + " = ? " +
				"WHERE id = ? AND revision = ?"),
		}
	}
	return statements{
		tokens: into("codegrant_tokens", fields, types), payments: into("codegrant_payments", paymentFields, paymentTypes),
		get:           newFinding(d, adapt, "get", getToken, "id", locked),
		byFingerprint: newFinding(d, adapt, "by fingerprint", byFingerprint, "fingerprint", locked),
		byUser:        newFinding(d, adapt, "by user", byUser, "user_id", locked),
		getPayment:    newFinding(d, adapt, "get payment", getPayment, "id", locked),
		unsettled:     adapt(unsettled), list: adapt(listTokens), unsettledPayments: adapt(unsettledPayments),
		lockTimeout: lockWait, begun: adapt(begun), releaseGuard: adapt(release),
		durability:    durability,
		createVersion: adapt(createVersion), insertVersion: adapt(insertVersion + onConflict("version")),
		schemaVersion: adapt(schemaVersion),
	}
}

func withPrefix(text, prefix string) string { return strings.ReplaceAll(text, defaultPrefix, prefix) }

// numbered turns each ? into $1, $2 and so on. No statement has a ? of its own.
func numbered(text string) string {
	var b strings.Builder
	for i := 1; ; i++ {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(i))
		text = after
	}
}
