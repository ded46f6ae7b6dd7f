package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
)

// errNothingKept: a batch was rolled back because of one of its rows, so that
// each may be tried on its own.
var errNothingKept = errors.New("sqlstore: nothing of the batch was kept")

// saveAll saves a batch in one commit, and says which records were refused
// because of their revision.
func (s *Store) saveAll(ctx context.Context, op string, into writes, batch []*saving) ([]bool, error) {
	s.warnOnce(ctx)
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, s.wrap(ctx, op, err)
	}
	defer leave()
	var refused []bool
	err = again(ctx, patience, func() (err error) {
		refused, err = s.saveBatch(ctx, into, batch)
		return err
	}, s.dialect.lost)
	if errors.Is(err, errNothingKept) {
		return nil, errNothingKept
	}
	return refused, s.wrap(ctx, op, err)
}

func (s *Store) saveBatch(ctx context.Context, into writes, batch []*saving) ([]bool, error) {
	tx, err := s.db.BeginTx(ctx, s.txOptions())
	if err != nil {
		return nil, err
	}
	panicked := true // rolling back would then wait for the driver for ever
	defer func() {
		if !panicked {
			_ = tx.Rollback()
		}
	}()
	refused := make([]bool, len(batch))
	if s.dialect == SQLite {
		err = s.eachRow(ctx, tx, into, batch, refused)
	} else {
		err = s.manyRows(ctx, tx, into, batch, refused)
	}
	panicked = false
	switch {
	case err == nil:
		return refused, tx.Commit()
	case s.dialect.codeOf(err) != "" && !s.dialect.lost(err):
		return nil, errors.Join(errNothingKept, err)
	}
	return nil, err
}

// eachRow runs one statement a row: without a server that is the fastest.
func (s *Store) eachRow(ctx context.Context, tx *sql.Tx, into writes, batch []*saving, refused []bool) error {
	if _, err := tx.ExecContext(ctx, s.sql.begun); err != nil {
		return err
	}
	for i, row := range batch {
		query, args := into.one(row.revision, row.args)
		result, err := onTx{s.prepared, tx}.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		refused[i] = n != 1
	}
	return nil
}

// manyRows runs as few statements as it can, for each costs a round trip.
func (s *Store) manyRows(ctx context.Context, tx *sql.Tx, into writes, batch []*saving, refused []bool) error {
	var inserts, updates []int
	for i, row := range batch {
		if row.revision == 1 {
			inserts = append(inserts, i)
		} else {
			updates = append(updates, i)
		}
	}
	for _, kind := range []struct {
		text manyRows
		rows []int
	}{{into.inserts, inserts}, {into.updates, updates}} {
		for rows := kind.rows; len(rows) > 0; {
			n, query := kind.text.most(len(rows))
			if err := s.rows(ctx, onTx{s.prepared, tx}, query, kind.text.affected, batch, rows[:n], refused); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

func (s *Store) rows(
	ctx context.Context, tx onTx, query string, affected int, batch []*saving, which []int, refused []bool,
) error {
	var args []any
	for _, i := range which {
		args = append(args, batch[i].args...)
	}
	if affected == 0 {
		return returning(ctx, tx, query, args, batch, which, refused)
	}
	result, err := tx.ExecContext(ctx, query, args...)
	if s.dialect.classify(err) == duplicate {
		return errNothingKept
	}
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != int64(affected*len(which)) {
		return errNothingKept // MySQL does not say which
	}
	return err
}

// returning runs a statement that returns the ids of the rows it wrote.
func returning(
	ctx context.Context, tx onTx, query string, args []any, batch []*saving, which []int, refused []bool,
) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has told already
	written := make(map[string]bool, len(which))
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return err
		}
		written[string(id)] = true
	}
	for _, i := range which {
		refused[i] = !written[batch[i].id]
	}
	return rows.Err()
}

// manyRows is a statement that writes several rows: the text for 1, 2, 4 and so
// on up to mostRows of them, made when it is first needed.
type manyRows struct {
	texts []func() string
	// affected is what a written row counts for in RowsAffected; with 0 the
	// statement returns the ids instead.
	affected int
}

func newManyRows(affected int, text func(n int) string) manyRows {
	m := manyRows{affected: affected}
	for n := 1; n <= mostRows; n *= 2 {
		m.texts = append(m.texts, sync.OnceValue(func() string { return text(n) }))
	}
	return m
}

// most returns the text for the most rows, of n, that there is a text for.
func (m manyRows) most(n int) (int, string) {
	rows, i := 1, 0
	for 2*rows <= n && i+1 < len(m.texts) {
		rows, i = 2*rows, i+1
	}
	return rows, m.texts[i]()
}

// groupWrites returns the statements of a batch. types are those of
// PostgreSQL, for the fields and the id.
func groupWrites(d Dialect, adapt func(string) string, table, fields, types string) (inserts, updates manyRows) {
	columns := fields + ", id"
	values := func(n int, row string) string { return strings.TrimSuffix(strings.Repeat(row+", ", n), ", ") }
	marks := "(" + strings.TrimSuffix(strings.Repeat("?, ", strings.Count(columns, ",")+1), ", ") + ")"
	set := func(value func(name string) string) string {
		var set []string
		last := ""
		for name := range strings.SplitSeq(fields, ", ") {
			if name == "revision" { // MySQL assigns from left to right
				last = name + " = " + value(name)
				continue
			}
			set = append(set, name+" = "+value(name))
		}
		return strings.Join(append(set, last), ", ")
	}
	switch d {
	case PostgreSQL:
		// The types of the first row are those of all.
		typed := "(?::" + strings.ReplaceAll(types, " ", ", ?::") + ")"
		from := func(n int) string {
			return "(VALUES " + typed + strings.Repeat(", "+marks, n-1) + ") AS v (" + columns + ")"
		}
		inserts = newManyRows(0, func(n int) string {
			return adapt("INSERT INTO " + table + " (" + columns + ") SELECT " + columns + " FROM " + from(n) +
				" ON CONFLICT (id) DO NOTHING RETURNING id")
		})
		updates = newManyRows(0, func(n int) string {
			return adapt("UPDATE " + table + " AS t SET " + set(func(name string) string { return "v." + name }) +
				" FROM " + from(n) + " WHERE t.id = v.id AND t.revision = v.revision - 1 RETURNING t.id")
		})
	case MySQL:
		into := "INSERT INTO " + table + " (" + columns + ") VALUES "
		// A row that replaces another counts twice, and one that is new, or is
		// not to be replaced, does not.
		replace := " ON DUPLICATE KEY UPDATE " + set(func(name string) string {
			return "IF(revision = VALUES(revision) - 1, VALUES(" + name + "), " + name + ")"
		})
		inserts = newManyRows(1, func(n int) string { return adapt(into + values(n, marks)) })
		updates = newManyRows(2, func(n int) string { return adapt(into + values(n, marks) + replace) })
	}
	return inserts, updates
}

// one is the statement that saves one record, with its arguments: insert for
// revision 1, and the replacing of the revision before for any other.
func (w writes) one(revision int64, args []any) (string, []any) {
	if revision == 1 {
		return w.insert, args
	}
	// The revision always changes, so MySQL counts the row whether or not the
	// connection asks for found rows.
	return w.update, append(args[:len(args):len(args)], revision-1)
}
