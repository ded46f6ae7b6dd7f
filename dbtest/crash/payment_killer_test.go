//go:build linux

package crash

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// killer ends its own process in front of the step with the number at, or
// behind it. A step is a statement, the begin or the end of a transaction, or a
// call of the gateway.
type killer struct {
	at     int // counted from 0
	behind bool

	mu   sync.Mutex
	seen int
}

func (k *killer) step(do func() error) error {
	k.mu.Lock()
	here := k.seen == k.at
	k.seen++
	k.mu.Unlock()
	if here && !k.behind {
		die()
	}
	err := do()
	if here && k.behind {
		die()
	}
	return err
}

// die does not return, and lets nothing clean up.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// killingDriver connects through a killer.
type killingDriver struct {
	target
	driver driver.Driver
	killer *killer
}

func (at target) openKilling(k *killer) (*sql.DB, error) {
	db, err := sql.Open(at.Driver, at.DSN)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return sql.OpenDB(killingDriver{at, db.Driver(), k}), nil
}

func (d killingDriver) Driver() driver.Driver { return d.driver }

func (d killingDriver) Connect(context.Context) (driver.Conn, error) {
	conn, err := d.driver.Open(d.DSN)
	if err != nil {
		return nil, err
	}
	return killingConn{conn, d.killer}, nil
}

type killingConn struct {
	driver.Conn
	killer *killer
}

func (c killingConn) BeginTx(ctx context.Context, o driver.TxOptions) (tx driver.Tx, err error) {
	err = c.killer.step(func() error {
		tx, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
		return err
	})
	return killingTx{tx, c.killer}, err
}

func (c killingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.killer.step(func() error {
		result, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
		return err
	})
	return result, err
}

func (c killingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.killer.step(func() error {
		rows, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
		return err
	})
	return rows, err
}

// PrepareContext is no step: it changes nothing. Running the statement is one.
func (c killingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return killingStmt{stmt, c.killer}, nil
}

// Prepare would let a statement pass uncounted.
func (c killingConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("a statement prepared without a context is no step")
}

type killingStmt struct {
	driver.Stmt
	killer *killer
}

func (s killingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	err = s.killer.step(func() error {
		result, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		return err
	})
	return result, err
}

func (s killingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = s.killer.step(func() error {
		rows, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		return err
	})
	return rows, err
}

type killingTx struct {
	driver.Tx
	killer *killer
}

func (t killingTx) Commit() error { return t.killer.step(t.Tx.Commit) }

func (t killingTx) Rollback() error { return t.killer.step(t.Tx.Rollback) }

type killingTransport struct {
	next   http.RoundTripper
	killer *killer
}

func (t killingTransport) RoundTrip(r *http.Request) (response *http.Response, err error) {
	err = t.killer.step(func() error {
		response, err = t.next.RoundTrip(r)
		return err
	})
	return response, err
}

// till is a process of the shop that charges and refunds, and what it is to do.
type till struct {
	target
	Gateway string // its address
	Do      string // see [till.errand]
	Order   string
	Attempt int
	At      int // the step that kills it
	Behind  bool
	Ahead   time.Duration // of its clock
}

const createPaymentRows = "CREATE TABLE payment_rows (order_id VARCHAR(64) NOT NULL, said VARCHAR(160) NOT NULL)"

// kit is the kit as it should be used, with hooks that write a row into their
// transaction.
func (l till) kit(db *sql.DB, transport http.RoundTripper, now func() time.Time, log *slog.Logger) (*codegrant.Kit, error) {
	s, err := newShopOn(l.target, db, log)
	if err != nil {
		return nil, err
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: l.Gateway}, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, err
	}
	insert := "INSERT INTO payment_rows (order_id, said) VALUES (?, ?)"
	if l.Dialect == sqlstore.PostgreSQL {
		insert = "INSERT INTO payment_rows (order_id, said) VALUES ($1, $2)"
	}
	note := func(ctx context.Context, order string, said ...any) error {
		tx, ok := sqlstore.Tx(ctx)
		if !ok {
			return errors.New("the hook runs outside of a transaction")
		}
		_, err := tx.ExecContext(ctx, insert, order, fmt.Sprintln(said...))
		return err
	}
	return codegrant.New(codegrant.Config{
		Client: client, Store: s.store, Payments: s.plain, BaseURL: "https://shop.test/wallet", Logger: log, Now: now,
		User: func(*http.Request) (string, error) { return "", nil },
		OnPayment: func(ctx context.Context, n codegrant.PaymentNotification) error {
			return note(ctx, n.OrderID, "payment", n.Status, n.RequestID)
		},
		OnRefund: func(ctx context.Context, n codegrant.RefundNotification) error {
			return note(ctx, n.OrderID, "refund", n.Status, n.RefundID)
		},
		Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
	})
}

func (l till) charge(ctx context.Context, kit *codegrant.Kit) (codegrant.Receipt, error) {
	return kit.Charge(ctx, codegrant.ChargeParams{
		UserID: "ann", OrderID: l.Order, Attempt: l.Attempt, Amount: codegrant.Amount{Minor: 1000, Currency: "PHP"},
		ShopperIP: "192.0.2.7", Email: "x@shop.test",
	})
}

func (l till) refund(ctx context.Context, kit *codegrant.Kit) (codegrant.Receipt, error) {
	return kit.Refund(ctx, codegrant.RefundParams{OrderID: l.Order, Amount: codegrant.Amount{Minor: 500, Currency: "PHP"}})
}

// errand does what a till is to do.
func (l till) errand(ctx context.Context, kit *codegrant.Kit) error {
	switch l.Do {
	case "charge":
		_, err := l.charge(ctx, kit)
		if errors.Is(err, codegrant.ErrOutcomeUnknown) {
			return nil // it is meant to be lost
		}
		return err
	case "refund":
		_, err := l.refund(ctx, kit)
		return err
	case "sweep":
		sweep, err := kit.Reconcile(ctx)
		if sweep.Failed > 0 {
			err = errors.Join(err, fmt.Errorf("%+v", sweep))
		}
		return err
	}
	return fmt.Errorf("no errand %q", l.Do)
}

// ringUp is the whole life of a till that is not killed.
func ringUp(spec string) error {
	var l till
	if err := json.Unmarshal([]byte(spec), &l); err != nil {
		return err
	}
	killer := &killer{at: l.At, behind: l.Behind}
	db, err := l.openKilling(killer)
	if err != nil {
		return err
	}
	kit, err := l.kit(db, killingTransport{http.DefaultTransport, killer},
		func() time.Time { return time.Now().Add(l.Ahead) }, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	return l.errand(context.Background(), kit)
}
