package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/codegrant/codegrant/sqlstore"
)

// fill stores n tokens as fast as it can: without the indexes, which are made
// again at the end, and without durability.
func (s *session) fill(ctx context.Context, d database, n int) error {
	fast := d
	if d.dialect == sqlstore.SQLite {
		fast.dsn += "&_pragma=synchronous(off)&_pragma=cache_size(-200000)&_pragma=temp_store(file)"
	}
	db, _, err := fast.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if d.dialect == sqlstore.PostgreSQL {
		// The log of a table that is dropped again would only fill the disk.
		if _, err := conn.ExecContext(ctx, "ALTER TABLE codegrant_tokens SET UNLOGGED"); err != nil {
			return err
		}
	}
	indexes, err := dropIndexes(ctx, conn, d.dialect)
	if err != nil {
		return err
	}
	if d.dialect == sqlstore.PostgreSQL {
		err = fillPostgreSQL(ctx, conn, n)
	} else {
		err = fillSQLite(ctx, conn, n)
	}
	if err != nil {
		return err
	}
	if d.dialect == sqlstore.PostgreSQL {
		indexes = append(indexes, "ANALYZE") // as it does on its own after a while; SQLite does not
	}
	for _, statement := range indexes {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// dropIndexes returns the statements that make them again.
func dropIndexes(ctx context.Context, conn *sql.Conn, d sqlstore.Dialect) ([]string, error) {
	query := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'codegrant_tokens' AND sql IS NOT NULL"
	if d == sqlstore.PostgreSQL {
		query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'codegrant_tokens' AND indexname NOT LIKE '%_pkey'"
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var names, creations []string
	for rows.Next() {
		var name, creation string
		if err := rows.Scan(&name, &creation); err != nil {
			return nil, err
		}
		names, creations = append(names, name), append(creations, creation)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there are no indexes")
	}
	return creations, nil
}

func fillPostgreSQL(ctx context.Context, conn *sql.Conn, n int) error {
	return conn.Raw(func(driver any) error {
		_, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"codegrant_tokens"},
			append(strings.Split(bareFields, ", "), "id"), pgx.CopyFromSlice(n, func(i int) ([]any, error) {
				t := stored(i)
				return append(bareValues(t), []byte(t.ID)), nil
			}))
		return err
	})
}

func fillSQLite(ctx context.Context, conn *sql.Conn, n int) error {
	const most = 100 // rows in a statement
	columns := strings.Count(bareFields, ",") + 2
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	text := func(rows int) string {
		return "INSERT INTO codegrant_tokens (" + bareFields + ", id) VALUES " + row + strings.Repeat(", "+row, rows-1)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	insert, err := tx.PrepareContext(ctx, text(most))
	if err != nil {
		return err
	}
	args := make([]any, 0, most*columns)
	for i := 0; i < n; {
		args = args[:0]
		rows := min(most, n-i)
		for range rows {
			t := stored(i)
			args = append(append(args, bareValues(t)...), t.ID)
			i++
		}
		if rows == most {
			_, err = insert.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, text(rows), args...)
		}
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
