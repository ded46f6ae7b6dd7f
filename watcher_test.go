package codegrant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// watcher remembers what it is told, as lines: an operation that began inside of
// another one stands below it, indented.
type watcher struct {
	mu     sync.Mutex
	roots  []*watched
	all    []*watched
	events []codegrant.Event
}

type watched struct {
	codegrant.Operation
	inside []*watched
	ends   []codegrant.Result
}

type watchedKey struct{}

func (w *watcher) Start(ctx context.Context, op codegrant.Operation) (context.Context, func(codegrant.Result)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &watched{Operation: op}
	w.all = append(w.all, o)
	if around, ok := ctx.Value(watchedKey{}).(*watched); ok {
		around.inside = append(around.inside, o)
	} else {
		w.roots = append(w.roots, o)
	}
	return context.WithValue(ctx, watchedKey{}, o), func(r codegrant.Result) {
		w.mu.Lock()
		defer w.mu.Unlock()
		o.ends = append(o.ends, r)
	}
}

func (w *watcher) Event(_ context.Context, e codegrant.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// forget makes what follows stand alone.
func (w *watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.roots, w.all, w.events = nil, nil, nil
}

func (w *watcher) operations() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	var write func(list []*watched, indent string)
	write = func(list []*watched, indent string) {
		for _, o := range list {
			fields := []string{string(o.Kind), o.Name, string(o.Wallet)}
			for _, r := range o.ends {
				status := ""
				if r.Status != 0 {
					status = fmt.Sprint(r.Status)
				}
				fields = append(fields, status, string(r.Outcome), string(codegrant.CodeOf(r.Err)))
			}
			if len(o.ends) == 0 {
				fields = append(fields, "never ended")
			}
			fields = slices.DeleteFunc(fields, func(s string) bool { return s == "" })
			fmt.Fprintf(&b, "%s%s\n", indent, strings.Join(fields, " "))
			write(o.inside, indent+"  ")
		}
	}
	write(w.roots, "")
	return b.String()
}

func (w *watcher) heard(t testing.TB, code codegrant.Code) codegrant.Event {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []codegrant.Event
	for _, e := range w.events {
		if e.Code == code {
			found = append(found, e)
		}
	}
	require.Len(t, found, 1, "events %s", code)
	return found[0]
}

func watchedBy(o codegrant.Observer) shopOption {
	return func(_ *gatewaytest.Config, client *codegrant.ClientConfig, kit *codegrant.Config) {
		client.Observer, kit.Observer = o, o
	}
}

// requireDiscreet holds all that an observer was told against what must not be
// a label.
func (w *watcher) requireDiscreet(t testing.TB, token codegrant.Token) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var told strings.Builder
	for _, o := range w.all {
		require.Len(t, o.ends, 1, "%s %s", o.Kind, o.Name)
		require.Equal(t, gatewaytest.DefaultAccountID, o.AccountID)
		if o.Kind == codegrant.OperationCall {
			require.Equal(t, "https://gateway.test", o.Host)
			require.True(t, strings.HasPrefix(o.Path, "/v4/"), o.Path)
		}
		fmt.Fprintf(&told, "%+v\n", o.Operation)
	}
	for _, e := range w.events {
		if e.Err != nil {
			requireDiscreet(t, e.Err, tokenValue)
		}
		e.Err = nil
		fmt.Fprintf(&told, "%+v\n", e)
	}
	for _, secret := range []string{"ann", "bob", "order-1", "Wallet 4711", "203.0.113.7", "example.com", tokenValue,
		gatewaytest.DefaultSalt, token.ID, token.Value.Reveal(), token.Fingerprint} {
		if secret != "" {
			require.NotContains(t, told.String(), secret)
		}
	}
}
