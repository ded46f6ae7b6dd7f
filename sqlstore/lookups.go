package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
)

// manyKeys are how many keys a shared look-up has room for: few texts, because
// each is prepared on each connection. Room that is left is filled with NULL,
// which equals nothing.
var manyKeys = [...]int{8, 32}

// lookupsAlone was measured: with more, 64 deliveries in flight are slower, and 8
// no faster.
const lookupsAlone = 2

// lookups is one kind of look-up. Those that are waiting at the same time share
// a statement: its round trip, or on SQLite the reading of pages that a write
// has changed, is most of what a look-up costs.
type lookups[R any] struct {
	store *Store
	finding
	scan  func(*sql.Rows) (R, error)
	keyOf func(R) string
	// order is that of the records of one key, as in the statement for one.
	order func(a, b R) int
	turns turns[*looking[R]]
}

// looking is somebody who waits for the records of a key.
type looking[R any] struct {
	ctx           context.Context //nolint:containedctx // the caller's, who waits beside the one who looks
	sought, scope string
	tell          func(records []R, err error) // what is told again is not heard
}

type found[R any] struct {
	records []R
	err     error
}

func newLookups[R any](
	s *Store, f finding, scan func(*sql.Rows) (R, error), keyOf func(R) string, order func(a, b R) int,
) *lookups[R] {
	l := &lookups[R]{store: s, finding: f, scan: scan, keyOf: keyOf, order: order}
	l.turns = turns[*looking[R]]{store: s, most: lookupsAlone, take: takeLookings[R], together: l.together}
	return l
}

// find returns the records of key, of those in scope where there is one: locked
// in the transaction of ctx, else perhaps together with other people's.
func (l *lookups[R]) find(ctx context.Context, key, scope string) ([]R, error) {
	if l.store.joined(ctx) != nil {
		return l.read(ctx, l.locked, 1, scope, key)
	}
	if err := ctx.Err(); err != nil {
		return nil, l.store.wrap(ctx, l.op, err)
	}
	var done chan found[R]
	end, _ := l.turns.begin(func() *looking[R] {
		done = make(chan found[R], 1)
		return &looking[R]{ctx: ctx, sought: key, scope: scope, tell: func(records []R, err error) {
			select {
			case done <- found[R]{records, err}:
			default:
			}
		}}
	})
	if end != nil {
		defer end()
		return l.read(ctx, l.one, 1, scope, key)
	}
	select {
	case f := <-done:
		return f.records, f.err
	case <-ctx.Done():
		return nil, l.store.wrap(ctx, l.op, ctx.Err())
	}
}

// read runs a statement that has room for so many keys.
func (l *lookups[R]) read(ctx context.Context, query string, room int, scope string, keys ...string) ([]R, error) {
	args := make([]any, room, room+1)
	for i, key := range keys {
		args[i] = key
		if l.byID {
			args[i] = l.store.key(key)
		}
	}
	if l.scoped {
		args = append(args, scope)
	}
	return rowsOf(ctx, l.store, l.op, l.scan, query, args...)
}

// takeLookings returns who is next: all in one scope.
func takeLookings[R any](waiting []*looking[R]) (batch, later []*looking[R]) {
	for i, w := range waiting {
		switch {
		case w.ctx.Err() != nil: // its caller is told by the context
		case len(batch) == manyKeys[len(manyKeys)-1]:
			return batch, append(later, waiting[i:]...)
		case len(batch) > 0 && w.scope != batch[0].scope:
			later = append(later, w)
		default:
			batch = append(batch, w)
		}
	}
	return batch, later
}

// together looks for a batch and tells each what was found. What fails it may be
// the row of one of them: each then looks for its own. A driver that panics, or
// ends the goroutine, is everybody's error.
func (l *lookups[R]) together(batch []*looking[R]) {
	defer func() {
		unfinished := didNotReturn(l.op, recover())
		for _, w := range batch {
			w.tell(nil, unfinished)
		}
	}()
	if len(batch) == 1 {
		w := batch[0]
		w.tell(l.read(w.ctx, l.one, 1, w.scope, w.sought))
		return
	}
	byKey, err := l.atOnce(batch)
	if err != nil {
		var all sync.WaitGroup
		for i := range batch {
			all.Go(func() { l.together(batch[i : i+1]) })
		}
		all.Wait()
		return
	}
	for _, w := range batch {
		w.tell(slices.Clone(byKey[w.sought]), nil) // two may look for one key
	}
}

// atOnce looks for a batch in one statement.
func (l *lookups[R]) atOnce(batch []*looking[R]) (byKey map[string][]R, err error) {
	ctx, cancel := until(batch)
	defer cancel()
	var keys []string
	byKey = make(map[string][]R, len(batch))
	for _, w := range batch {
		if _, twice := byKey[w.sought]; !twice {
			keys, byKey[w.sought] = append(keys, w.sought), nil
		}
	}
	query, room := l.fit(len(keys))
	records, err := l.read(ctx, query, room, batch[0].scope, keys...)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(records, l.order)
	for _, r := range records {
		byKey[l.keyOf(r)] = append(byKey[l.keyOf(r)], r)
	}
	return byKey, nil
}

func (w *looking[R]) context() context.Context { return w.ctx }

// finding is the statements of one kind of look-up. They take keys and then,
// where there is one, the scope.
type finding struct {
	op           string
	byID, scoped bool
	one, locked  string // for one key; the second locks what it finds
	shared       [len(manyKeys)]string
}

// newFinding makes them of the text for one key, which stands in column.
func newFinding(d Dialect, adapt func(string) string, op, text, column, locked string) finding {
	f := finding{
		op: op, byID: column == "id", scoped: strings.Contains(text, scopeColumn),
		one: adapt(text), locked: adapt(text + locked),
	}
	for i, n := range manyKeys {
		f.shared[i] = adapt(sharedText(d, text, column, n))
	}
	return f
}

// sharedText is text for n keys.
func sharedText(d Dialect, text, column string, n int) string {
	key := column + " = ?"
	if d != PostgreSQL {
		text, _, _ = strings.Cut(text, " ORDER BY ")
		return strings.Replace(text, key, column+" IN (?"+strings.Repeat(", ?", n-1)+")", 1)
	}
	// PostgreSQL keeps a plan, and for a list that was made while the table was
	// small it may be to read all of it. This is planned like the text for one,
	// which OFFSET keeps apart. Where LATERAL is not known, each is made alone.
	kind := "text"
	if column == "id" {
		kind = "bytea"
	}
	return "SELECT t.* FROM (VALUES (?::" + kind + ")" + strings.Repeat(", (?)", n-1) + ") AS v (k) CROSS JOIN LATERAL (" +
		strings.Replace(text, key, column+" = v.k", 1) + " OFFSET 0) AS t"
}

// fit returns the text with room for n keys, and for how many it has.
func (f finding) fit(n int) (text string, room int) {
	i := 0
	for manyKeys[i] < n {
		i++
	}
	return f.shared[i], manyKeys[i]
}
