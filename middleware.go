package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

type contextKey int

const (
	notificationKey contextKey = iota
	tokenKey
)

// VerifyNotification lets only signed notifications through to next, for those
// who handle them on their own. next finds the notification in the context
// ([NotificationFromContext]) and the body as received. Everything else gets
// the answers of [Kit.Notify], and next does not run. It changes no record.
func (k *Kit) VerifyNotification(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		var n Notification
		verified := false
		k.endpoint("verify", func(w http.ResponseWriter, r *http.Request) (err error) {
			if body, err = k.readBody(w, r); err == nil {
				n, err = k.parse(r.Context(), readMessage(body, k.cfg.MaxBody))
			}
			if err != nil {
				k.reject(r.Context(), "verify", err)
				answerNotification(w, err)
			}
			verified = err == nil
			return err
		}).ServeHTTP(w, r)
		if !verified {
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), notificationKey, n))
		restoreBody(r, body)
		next.ServeHTTP(w, r)
	})
}

// NotificationFromContext returns what [Kit.VerifyNotification] verified;
// false outside of it.
func NotificationFromContext(ctx context.Context) (Notification, bool) {
	n, ok := ctx.Value(notificationKey).(Notification)
	return n, ok
}

// RequireToken lets a request through only if the signed-in user has an active
// token, which the next handler finds in the context ([TokenFromContext]).
// Otherwise, also when nobody is signed in, missing answers; nil missing means
// 409 with a plain page. When the user or the store cannot be read the answer
// is 503 and neither runs.
func (k *Kit) RequireToken(missing http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, err := k.requestToken(r)
			switch {
			case err == nil:
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey, t)))
			case missing != nil && (errors.Is(err, ErrNoToken) || errors.Is(err, ErrUnauthenticated)):
				missing.ServeHTTP(w, r)
			default:
				k.reject(r.Context(), "require token", err, slog.Any("token", t))
				k.answerError(w, r, err)
			}
		})
	}
}

func (k *Kit) requestToken(r *http.Request) (Token, error) {
	userID, err := k.user(r)
	if err != nil {
		return Token{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), k.cfg.Timeout)
	defer cancel()
	return k.ActiveToken(ctx, userID, "")
}

// TokenFromContext returns the token that [Kit.RequireToken] found; false
// outside of it.
func TokenFromContext(ctx context.Context) (Token, bool) {
	t, ok := ctx.Value(tokenKey).(Token)
	return t, ok
}
