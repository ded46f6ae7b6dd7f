package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/codegrant/codegrant"
)

var (
	// errNothingKept: a batch was rolled back because of one of its rows, so that
	// smaller ones may be tried.
	errNothingKept = errors.New("sqlstore: nothing of the batch was kept")
	// errLocked: not written, because the record may be locked by somebody.
	errLocked = errors.New("sqlstore: the record is locked")
)

// saveAll saves a batch in one commit. The verdict on a record is nil,
// [codegrant.ErrConflict], or errLocked where it must be saved on its own.
func (s *Store) saveAll(ctx context.Context, op string, into writes, batch []*saving) ([]error, error) {
	s.warnOnce(ctx)
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, s.wrap(ctx, op, err)
	}
	defer leave()
	// Two processes that lock the same records do so in the same order.
	slices.SortFunc(batch, func(a, b *saving) int { return cmp.Compare(a.id, b.id) })
	var verdicts []error
	err = again(ctx, patience, func() (err error) {
		verdicts, err = s.saveBatch(ctx, into, batch)
		return err
	}, s.dialect.lost)
	if errors.Is(err, errNothingKept) || errors.Is(err, errLocked) {
		return nil, err
	}
	return verdicts, s.wrap(ctx, op, err)
}

func (s *Store) saveBatch(ctx context.Context, into writes, batch []*saving) ([]error, error) {
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
	b := &batchTx{Store: s, tx: onTx{s.prepared, tx}, into: into, batch: batch, verdicts: make([]error, len(batch))}
	if s.dialect == SQLite {
		err = b.eachRow(ctx)
	} else {
		err = b.allRows(ctx)
	}
	panicked = false
	switch {
	case err == nil:
		return b.verdicts, tx.Commit()
	case s.dialect.codeOf(err) != "" && !s.dialect.lost(err):
		return nil, errors.Join(errNothingKept, err)
	}
	return nil, err
}

// batchTx is a batch in its transaction.
type batchTx struct {
	*Store
	tx       onTx
	into     writes
	batch    []*saving
	verdicts []error
}

// eachRow runs one statement a row: without a server that is the fastest.
func (b *batchTx) eachRow(ctx context.Context) error {
	if _, err := b.tx.tx.ExecContext(ctx, b.sql.begun); err != nil {
		return err
	}
	for i, row := range b.batch {
		query, args := b.into.one(row.revision, row.args)
		n, err := b.tx.count(ctx, query, args...)
		if err != nil {
			return err
		}
		if n != 1 {
			b.verdicts[i] = codegrant.ErrConflict
		}
	}
	return nil
}

// allRows runs as few statements as it can, for each costs a round trip.
func (b *batchTx) allRows(ctx context.Context) error {
	// A wait for a lock ends here, before anything is committed: that nothing
	// was kept is then certain. PostgreSQL ends it itself: to cancel a statement
	// from outside is a request that can come too early, and a server that goes on
	// waiting goes on holding the other records.
	patience := tooLong
	if b.sql.lockTimeout != "" {
		patience = 4 * tooLong
		if _, err := b.tx.tx.ExecContext(ctx, b.sql.lockTimeout); err != nil {
			return err
		}
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var inserts, updates []int
	for i, row := range b.batch {
		if row.revision == 1 {
			inserts = append(inserts, i)
		} else {
			updates = append(updates, i)
		}
	}
	err := b.write(within, b.into.inserts, inserts)
	if err == nil && len(updates) > 0 && b.into.lock != nil {
		updates, err = b.lock(within, updates)
	}
	if err == nil {
		err = b.write(within, b.into.updates, updates)
	}
	if err != nil && (within.Err() != nil && ctx.Err() == nil || b.dialect == PostgreSQL && b.dialect.codeOf(err) == lockNotAvailable) {
		return errLocked
	}
	return err
}

// write runs a kind of statement for these of the rows.
func (b *batchTx) write(ctx context.Context, kind manyRows, rows []int) error {
	for len(rows) > 0 {
		n, room, query := kind.fit(len(rows))
		if err := b.writeOnce(ctx, query, room, kind.affected, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (b *batchTx) writeOnce(ctx context.Context, query string, room, affected int, rows []int) error {
	var args []any
	for _, i := range rows {
		args = append(args, b.batch[i].args...)
	}
	args = append(args, make([]any, (room-len(rows))*len(args)/len(rows))...)
	if affected == 0 {
		return b.returning(ctx, query, args, rows)
	}
	n, err := b.tx.count(ctx, query, args...)
	if err == nil && n != int64(affected*len(rows)) {
		return errNothingKept // MySQL does not say which
	}
	return err
}

// returning runs a statement that returns the ids of the rows it wrote.
func (b *batchTx) returning(ctx context.Context, query string, args []any, rows []int) error {
	written := make(map[string]bool, len(rows))
	var id []byte
	err := b.each(ctx, query, args, func() { written[string(id)] = true }, &id)
	for _, i := range rows {
		if !written[b.batch[i].id] {
			b.verdicts[i] = codegrant.ErrConflict
		}
	}
	return err
}

// lock locks what is to be replaced and nobody else has locked, and returns
// those of the rows whose revision is the one to replace. MySQL's statement
// that replaces many could not say which it has refused, and would wait for a
// lock, keeping its own, also after the caller is gone.
func (b *batchTx) lock(ctx context.Context, rows []int) (replaced []int, err error) {
	args := make([]any, len(rows))
	for n, i := range rows {
		args[n] = b.key(b.batch[i].id)
	}
	revisions := make(map[string]int64, len(rows))
	var id []byte
	var revision int64
	err = b.each(ctx, b.into.lock(len(rows)), args, func() { revisions[string(id)] = revision }, &id, &revision)
	switch b.dialect.codeOf(err) {
	case "1064", "1235": // a server without SKIP LOCKED, as MariaDB before 10.6; or that knows it and does not do it
		return nil, errLocked
	}
	for _, i := range rows {
		switch found := revisions[b.batch[i].id]; found {
		case b.batch[i].revision - 1:
			replaced = append(replaced, i)
		case 0: // or absent
			b.verdicts[i] = errLocked
		default:
			b.verdicts[i] = codegrant.ErrConflict
		}
	}
	return replaced, err
}

// each calls f for each row of a query, once dest has its values.
func (b *batchTx) each(ctx context.Context, query string, args []any, f func(), dest ...any) error {
	rows, err := b.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err has told already
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f()
	}
	return rows.Err()
}

// manyRows is a statement that writes several rows: the text for 1, 2, 4 and so
// on up to mostRows of them, made when it is first needed.
type manyRows struct {
	texts []func() string
	// affected is what a written row counts for in RowsAffected; with 0 the
	// statement returns the ids instead, and passes over rows of NULL.
	affected int
}

func newManyRows(affected int, text func(n int) string) manyRows {
	m := manyRows{affected: affected}
	for n := 1; n <= mostRows; n *= 2 {
		m.texts = append(m.texts, sync.OnceValue(func() string { return text(n) }))
	}
	return m
}

// fit returns the text to write the first n of these many rows, and for how many
// it has room: all of them, where it passes over what is left.
func (m manyRows) fit(rows int) (n, room int, text string) {
	last := len(m.texts) - 1
	i := min(bits.Len(uint(rows))-1, last)
	if m.affected == 0 && i < last && rows > 1<<i {
		i++
	}
	room = 1 << i
	return min(rows, room), room, m.texts[i]()
}

// groupWrites returns the statements of a batch. types are those of
// PostgreSQL, for the fields and the id.
func groupWrites(
	d Dialect, adapt func(string) string, table, fields, types string,
) (inserts, updates manyRows, lock func(n int) string) {
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
				" WHERE v.id IS NOT NULL ON CONFLICT (id) DO NOTHING RETURNING id")
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
		lock = func(n int) string {
			return adapt("SELECT id, revision FROM " + table + " WHERE id IN (" + values(n, "?") + ") FOR UPDATE SKIP LOCKED")
		}
	}
	return inserts, updates, lock
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
