package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// Tx returns the transaction that ctx belongs to, for a hook's own statements:
// they commit or roll back with the token, or the payment. The second result is false outside
// of [Store.InTx].
//
// Return the error of every statement: one that is passed over may have ended
// the transaction on the server. The transaction ends with the hook. Do not
// commit it, and do not keep it or
// the context for a goroutine that outlives the hook.
func Tx(ctx context.Context) (*sql.Tx, bool) {
	t, ok := ctx.Value(txKey{}).(*transaction)
	if !ok {
		return nil, false
	}
	return t.tx, true
}

type txKey struct{}

// transaction is an open one, as contexts carry it.
type transaction struct {
	store *Store
	tx    *sql.Tx

	mu       sync.Mutex
	doomed   error // why it may not commit, whatever fn returns
	released bool  // the guard was looked at; see setGuard
	panicked bool  // the driver, in a statement
}

// whole makes sure, before the first save, that what came before it is still
// there to commit.
func (t *transaction) whole(ctx context.Context, op string) error {
	t.mu.Lock()
	done := t.released || t.store.sql.releaseGuard == ""
	t.released = true
	t.mu.Unlock()
	if done {
		return nil
	}
	return t.run(ctx, op, func(db querier) error { return db.exec(ctx, t.store.sql.releaseGuard) })
}

// joined returns the transaction of ctx if it is one of this database.
func (s *Store) joined(ctx context.Context) *transaction {
	if t, ok := ctx.Value(txKey{}).(*transaction); ok && t.store.db == s.db {
		return t
	}
	return nil
}

// run calls f once. After a failure that may have ended the transaction on the
// server, nothing more may be done in it: MySQL would run, and keep, what comes
// after a deadlock outside of any transaction.
func (t *transaction) run(ctx context.Context, op string, f func(querier) error) error {
	if err := t.doom(nil); err != nil {
		return err
	}
	err := t.call(f)
	lost := t.store.dialect.lost(err)
	err = t.store.wrap(ctx, op, err)
	if lost {
		return t.doom(err)
	}
	return err
}

func (t *transaction) call(f func(querier) error) error {
	panicked := true
	defer func() {
		if panicked {
			t.mu.Lock()
			t.panicked = true
			t.mu.Unlock()
		}
	}()
	err := f(onTx{t.store.prepared, t.tx})
	panicked = false
	return err
}

// rollback does nothing after a commit. After a driver's panic database/sql
// would wait for the statement for ever: the connection is lost.
func (t *transaction) rollback() {
	t.mu.Lock()
	panicked := t.panicked
	t.mu.Unlock()
	if !panicked {
		_ = t.tx.Rollback()
	}
}

// doom keeps the first error that it is given and returns it.
func (t *transaction) doom(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.doomed == nil {
		t.doomed = err
	}
	return t.doomed
}

// InTx implements [codegrant.TxStore]. [Tx] gives fn the *sql.Tx.
//
// Get, ByFingerprint, ByUser and GetPayment lock the records that they return until the end
// (on SQLite: everything, from the beginning), so a hook that waits for
// somebody else makes others wait, and a hook that writes to the store with a
// context from outside waits for itself until that context ends. The isolation is READ COMMITTED on MySQL,
// whose default would also lock the gaps between records, and the database's
// default elsewhere.
//
// A call with a context that belongs to a transaction on the same *sql.DB joins
// it: the outermost InTx commits, and once an inner fn has failed it rolls back
// and returns that error, even if the outer fn returns nil.
func (s *Store) InTx(ctx context.Context, fn func(ctx context.Context, tx codegrant.TokenStore) error) error {
	if t := s.joined(ctx); t != nil {
		failed := errors.New("sqlstore: a nested transaction panicked")
		defer func() {
			if failed != nil {
				_ = t.doom(failed)
			}
		}()
		failed = fn(ctx, inTx{s, t})
		return failed
	}
	s.warnOnce(ctx)
	s.prepared.forTx(ctx, s.sql)
	leave, err := s.enter(ctx)
	if err != nil {
		return s.wrap(ctx, "begin", err)
	}
	defer leave()
	tx, err := s.begin(ctx)
	if err != nil {
		return s.wrap(ctx, "begin", err)
	}
	t := &transaction{store: s, tx: tx}
	// After a commit this does nothing. Before one it undoes everything: fn
	// failed, panicked or ended its goroutine.
	defer t.rollback()

	if err := fn(context.WithValue(ctx, txKey{}, t), inTx{s, t}); err != nil {
		return err
	}
	if err := t.doom(nil); err != nil {
		return err
	}
	return s.wrap(ctx, "commit", tx.Commit())
}

// begin starts a transaction. On SQLite it also takes the lock for writing,
// because a transaction that reads before it writes fails for good when
// somebody else has written in between; on MySQL it sets the guard.
func (s *Store) begin(ctx context.Context) (*sql.Tx, error) {
	var tx *sql.Tx
	err := again(ctx, patience, func() (err error) {
		tx, err = s.db.BeginTx(ctx, s.txOptions())
		if err != nil || s.sql.begun == "" {
			return err
		}
		if _, err = tx.ExecContext(ctx, s.sql.begun); err != nil {
			_ = tx.Rollback()
		}
		return err
	}, s.dialect.lost)
	return tx, err
}

func (s *Store) txOptions() *sql.TxOptions {
	if s.dialect == MySQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// enter waits for the turn to write, if there are turns and ctx's transaction
// does not have it already.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	if s.writer == nil || s.joined(ctx) != nil {
		return func() {}, nil
	}
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inTx is the store that InTx gives to fn. It belongs to the transaction with
// whatever context it is called.
type inTx struct {
	store *Store
	t     *transaction
}

func (x inTx) in(ctx context.Context) context.Context { return context.WithValue(ctx, txKey{}, x.t) }

func (x inTx) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return x.store.Get(x.in(ctx), id)
}

func (x inTx) Save(ctx context.Context, t codegrant.Token) error { return x.store.Save(x.in(ctx), t) }

func (x inTx) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	return x.store.ByFingerprint(x.in(ctx), fingerprint)
}

func (x inTx) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return x.store.ByUser(x.in(ctx), accountID, userID)
}

func (x inTx) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	return x.store.Unsettled(x.in(ctx), olderThan, limit)
}

func (x inTx) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	return x.store.GetPayment(x.in(ctx), id)
}

func (x inTx) SavePayment(ctx context.Context, p codegrant.Payment) error {
	return x.store.SavePayment(x.in(ctx), p)
}

func (x inTx) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Payment, error) {
	return x.store.UnsettledPayments(x.in(ctx), olderThan, limit)
}
