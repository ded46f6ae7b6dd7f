package hostiletest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// mode is how a call of the merchant's process goes wrong.
type mode int

const (
	holds      mode = iota
	failBefore      // an error, and nothing was done
	failAfter       // an error, although it was done
	dieBefore       // the process ends in front of the call
	dieAfter        // the process ends behind it
	conflict        // another process was first; only where a store may say so
	panicking       // only hooks
	modes
)

func (m mode) String() string {
	return [...]string{"holds", "failBefore", "failAfter", "dieBefore", "dieAfter", "conflict", "panicking"}[m]
}

// breakage hits one call: the at-th of those to op, counted from 0, or of all
// for an empty op.
type breakage struct {
	mode mode
	op   string
	at   int
}

var (
	errBroken = errors.New("broken on purpose")
	errDead   = errors.New("the process has ended")
)

// process is what can break in a merchant's process: its calls of the store,
// of the hooks and of the gateway. Once it has died, nothing that it still does
// has an effect.
type process struct {
	mu       sync.Mutex
	breakage breakage
	seen     int
	fired    bool   // the breakage happened
	firedOp  string // at this call
	dead     bool
}

// begin sets the next breakage.
func (p *process) begin(b breakage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breakage, p.seen, p.fired = b, 0, false
}

// revive is a new process in the place of a dead one.
func (p *process) revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = false
}

func (p *process) state() (fired, dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired, p.dead
}

// meet returns what happens to this call.
func (p *process) meet(op string) (mode, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return dieBefore, errDead
	}
	b := p.breakage
	if b.mode == holds || (b.op != "" && b.op != op) {
		return holds, nil
	}
	if p.seen++; p.seen != b.at+1 {
		return holds, nil
	}
	switch {
	case b.mode == conflict && op != "Save" && op != "commit", b.mode == panicking && op != "hook":
		return holds, nil
	}
	p.fired, p.firedOp = true, op
	p.dead = b.mode == dieBefore
	return b.mode, nil
}

// call makes one call through the breakage.
func (p *process) call(op string, do func() error) error {
	m, err := p.meet(op)
	switch {
	case err != nil:
		return err
	case m == failBefore, m == dieBefore:
		return errBroken
	case m == conflict:
		return codegrant.ErrConflict
	}
	if err := do(); err != nil || m == holds {
		return err
	}
	switch m {
	case panicking:
		panic("on purpose")
	case dieAfter:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dead = true
	}
	return errBroken
}

// frailStore is a store as that process sees it.
type frailStore struct {
	codegrant.TokenStore
	process *process
}

// frail returns a store that is a TxStore only if inTx is given.
func frail(p *process, store codegrant.TokenStore, inTx bool) codegrant.TokenStore {
	if inTx {
		return frailTxStore{frailStore{store, p}, store.(codegrant.TxStore)}
	}
	return frailStore{store, p}
}

func (s frailStore) Get(ctx context.Context, id string) (t codegrant.Token, err error) {
	err = s.process.call("Get", func() error { t, err = s.TokenStore.Get(ctx, id); return err })
	return t, err
}

func (s frailStore) Save(ctx context.Context, t codegrant.Token) error {
	return s.process.call("Save", func() error { return s.TokenStore.Save(ctx, t) })
}

func (s frailStore) ByFingerprint(ctx context.Context, fingerprint string) (t codegrant.Token, err error) {
	err = s.process.call("ByFingerprint", func() error { t, err = s.TokenStore.ByFingerprint(ctx, fingerprint); return err })
	return t, err
}

func (s frailStore) ByUser(ctx context.Context, accountID, userID string) (list []codegrant.Token, err error) {
	err = s.process.call("ByUser", func() error { list, err = s.TokenStore.ByUser(ctx, accountID, userID); return err })
	return list, err
}

func (s frailStore) Unsettled(ctx context.Context, olderThan time.Time, limit int) (list []codegrant.Token, err error) {
	err = s.process.call("Unsettled", func() error { list, err = s.TokenStore.Unsettled(ctx, olderThan, limit); return err })
	return list, err
}

type frailTxStore struct {
	frailStore
	tx codegrant.TxStore
}

// InTx also breaks at the commit: there before means rolled back.
func (s frailTxStore) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	return s.process.call("InTx", func() error {
		return s.tx.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
			inside := codegrant.TokenStore(frailStore{tx, s.process})
			if payments, ok := tx.(codegrant.PaymentStore); ok {
				inside = frailInside{frailStore{tx, s.process}, frailPayments{payments, s.process}}
			}
			if err := fn(ctx, inside); err != nil {
				return err
			}
			return s.process.call("commit", func() error { return nil })
		})
	})
}

// frailTransport is the way to the gateway. answered runs between the
// gateway's answer and its arrival.
type frailTransport struct {
	process  *process
	next     http.RoundTripper
	answered func(path string)
}

func (t frailTransport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	broken := t.process.call("gateway", func() error {
		response, err = t.next.RoundTrip(r)
		if err == nil {
			t.answered(r.URL.Path)
		}
		return err
	})
	if broken != nil {
		if response != nil {
			_ = response.Body.Close()
		}
		return nil, broken
	}
	return response, nil
}
