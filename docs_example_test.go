package codegrant_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
	"github.com/codegrant/codegrant/storetest"
)

// The snippets of docs/*.md, compiled. TestDocsSnippetsAreCompiled holds the
// two together.

func docsMount(ctx context.Context, mux *http.ServeMux, kit *codegrant.Kit) {
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	go kit.Run(ctx) // in every process: heals what notifications did not bring
}

func docsMountApart(mux *http.ServeMux, client *codegrant.Client, store codegrant.TokenStore) error {
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, User: currentUser,
		BaseURL:   "https://shop.example/wallet",
		NotifyURL: "https://hooks.shop.example/pingpong",
		ReturnURL: "https://shop.example/account/wallet/done",
	})
	if err != nil {
		return err
	}
	mux.Handle("/pingpong/{id}", kit.Notify())
	mux.Handle("/account/wallet/done/{id}", kit.Return())
	mux.Handle("/account/wallet/connect", kit.SignUp())
	mux.Handle("/account/wallet/disconnect", kit.Unbind())
	return nil
}

type sessions struct {
	find func(ctx context.Context, cookie string) (string, error)
}

func (s *sessions) userID(r *http.Request) (string, error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return "", nil // nobody is signed in
	}
	return s.find(r.Context(), cookie.Value) // "" if unknown; an error is answered with 503
}

func docsHooks() codegrant.Config {
	return codegrant.Config{
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			tx, ok := sqlstore.Tx(ctx)
			if !ok {
				return errors.New("no transaction")
			}
			_, err := tx.ExecContext(ctx, "UPDATE users SET wallet = $1, wallet_status = $2 WHERE id = $3",
				string(c.Token.Wallet), c.Token.Status.String(), c.Token.UserID)
			return err
		},
	}
}

func docsCrossOrigin(cfg *codegrant.Config) error {
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin("https://www.shop.example"); err != nil {
		return err
	}
	cfg.CrossOrigin = guard
	return nil
}

func docsShutdown(server *http.Server, kit *codegrant.Kit, db *sql.DB) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var sweeping sync.WaitGroup
	sweeping.Go(func() { _ = kit.Run(ctx) })
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the server stopped", "error", err) // the port is in use, for example
			failed <- err
			stop() // and do not wait for a signal
		}
	}()
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	err := server.Shutdown(closing)
	sweeping.Wait() // finishes the records that it has begun
	return errors.Join(<-failed, err, db.Close())
}

func docsApply(ctx context.Context, kit *codegrant.Kit, body []byte, id string) int {
	err := kit.Apply(ctx, body, id)     // the bytes as received; id is the last segment of the path
	status := codegrant.HTTPStatus(err) // answer this, with the body "OK" if it is 200
	return status
}

func docsTest(newShop func(*codegrant.Client) http.Handler) {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	shop := newShop(gateway.Client())
	gateway.DeliverTo(shop)
	gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter}) // charged, and the answer lost
}

type Token = codegrant.Token

type TokenStore interface {
	Get(ctx context.Context, id string) (Token, error)
	Save(ctx context.Context, t Token) error
	ByFingerprint(ctx context.Context, fingerprint string) (Token, error)
	ByUser(ctx context.Context, accountID, userID string) ([]Token, error)
	Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]Token, error)
}

// The two are the same: each can be assigned to the other.
var (
	_ TokenStore           = codegrant.TokenStore(nil)
	_ codegrant.TokenStore = TokenStore(nil)
)

func docsTxStore() {
	type TokenStore = codegrant.TokenStore
	type TxStore interface {
		TokenStore
		InTx(ctx context.Context, fn func(ctx context.Context, tx TokenStore) error) error
	}
	var _ TxStore = codegrant.TxStore(nil)
	var _ codegrant.TxStore = TxStore(nil)
}

type storePackage struct{}

func (storePackage) New(codegrant.TokenStore) codegrant.TokenStore { return memstore.New() }

func docsRunSuite(t *testing.T, mystore storePackage, open func(*testing.T) codegrant.TokenStore) {
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return mystore.New(open(t)) })
}

func docsSeal(mine codegrant.TokenStore) (codegrant.TokenStore, error) {
	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS"))
	if err != nil {
		return nil, err
	}
	store, err := seal.New(mine, keys)
	if err != nil {
		return nil, err
	}
	return store, nil
}

func docsSaltUsage(kit *codegrant.Kit) {
	for _, u := range kit.SaltUsage() {
		idleSince := u.Last
		if u.Since.After(idleSince) {
			idleSince = u.Since
		}
		fmt.Println("salt", u.Salt, "idle for", time.Since(idleSince))
	}
}

func docsSalts() codegrant.Account {
	account := codegrant.Account{
		ID:    os.Getenv("CODEGRANT_ACCOUNT"),
		Salts: codegrant.Salts(strings.Split(os.Getenv("CODEGRANT_SALTS"), ",")...),
	}
	return account
}

func docsConsole(mux *http.ServeMux, kit *codegrant.Kit, store codegrant.TokenStore, payments codegrant.PaymentStore,
	staffName func(*http.Request) (string, error),
) error {
	ops, err := console.New(console.Config{
		Kit: kit, Store: store, Payments: payments, Sweep: kit.Reconcile,
		Authorize: staffName, // the login of your staff: a name, or "" for nobody
	})
	if err != nil {
		return err
	}
	mux.Handle("/ops/wallets/", http.StripPrefix("/ops/wallets", ops))
	return nil
}

func docsReseal(ctx context.Context, store codegrant.TokenStore) error {
	progress, err := seal.Reseal(ctx, store, seal.ResealOptions{Pause: 100 * time.Millisecond})
	fmt.Println(progress.Resealed, "resealed,", progress.Failed, "failed")
	return err
}

func sign(salt string, members map[string]string) string {
	var text strings.Builder
	text.WriteString(salt)
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(name + "=" + members[name])
	}
	return fmt.Sprintf("%X", sha256.Sum256([]byte(text.String())))
}

// vectorFile is testdata/vectors.json, as far as docs/protocol.md reads it.
type vectorFile struct {
	Vectors []struct {
		Name      string   `json:"name"`
		Salts     []string `json:"salts"`
		SaltIndex int      `json:"salt_index"`
		Digest    string   `json:"digest"`
		Verdict   string   `json:"verdict"`
		Canonical string   `json:"canonical"`
		Sign      string   `json:"sign"`
	} `json:"vectors"`
}

func docsVectors(file vectorFile) error {
	for _, v := range file.Vectors {
		if v.Verdict != "accept" || v.Digest != "SHA256" {
			continue
		}
		if got := fmt.Sprintf("%X", sha256.Sum256([]byte(v.Salts[v.SaltIndex]+v.Canonical))); got != v.Sign {
			return fmt.Errorf("%s: %s", v.Name, got)
		}
	}
	return nil
}

var _ = []any{
	docsMount, docsMountApart, (*sessions).userID, docsHooks, docsCrossOrigin, docsShutdown, docsApply, docsTest,
	docsTxStore, docsRunSuite, docsSeal, docsSaltUsage, docsReseal, docsSalts,
	docsConsole,
}
