package demotest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

// Mount returns a server's handler with kit in it, wherever and behind
// whatever.
type Mount func(kit *codegrant.Kit) http.Handler

// Verdict is what became of a kit that was mounted.
type Verdict struct {
	SignUp       int // status of a form posted to prefix + "/signup"
	Notification int // status that the gateway was answered
}

// Works is the Verdict when nothing stands in the way.
func Works() Verdict { return Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusOK} }

// Judge tries a kit that is mounted at prefix. Its user is "ann".
func Judge(t *testing.T, prefix string, mount Mount) Verdict {
	t.Helper()
	s, kit := openKit(t, prefix, mount, nil)
	b := s.Browser(t)
	v := Verdict{SignUp: b.Submit(prefix+"/signup", url.Values{"wallet": {"GCash"}}).Status}
	// Started beneath the router, so that it does not depend on the form's way.
	record, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	must(t, err)
	must(t, s.Gateway.Approve(record.AuthURL))
	v.Notification = s.Delivered()
	return v
}

// Panics tries a kit, mounted at prefix, whose surroundings panic: Config.User
// is left to the framework, which answers 500 and lives on; a hook is the
// kit's to survive, and hears the news again.
func Panics(t *testing.T, prefix string, mount Mount) {
	t.Helper()
	var calls atomic.Int64
	s, _ := openKit(t, prefix, mount, func(context.Context, codegrant.Change) error {
		if calls.Add(1) == 1 {
			panic("the hook's")
		}
		return nil
	})
	b := s.Browser(t)
	form := url.Values{"wallet": {"GCash"}}
	equal(t, http.StatusInternalServerError, b.Submit(prefix+"/signup", form, "X-Panic", "user").Status, "a panic in Config.User")
	equal(t, 0, len(s.Gateway.Ledger().Agreements), "agreements begun by it")

	away := b.Submit(prefix+"/signup", form)
	equal(t, http.StatusSeeOther, away.Status, "the next sign-up")
	must(t, s.Gateway.Approve(away.Location))
	equal(t, http.StatusServiceUnavailable, s.Delivered(), "a panic in OnToken")
	again, err := s.Gateway.Redeliver(s.Gateway.Notifications()[0].ID)
	must(t, err)
	equal(t, http.StatusOK, again.Status, "the same notification again")
	equal(t, int64(2), calls.Load(), "calls of OnToken")
}

// openKit opens a server with nothing but a page and a kit.
func openKit(t *testing.T, prefix string, mount Mount, onToken func(context.Context, codegrant.Change) error) (*Shop, *codegrant.Kit) {
	t.Helper()
	var kit *codegrant.Kit
	s := Open(t, func(listener net.Listener, client *codegrant.Client, url string) func() {
		var err error
		kit, err = codegrant.New(codegrant.Config{
			Client: client, Store: memstore.New(), BaseURL: url + prefix,
			User: func(r *http.Request) (string, error) {
				if r.Header.Get("X-Panic") != "" {
					panic("the user's")
				}
				return "ann", nil
			},
			OnToken: onToken, Logger: slog.New(slog.DiscardHandler),
		})
		must(t, err)
		return serve(listener, mount(kit))
	})
	return s, kit
}
