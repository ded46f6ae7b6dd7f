// Package sqlstore keeps tokens and payments in SQLite, PostgreSQL or MySQL
// through database/sql. It imports no driver: bring your own.
//
// A change that was reported as saved is kept, as durably as the database is
// set up to keep it; a database that is set weaker than full is named in the
// log. What a hook writes through [Tx] is kept together with the token's
// change, or neither is; the same goes for a payment's, where Config.Payments
// is a [Store].
//
// # Secrets
//
// A store refuses to save a token value, a reference or a login id in the
// clear ([ErrPlaintext]): wrap it with package seal, or say AllowPlaintext.
// A payment's record holds no credential: Config.Payments is the store itself,
// without a seal around it. Values are bound as parameters, and an error's text carries the database's
// code but never the database's words, which may repeat values.
//
// # Schema
//
// [Store.Migrate] makes the tables. It may run in any number of processes at
// once and be killed at any moment. Those who run a migration tool of their own
// get the same files from [Migrations].
//
// # Clusters
//
// A Galera cluster may be written to on all nodes. Set wsrep_sync_wait=1 in the
// connection string: without it a node may not know a record yet that another
// has saved.
//
// # Drivers
//
// Tested with github.com/jackc/pgx/v5/stdlib, github.com/go-sql-driver/mysql
// and modernc.org/sqlite. No setting of the connection string is needed.
// Recommended are, for SQLite, journal_mode WAL and a busy_timeout; for MySQL,
// the isolation READ COMMITTED, without which a save that waits for a locked
// record can keep new records next to it waiting, and, where its charset is
// UTF-8, the driver's interpolateParams, which saves a round trip.
package sqlstore

import (
	"database/sql"
	"log/slog"
	"regexp"
	"sync/atomic"

	"github.com/codegrant/codegrant"
)

// Dialect is the SQL that a database speaks. The zero Dialect is none.
type Dialect string

// The dialects.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgresql" // and databases that are compatible with it
	MySQL      Dialect = "mysql"      // MySQL 8 and MariaDB
)

const (
	// ErrNotMigrated: the tables are missing or older than this package. Run
	// [Store.Migrate].
	ErrNotMigrated codegrant.Code = "not_migrated"
	// ErrSchemaTooNew: a later version of this package has migrated the
	// database. [Store.Migrate] changed nothing.
	ErrSchemaTooNew codegrant.Code = "schema_too_new"
	// ErrPlaintext: a secret was to be saved in the clear. Nothing was written.
	ErrPlaintext codegrant.Code = "plaintext"
)

// Options are the settings of a [Store]; the zero value is a good one.
type Options struct {
	// TablePrefix begins the name of every table and index. Empty means
	// "codegrant_". It is lower-case letters, digits and underscores, at most
	// 32, and begins with no digit.
	TablePrefix string
	// AllowPlaintext lets token values, references and login ids rest
	// unencrypted: whoever reads the database or one of its backups can then
	// charge the merchant's users. For tests, or where something below the
	// store encrypts.
	AllowPlaintext bool
	// Logger gets the warnings about durability and the migrations that were
	// applied. Nil means [slog.Default].
	Logger *slog.Logger
}

// Store is a [codegrant.TokenStore], a [codegrant.TxStore], a
// [codegrant.ListStore] and a [codegrant.PaymentStore]. It is safe for concurrent use and needs no closing;
// the *sql.DB stays the caller's.
//
// Called with the context that [Store.InTx] gives, its methods take part in
// that transaction.
type Store struct {
	db      *sql.DB
	dialect Dialect
	prefix  string
	plain   bool
	log     *slog.Logger
	sql     statements
	checked atomic.Bool // the durability was looked at
	// tokens and payments gather what is saved outside of transactions, and the
	// others what is looked for.
	tokens, payments            *group
	byID, byUser, byFingerprint *lookups[codegrant.Token]
	paymentByID                 *lookups[codegrant.Payment]
	// prepared are the statements that were run before.
	prepared *prepared
	// writer is held by whoever writes to SQLite, which has one writer at a
	// time: a queue is fair and quick where SQLite's polling is neither. Nil for
	// other databases.
	writer chan struct{}
}

var (
	_ codegrant.TxStore      = (*Store)(nil)
	_ codegrant.ListStore    = (*Store)(nil)
	_ codegrant.PaymentStore = (*Store)(nil)
	_ codegrant.PaymentStore = inTx{}
)

// New returns a store on db. It does not touch the database. Make one for the
// life of db: on SQLite and MySQL its prepared statements end with db. The error
// is a [*codegrant.ConfigError].
func New(db *sql.DB, d Dialect, o Options) (*Store, error) {
	var problems []string
	if db == nil {
		problems = append(problems, "db is missing")
	}
	if d != SQLite && d != PostgreSQL && d != MySQL {
		problems = append(problems, "the dialect must be SQLite, PostgreSQL or MySQL")
	}
	if o.TablePrefix == "" {
		o.TablePrefix = defaultPrefix
	}
	if !regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`).MatchString(o.TablePrefix) {
		problems = append(problems, "TablePrefix must be at most 32 of a-z, 0-9 and _, and begin with no digit")
	}
	if len(problems) > 0 {
		return nil, &codegrant.ConfigError{Problems: problems}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Store{
		db: db, dialect: d, prefix: o.TablePrefix, plain: o.AllowPlaintext,
		log: o.Logger, sql: newStatements(d, o.TablePrefix), prepared: newPrepared(db, d),
	}
	s.tokens = newGroup(s, "save", s.sql.tokens)
	s.payments = newGroup(s, savePayment, s.sql.payments)
	s.byID = newLookups(s, s.sql.get, scan, tokenID, oldestFirst)
	s.byUser = newLookups(s, s.sql.byUser, scan, tokenUser, oldestFirst)
	s.byFingerprint = newLookups(s, s.sql.byFingerprint, scan, tokenFingerprint, newestFirst)
	s.paymentByID = newLookups(s, s.sql.getPayment, scanPayment,
		func(p codegrant.Payment) string { return p.ID }, func(codegrant.Payment, codegrant.Payment) int { return 0 })
	if d == SQLite {
		s.writer = make(chan struct{}, 1)
	}
	return s, nil
}
