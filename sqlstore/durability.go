package sqlstore

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/codegrant/codegrant"
)

// CheckDurability names each setting with which the database may lose a change
// that it has reported as committed. None is a nil slice. It looks at one
// connection of the pool; on SQLite the settings are the connection's own, so
// put them into the connection string.
//
// [Store.Migrate], or else the first use of the store, logs each once.
func (s *Store) CheckDurability(ctx context.Context) ([]string, error) {
	values, err := s.durability(ctx)
	if err != nil {
		return nil, s.wrap(ctx, "check durability", err)
	}
	var weak []string
	report := func(name, value, consequence string) {
		weak = append(weak, fmt.Sprintf("%s is %s: %s", name, value, consequence))
	}
	const mayLose = "a crash of the machine may lose the last commits"
	switch s.dialect {
	case SQLite:
		switch values[0] {
		case "0":
			report("PRAGMA synchronous", "OFF", "a crash of the machine may lose the last commits or damage the file")
		case "1":
			report("PRAGMA synchronous", "NORMAL", mayLose)
		}
		switch mode := strings.ToUpper(values[1]); mode {
		case "OFF", "MEMORY":
			report("PRAGMA journal_mode", mode, "a crash of the process may damage the file")
		}
	case PostgreSQL:
		switch mode := values[0]; mode {
		case "off":
			report("synchronous_commit", mode, mayLose)
		case "local", "remote_write":
			report("synchronous_commit", mode, "losing the primary may lose the last commits in spite of its standbys")
		}
		if values[1] == "off" {
			report("fsync", values[1], "a crash of the machine may damage the database")
		}
	case MySQL:
		// 3 is MariaDB's and flushes like 1.
		if mode := values[0]; mode != "1" && mode != "3" {
			report("innodb_flush_log_at_trx_commit", mode, mayLose)
		}
		if values[1] == "1" && values[2] != "1" {
			report("sync_binlog", values[2], "a crash of the machine may lose the last commits in the binary log")
		}
		cluster, err := s.clusterSettings(ctx)
		if err != nil {
			return weak, err
		}
		// Bit 1 makes reads wait for what other nodes have committed.
		if wait, _ := strconv.Atoi(cluster["wsrep_sync_wait"]); cluster["wsrep_on"] == "ON" && wait&1 == 0 {
			report("wsrep_sync_wait", cluster["wsrep_sync_wait"],
				"another node may not see a sign-up yet when its notification arrives; set it to 1")
		}
	}
	return weak, nil
}

// clusterSettings returns Galera's settings of this session, none without it.
func (s *Store) clusterSettings(ctx context.Context) (map[string]string, error) {
	rows, err := s.db.QueryContext(ctx, galera)
	if err != nil {
		return nil, s.wrap(ctx, "durability", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has told already
	settings := make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		settings[name] = value
	}
	return settings, rows.Err()
}

// durability returns the columns of the query, as texts.
func (s *Store) durability(ctx context.Context) (values [3]string, err error) {
	rows, err := s.db.QueryContext(ctx, s.sql.durability)
	if err != nil {
		return values, err
	}
	defer func() { _ = rows.Close() }() // rows.Err has told already
	columns, err := rows.Columns()
	if err != nil {
		return values, err
	}
	into := []any{&values[0], &values[1], &values[2]}[:len(columns)]
	if rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return values, err
		}
	}
	return values, rows.Err()
}

// warnOnce logs what CheckDurability says, the first time that it is called
// with a live context.
func (s *Store) warnOnce(ctx context.Context) {
	if s.checked.Load() || ctx.Err() != nil || !s.checked.CompareAndSwap(false, true) {
		return
	}
	weak, err := s.CheckDurability(ctx)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "codegrant: the database's durability is not known",
			slog.String("code", string(codegrant.EventDurabilityUnknown)), slog.Any("error", err))
	}
	for _, setting := range weak {
		s.log.LogAttrs(ctx, slog.LevelWarn, "codegrant: the database is set less durable than full",
			slog.String("code", string(codegrant.EventWeakDurability)), slog.String("setting", setting))
	}
}
