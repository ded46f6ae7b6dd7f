package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Return returns the handler for the page that the wallet sends the browser
// back to. Mount it at [Config.ReturnURL] with one more path segment. It shows
// whether the sign-up is pending, connected or failed, from the store or a
// signed query and never from the URL, and turns from one to the other by
// itself; clients that accept JSON get {"id","wallet","status"}.
//
// Only the user who started the sign-up sees it. By the older flow the URL
// carries authCode and authState, for which the kit applies for the token
// before it sends the browser to the same page without them.
func (k *Kit) Return() http.Handler {
	return k.endpoint("return", func(w http.ResponseWriter, r *http.Request) error {
		k.boundReading(w, r)
		secureHeaders(w)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			return k.refuse(w, r, "return", &Error{Op: "return", Code: ErrMethod})
		}
		t, err := k.returning(r)
		if err != nil {
			return k.refuse(w, r, "return", err)
		}
		query := r.URL.Query()
		if code := query.Get("authCode"); code != "" && t.Status < StatusActive && r.Method == http.MethodGet {
			applied, err := k.applyAuthCode(r.Context(), t, code, query.Get("authState"))
			if err != nil {
				// The notification may still bring the token.
				k.reject(r.Context(), "return", err, slog.Any("token", t))
			} else {
				t = applied
			}
		}
		if r.URL.RawQuery != "" && !wantsJSON(r) {
			// A code must not stay in the address bar or in the history.
			http.Redirect(w, r, k.cfg.ReturnURL+"/"+t.ID, http.StatusSeeOther)
			return nil
		}
		t = k.current(r.Context(), t)
		if wantsJSON(r) {
			writeJSON(w, http.StatusOK, viewOf(t))
			return nil
		}
		if target, ok := k.returnTarget(t.ReturnTo); ok {
			t.ReturnTo = target
		} else {
			t.ReturnTo = k.cfg.ReturnTo[0] // it was allowed when the sign-up started
		}
		if k.cfg.ReturnPage != nil {
			k.cfg.ReturnPage(w, r, t)
			return nil
		}
		k.writeReturnPage(w, t)
		return nil
	})
}

// returning returns the record in the URL if it is the signed-in user's own.
func (k *Kit) returning(r *http.Request) (Token, error) {
	userID, err := k.user(r)
	if err != nil {
		return Token{}, err
	}
	return k.own(r.Context(), "return", userID, pathID(r))
}

// Returned returns the user's own record, as [Kit.Return] shows it, without
// HTTP: for pages and back ends of another framework, which may call it as often
// as a page polls. A sign-up that is still open after 5 s is asked about at the
// gateway, at most once in 10 s; what the gateway does not say is no error.
// [ErrNotFound] is for an id that is no record's, [ErrNotOwner] for another
// user's record, [ErrUnauthenticated] for an empty userID.
func (k *Kit) Returned(ctx context.Context, userID, id string) (Token, error) {
	t, err := k.own(ctx, "return", userID, id)
	if err != nil {
		return Token{}, err
	}
	return k.current(ctx, t), nil
}

func (k *Kit) own(ctx context.Context, op, userID, id string) (Token, error) {
	switch {
	case userID == "":
		return Token{}, &Error{Op: op, Code: ErrUnauthenticated}
	case !isRecordID(id): // no other text is asked of a store
		return Token{}, &Error{Op: op, Code: ErrNotFound}
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	return k.ownToken(ctx, op, userID, id)
}

const (
	queryAfter = 5 * time.Second  // a sign-up is left to its notification until then
	queryEvery = 10 * time.Second // a page that is watched does not ask more often
)

// lastAsked remembers which records were asked about a moment ago. The zero
// value is ready.
type lastAsked struct {
	mu sync.Mutex
	at map[string]time.Time
}

// due reports whether id may be asked about now, and if so remembers it.
func (l *lastAsked) due(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.at[id]) < queryEvery {
		return false
	}
	maps.DeleteFunc(l.at, func(_ string, at time.Time) bool { return now.Sub(at) >= queryEvery })
	if l.at == nil {
		l.at = make(map[string]time.Time)
	}
	l.at[id] = now
	return true
}

// current asks the gateway about a sign-up that is still open. It waits no
// longer than for a notification: the page shows what is known.
func (k *Kit) current(ctx context.Context, t Token) Token {
	now := k.now()
	if t.Status > StatusFailed || now.Sub(t.CreatedAt) < queryAfter || !k.asked.due(t.ID, now) {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	fresh, err := k.Refresh(ctx, t.ID)
	if err != nil && !errors.Is(err, ErrDisabled) {
		k.reject(ctx, "return", err, slog.Any("token", t))
	}
	if fresh.ID == "" {
		return t
	}
	return fresh
}
