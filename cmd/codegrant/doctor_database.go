package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

var errDatabaseURL = errors.New("DATABASE_URL is neither postgres://…, user:password@tcp(host)/db, nor the file of an SQLite database")

// openDatabase opens what DATABASE_URL names. An SQLite file is opened for
// reading only, and never made.
func openDatabase(dsn string) (*sql.DB, sqlstore.Dialect, error) {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, "", errors.New("DATABASE_URL is no connection string of PostgreSQL") // the driver's words may repeat it
		}
		return stdlib.OpenDB(*config), sqlstore.PostgreSQL, nil
	case strings.HasPrefix(dsn, "mysql://"), strings.Contains(dsn, "@tcp("), strings.Contains(dsn, "@unix("):
		config, err := mysqlConfig(dsn)
		if err != nil {
			return nil, "", errors.New("DATABASE_URL is no connection string of MySQL")
		}
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, "", errors.New("DATABASE_URL is no connection string of MySQL")
		}
		return sql.OpenDB(connector), sqlstore.MySQL, nil
	}
	if rest, found := strings.CutPrefix(dsn, "sqlite:"); found {
		dsn = strings.TrimPrefix(rest, "//")
	} else if strings.Contains(dsn, "://") || strings.Contains(dsn, "@") {
		return nil, "", errDatabaseURL
	}
	source, err := readOnlySQLite(dsn)
	if err != nil {
		return nil, "", err
	}
	db, err := sql.Open("sqlite", source)
	return db, sqlstore.SQLite, err
}

// mysqlConfig reads the driver's own form, and the URL that many platforms
// give.
func mysqlConfig(dsn string) (*mysql.Config, error) {
	if !strings.HasPrefix(dsn, "mysql://") {
		return mysql.ParseDSN(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Hostname() == "" {
		return nil, errDatabaseURL
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr, config.DBName = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306")), strings.TrimPrefix(u.Path, "/")
	return config, nil
}

// readOnlySQLite keeps the settings of a connection string, but for the
// write-ahead log: that is the file's own, and switching it on writes.
func readOnlySQLite(dsn string) (string, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	values, err := url.ParseQuery(query)
	if err != nil || path == "" {
		return "", errDatabaseURL
	}
	if path == ":memory:" || values.Get("mode") == "memory" {
		return "", errors.New("an SQLite database in memory forgets every token at the end of the process")
	}
	name, err := url.PathUnescape(path)
	if err != nil || !strings.HasPrefix(dsn, "file:") {
		name = path
	}
	info, err := os.Stat(name) //nolint:gosec // G703: the operator names the file
	if err != nil || info.IsDir() {
		return "", errors.New("there is no such SQLite file")
	}
	var pragmas []string
	for _, pragma := range values["_pragma"] {
		if compact := strings.ToLower(strings.ReplaceAll(pragma, " ", "")); compact != "journal_mode(wal)" && compact != "journal_mode=wal" {
			pragmas = append(pragmas, pragma)
		}
	}
	values["_pragma"] = append(pragmas, "query_only(1)")
	values.Del("_txlock")
	values.Set("mode", "ro")
	source := url.URL{Scheme: "file", Opaque: (&url.URL{Path: name}).EscapedPath(), RawQuery: values.Encode()}
	return source.String(), nil
}

func (d *doctor) checkDatabase(ctx context.Context) {
	dsn := d.getenv("DATABASE_URL")
	if dsn == "" {
		d.warn("database", "Set DATABASE_URL", "it is not given, so it is not checked")
		return
	}
	db, dialect, err := openDatabase(dsn)
	if err != nil {
		d.fail("database", "Correct DATABASE_URL", "%v", err)
		return
	}
	defer func() { _ = db.Close() }() // it was only read
	ctx, cancel := d.limited(ctx)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		d.fail("database", "Look at host, name, user and password in DATABASE_URL", "%s does not answer: %s", dialect, withoutSecrets(err, dsn))
		return
	}
	d.ok("database", "%s answers", dialect)
	store, err := sqlstore.New(db, dialect, sqlstore.Options{TablePrefix: d.options.tablePrefix, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.fail("database", "Correct -table-prefix", "%s", strings.Join(problemsOf(err, ""), "; "))
		return
	}
	d.checkDurability(ctx, store)
	d.checkDatabaseClock(ctx, db, dialect)
	if d.checkSchema(ctx, store) {
		d.checkKeyring(ctx, store)
	}
}

// withoutSecrets is for a driver's words, which may repeat the connection
// string.
func withoutSecrets(err error, dsn string) string {
	text := strings.ReplaceAll(err.Error(), dsn, "[DATABASE_URL]")
	password := ""
	if u, parseErr := url.Parse(dsn); parseErr == nil && u.User != nil {
		password, _ = u.User.Password()
	} else if config, parseErr := mysql.ParseDSN(dsn); parseErr == nil {
		password = config.Passwd
	}
	if password != "" {
		text = strings.ReplaceAll(text, password, "[password]")
	}
	return text
}

func (d *doctor) checkDurability(ctx context.Context, store *sqlstore.Store) {
	weak, err := store.CheckDurability(ctx)
	if err != nil {
		d.warn("durability", "", "not known: %v", err)
		return
	}
	for _, setting := range weak {
		d.warn("durability", "Set it to full, or accept that a lost token must be healed by Kit.Run", "%s", setting)
	}
	if len(weak) == 0 {
		d.ok("durability", "what is committed is kept")
	}
}

// checkSchema reports whether the tables can be read.
func (d *doctor) checkSchema(ctx context.Context, store *sqlstore.Store) bool {
	applied, needed, err := store.SchemaVersion(ctx)
	switch {
	case err != nil:
		d.fail("schema", "Look at the rights of the database's user", "%v", err)
	case applied == 0:
		d.fail("schema", "Run Store.Migrate, or the files of sqlstore.Migrations with your own tool", "the tables are missing, or their version is not recorded")
	case applied < needed:
		d.fail("schema", "Run Store.Migrate before this version serves", "the database has version %d, this codegrant needs %d: migrations are pending", applied, needed)
	case applied > needed:
		d.fail("schema", "Use the codegrant that migrated it, or a newer one", "the database has version %d, this codegrant knows only %d", applied, needed)
	default:
		d.ok("schema", "version %d is current, and nothing is pending", applied)
	}
	return err == nil && applied >= 1 && applied <= needed
}

func (d *doctor) checkDatabaseClock(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) {
	query := ""
	switch dialect {
	case sqlstore.PostgreSQL:
		query = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
	case sqlstore.MySQL:
		query = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"
	default:
		return // SQLite has this machine's
	}
	began := time.Now()
	var millis int64
	if err := db.QueryRowContext(ctx, query).Scan(&millis); err != nil {
		d.warn("clock-database", "", "the database told no time: %T", err)
		return
	}
	d.compareClock("clock-database", "the database", began, time.UnixMilli(millis))
}

// checkKeyring opens records with the keyring that will serve.
func (d *doctor) checkKeyring(ctx context.Context, store *sqlstore.Store) {
	text := d.getenv("CODEGRANT_KEYS")
	records, err := store.List(ctx, "", d.options.sample)
	if err != nil {
		d.fail("keyring", "", "the records cannot be read: %v", err)
		return
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), ":")
	sealed, plain, old := countSeals(records, first)
	switch {
	case text == "" && sealed > 0:
		d.fail("keyring", "Set CODEGRANT_KEYS", "CODEGRANT_KEYS is not set, and %d of %d records are sealed", sealed, len(records))
		return
	case text == "":
		d.warn("keyring", "Wrap the store with package seal and set CODEGRANT_KEYS", "CODEGRANT_KEYS is not set: tokens rest as they are")
		return
	}
	keys, err := seal.ParseKeyring(text)
	if err != nil {
		d.fail("keyring", `Set it to "id:base64", the sealing key first`, "CODEGRANT_KEYS: %s", strings.Join(problemsOf(err, ""), "; "))
		return
	}
	opened, err := seal.New(store, keys, seal.AcceptPlaintext())
	if err != nil {
		d.fail("keyring", "", "%v", err)
		return
	}
	list, ok := opened.(codegrant.ListStore)
	if !ok {
		d.fail("keyring", "", "the sealing store cannot list")
		return
	}
	if _, err := list.List(ctx, "", d.options.sample); err != nil {
		d.fail("keyring", "Put the missing key back, behind the first", "%s", firstSealError(err))
		return
	}
	if plain > 0 {
		d.warn("keyring", "Run seal.Reseal with AcceptPlaintext", "%d of %d records are not sealed", plain, len(records))
	}
	if old > 0 {
		d.warn("keyring", "Run seal.Reseal before an old key is taken out", "%d of %d records are sealed with an older key", old, len(records))
	}
	if plain+old == 0 {
		d.ok("keyring", "it opens all of %d records, up to -sample %d, and all are under its first key", len(records), d.options.sample)
	}
}

// countSeals counts the records with a sealed value, with one in the clear, and
// with one under another key than the first.
func countSeals(records []codegrant.Token, first string) (sealed, plain, old int) {
	for _, t := range records {
		isSealed, isPlain, isOld := false, false, false
		for _, s := range []codegrant.Secret{t.Value, t.Reference, t.LoginID} {
			if s.IsZero() {
				continue
			}
			id, ok := seal.KeyID(s)
			isSealed, isPlain, isOld = isSealed || ok, isPlain || !ok, isOld || (ok && id != first)
		}
		sealed, plain, old = sealed+oneIf(isSealed), plain+oneIf(isPlain), old+oneIf(isOld)
	}
	return sealed, plain, old
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// firstSealError names one record of those that do not open.
func firstSealError(err error) string {
	var broken *seal.Error
	if errors.As(err, &broken) {
		return fmt.Sprintf("record %s does not open: %v", broken.RecordID, broken)
	}
	return err.Error()
}
