package seal

import (
	"context"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

// Option changes what [New] returns.
type Option func(*store)

// AcceptPlaintext lets values that were stored in the clear be read, for
// moving an existing store to sealing; without it they are refused with
// [ErrPlaintext]. What is saved is sealed either way. Take the option out
// after [Reseal] has sealed the rest: while it is there, whoever can write to
// the database can plant a token.
func AcceptPlaintext() Option { return func(s *store) { s.acceptPlaintext = true } }

// New returns a store that keeps its records in inner with Value, Reference
// and LoginID sealed by keys. It is a [codegrant.TxStore] if inner is one, and
// a [codegrant.ListStore] if inner is one, and not otherwise. It keeps every
// promise of inner's and adds no state.
//
// A value that does not open is an [*Error]. ByUser, Unsettled and List then
// return the records that do open beside the error, so that one damaged record
// need not hold up the rest.
//
// It returns a [*codegrant.ConfigError] without a store or keys, and for a
// store that seals already.
func New(inner codegrant.TokenStore, keys *Keyring, options ...Option) (codegrant.TokenStore, error) {
	var problems []string
	if inner == nil {
		problems = append(problems, "seal: the store is nil")
	}
	if _, ok := inner.(sealing); ok {
		problems = append(problems, "seal: the store seals already")
	}
	if keys == nil || keys.ring == nil {
		problems = append(problems, "seal: the keyring is nil or was not made by NewKeyring")
	}
	if len(problems) > 0 {
		return nil, &codegrant.ConfigError{Problems: problems}
	}
	s := &store{ring: keys.ring}
	for _, option := range options {
		option(s)
	}
	return s.around(inner), nil
}

// store is a [codegrant.TokenStore]; the optional interfaces are added by
// [store.around].
type store struct {
	inner           codegrant.TokenStore
	ring            *ring
	acceptPlaintext bool
}

// sealing is what every store that this package makes has, and no other.
type sealing interface{ base() *store }

func (s *store) base() *store { return s }

// around returns s for inner, with exactly the optional interfaces of inner.
func (s *store) around(inner codegrant.TokenStore) codegrant.TokenStore {
	s = &store{inner: inner, ring: s.ring, acceptPlaintext: s.acceptPlaintext}
	tx, isTx := inner.(codegrant.TxStore)
	list, isList := inner.(codegrant.ListStore)
	switch {
	case isTx && isList:
		return struct {
			*store
			transactor
			lister
		}{s, transactor{s, tx}, lister{s, list}}
	case isTx:
		return struct {
			*store
			transactor
		}{s, transactor{s, tx}}
	case isList:
		return struct {
			*store
			lister
		}{s, lister{s, list}}
	}
	return s
}

// transactor adds InTx. Its fields have names, so that it promotes nothing.
type transactor struct {
	sealer *store
	inner  codegrant.TxStore
}

// InTx implements [codegrant.TxStore]: fn gets a store that seals too.
func (t transactor) InTx(ctx context.Context, fn func(ctx context.Context, tx codegrant.TokenStore) error) error {
	return t.inner.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		return fn(ctx, t.sealer.around(tx))
	})
}

// lister adds List.
type lister struct {
	sealer *store
	inner  codegrant.ListStore
}

// List implements [codegrant.ListStore].
func (l lister) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	found, err := l.inner.List(ctx, afterID, limit)
	return l.sealer.openAll(found, err)
}

// Get implements [codegrant.TokenStore].
func (s *store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return s.openOne(s.inner.Get(ctx, id))
}

// Save implements [codegrant.TokenStore]. It seals whatever t holds, each time
// with a new nonce; also a value that looks sealed, for that is the value.
func (s *store) Save(ctx context.Context, t codegrant.Token) error {
	return s.inner.Save(ctx, s.seal(t))
}

// ByFingerprint implements [codegrant.TokenStore]. The fingerprint is the
// plain value's, so it needs no key.
func (s *store) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	return s.openOne(s.inner.ByFingerprint(ctx, fingerprint))
}

// ByUser implements [codegrant.TokenStore].
func (s *store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	found, err := s.inner.ByUser(ctx, accountID, userID)
	return s.openAll(found, err)
}

// Unsettled implements [codegrant.TokenStore].
func (s *store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	found, err := s.inner.Unsettled(ctx, olderThan, limit)
	return s.openAll(found, err)
}

// fields lists what is sealed, by the name that is authenticated with it.
func fields(t *codegrant.Token) [3]struct {
	name  string
	value *codegrant.Secret
} {
	return [3]struct {
		name  string
		value *codegrant.Secret
	}{{"Value", &t.Value}, {"Reference", &t.Reference}, {"LoginID", &t.LoginID}}
}

func placeOf(t *codegrant.Token, field string) place {
	return place{account: t.AccountID, user: t.UserID, record: t.ID, field: field}
}

// seal returns t as it is stored.
func (s *store) seal(t codegrant.Token) codegrant.Token {
	for _, f := range fields(&t) {
		*f.value = s.ring.seal(*f.value, placeOf(&t, f.name))
	}
	return t
}

// open returns a stored record in the clear, or nothing but an error.
func (s *store) open(t codegrant.Token) (codegrant.Token, error) {
	for _, f := range fields(&t) {
		plain, err := s.ring.open(*f.value, placeOf(&t, f.name))
		if e, ok := err.(*Error); ok && e.Code == ErrPlaintext && s.acceptPlaintext { //nolint:errorlint // open wraps nothing
			plain, err = *f.value, nil
			// A sealed value whose beginning was damaged is no plaintext.
			if f.name == "Value" && codegrant.Fingerprint(plain) != t.Fingerprint {
				err = &Error{Code: ErrCorrupt, RecordID: t.ID, Field: f.name}
			}
		}
		if err != nil {
			return codegrant.Token{}, err
		}
		*f.value = plain
	}
	return t, nil
}

func (s *store) openOne(t codegrant.Token, err error) (codegrant.Token, error) {
	if err != nil {
		return codegrant.Token{}, err
	}
	return s.open(t)
}

func (s *store) openAll(found []codegrant.Token, err error) ([]codegrant.Token, error) {
	if err != nil {
		return nil, err
	}
	var first error
	failed, opened := 0, make([]codegrant.Token, 0, len(found))
	for _, t := range found {
		plain, err := s.open(t)
		if err != nil {
			failed++
			if first == nil {
				first = err
			}
			continue
		}
		opened = append(opened, plain)
	}
	if failed > 1 {
		first = fmt.Errorf("%w, nor do %d more records open", first, failed-1)
	}
	return opened, first
}
