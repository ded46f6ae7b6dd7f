package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

// memory is a right store, made to be broken: each flaw that is set replaces
// one thing that it does. It is not memstore, so that a mistake there would
// not be taken for the rule.
type memory struct {
	flaws
	lock    chan struct{} // full while somebody is inside; a channel, to give up waiting
	records map[string]codegrant.Token
	touched map[string]bool // ids that were read or saved; nil where nobody asks
}

type flaws struct {
	accept  func(old, t codegrant.Token) bool            // nil: the next revision only
	pause   func(t codegrant.Token)                      // between the check and the write, outside the lock
	keep    func(old, t codegrant.Token) codegrant.Token // what is stored of t
	show    func(codegrant.Token) codegrant.Token        // what is returned of it
	id      func(string) string                          // what of an id is compared
	owner   func(account, user string) string            // what of a user is compared
	mark    func(fingerprint string) string              // what of a fingerprint is compared
	order   func(a, b codegrant.Token) int               // of creation
	settle  func(a, b codegrant.Token) int               // order of Unsettled
	waits   func(t codegrant.Token, olderThan time.Time) bool
	missing error // in place of ErrNotFound
	rush    bool  // the context is not looked at
	blind   bool  // a transaction does not remember what it read
}

func newMemory() *memory {
	return &memory{lock: make(chan struct{}, 1), records: map[string]codegrant.Token{}, flaws: flaws{
		accept: func(old, t codegrant.Token) bool { return old.Revision == t.Revision-1 },
		keep:   func(_, t codegrant.Token) codegrant.Token { return t },
		show:   func(t codegrant.Token) codegrant.Token { return t },
		id:     func(id string) string { return id },
		owner:  func(account, user string) string { return account + "\x00" + user },
		mark:   func(fingerprint string) string { return fingerprint },
		order:  byCreation,
		settle: bySettling,
		waits: func(t codegrant.Token, at time.Time) bool {
			return !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(at)
		},
		missing: codegrant.ErrNotFound,
	}}
}

func byCreation(a, b codegrant.Token) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func bySettling(a, b codegrant.Token) int {
	return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
}

// enter waits for its turn until ctx ends.
func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	if m.rush {
		ctx = context.WithoutCancel(ctx)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case m.lock <- struct{}{}:
		return func() { <-m.lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) read(id string) {
	if m.touched != nil && !m.blind {
		m.touched[id] = true
	}
}

func (m *memory) Get(ctx context.Context, id string) (codegrant.Token, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return codegrant.Token{}, err
	}
	defer leave()
	m.read(m.id(id))
	t, ok := m.records[m.id(id)]
	if !ok {
		return codegrant.Token{}, m.missing
	}
	return m.show(t), nil
}

func (m *memory) Save(ctx context.Context, t codegrant.Token) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave() }()
	id := m.id(t.ID)
	if m.touched != nil {
		m.touched[id] = true
	}
	old := m.records[id]
	if !m.accept(old, t) {
		return codegrant.ErrConflict
	}
	if m.pause != nil {
		leave()
		m.pause(t)
		leave, _ = m.enter(context.WithoutCancel(ctx))
	}
	m.records[id] = m.keep(old, t)
	return nil
}

func (m *memory) find(ctx context.Context, order func(a, b codegrant.Token) int, fits func(codegrant.Token) bool) ([]codegrant.Token, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []codegrant.Token
	for id, t := range m.records {
		if fits(t) {
			m.read(id)
			found = append(found, m.show(t))
		}
	}
	slices.SortFunc(found, order)
	return found, nil
}

func (m *memory) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	found, err := m.find(ctx, m.order, func(t codegrant.Token) bool {
		return fingerprint != "" && m.mark(t.Fingerprint) == m.mark(fingerprint)
	})
	if err != nil {
		return codegrant.Token{}, err
	}
	if len(found) == 0 {
		return codegrant.Token{}, m.missing
	}
	return found[len(found)-1], nil
}

func (m *memory) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	return m.find(ctx, m.order, func(t codegrant.Token) bool {
		return m.owner(t.AccountID, t.UserID) == m.owner(account, user)
	})
}

func (m *memory) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	found, err := m.find(ctx, m.settle, func(t codegrant.Token) bool { return m.waits(t, olderThan) })
	return found[:min(max(limit, 0), len(found))], err
}

// optimist is a right TxStore that makes nobody wait: a transaction works on a
// copy, and loses if what it read or saved has changed meanwhile.
type optimist struct {
	*memory
	changed func(before, now codegrant.Token) bool // what makes a transaction lose
}

func newOptimist() optimist {
	return optimist{newMemory(), func(before, now codegrant.Token) bool { return before.Revision != now.Revision }}
}

func (o optimist) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	leave, err := o.enter(ctx)
	if err != nil {
		return err
	}
	before := maps.Clone(o.records)
	leave()

	mine := &memory{flaws: o.flaws, lock: make(chan struct{}, 1), records: maps.Clone(before), touched: map[string]bool{}}
	if err := fn(ctx, mine); err != nil {
		return err
	}
	if leave, err = o.enter(ctx); err != nil {
		return err
	}
	defer leave()
	for id := range mine.touched {
		if o.changed(before[id], o.records[id]) {
			return codegrant.ErrConflict
		}
	}
	for id := range mine.touched {
		if t, ok := mine.records[id]; ok {
			o.records[id] = t
		}
	}
	return nil
}

// pessimist is a right TxStore that lets one transaction in at a time, and
// nobody else while it lasts.
type pessimist struct{ *memory }

func (p pessimist) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	mine := &memory{flaws: p.flaws, lock: make(chan struct{}, 1), records: maps.Clone(p.records)}
	if err := fn(ctx, mine); err != nil {
		return err
	}
	if ctx.Err() == nil {
		p.records = mine.records
	}
	return ctx.Err()
}

// lister is a right ListStore.
type lister struct {
	*memory
	after  func(id, afterID string) bool
	byID   func(a, b codegrant.Token) int
	atMost func(limit int) int
}

func newLister() *lister {
	return &lister{
		memory: newMemory(),
		after:  func(id, afterID string) bool { return id > afterID },
		byID:   func(a, b codegrant.Token) int { return cmp.Compare(a.ID, b.ID) },
		atMost: func(limit int) int { return limit },
	}
}

func (l *lister) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	found, err := l.find(ctx, l.byID, func(t codegrant.Token) bool { return l.after(t.ID, afterID) })
	return found[:min(max(l.atMost(limit), 0), len(found))], err
}
