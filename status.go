package codegrant

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Tokens returns the user's records, the ended ones too, oldest first.
func (k *Kit) Tokens(ctx context.Context, userID string) ([]Token, error) {
	tokens, err := k.store.ByUser(ctx, k.client.account.ID, userID)
	if err != nil {
		return nil, k.storeError(ctx, "tokens", err)
	}
	return tokens, nil
}

// ActiveToken returns the user's newest active token, of that wallet only when
// wallet is not empty; [ErrNoToken] when there is none. A token that was adopted
// by a message which named no wallet stands for any, where no other does.
func (k *Kit) ActiveToken(ctx context.Context, userID string, wallet Wallet) (Token, error) {
	tokens, err := k.Tokens(ctx, userID)
	if err != nil {
		return Token{}, err
	}
	unnamed := Token{}
	for i := len(tokens) - 1; i >= 0; i-- {
		switch t := tokens[i]; {
		case t.Status != StatusActive:
		case wallet == "" || t.Wallet == wallet:
			return t, nil
		case t.Wallet == "" && unnamed.ID == "":
			unnamed = t
		}
	}
	if unnamed.ID != "" {
		return unnamed, nil
	}
	return Token{}, &Error{Op: "token", Code: ErrNoToken}
}

// tokenView is what JSON answers show of a record.
type tokenView struct {
	ID        string     `json:"id"`
	Wallet    Wallet     `json:"wallet,omitempty"`
	Status    Status     `json:"status"`
	AuthURL   string     `json:"authUrl,omitempty"`
	EndedBy   EndedBy    `json:"endedBy,omitempty"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
}

func viewOf(t Token) tokenView {
	return tokenView{ID: t.ID, Wallet: t.Wallet, Status: t.Status, EndedBy: t.EndedBy, CreatedAt: &t.CreatedAt}
}

// Status returns the handler that tells the signed-in user's own pages how
// things stand, as JSON and never with a credential. GET answers
// {"tokens":[{"id","wallet","status","endedBy","createdAt"}]}; with the id of
// a record as one more path segment it answers that record alone, about which
// it asks the gateway as [Kit.Returned] does while the sign-up is open.
func (k *Kit) Status() http.Handler {
	return k.endpoint("status", func(w http.ResponseWriter, r *http.Request) error {
		k.boundReading(w, r)
		secureHeaders(w)
		fail := func(err error) error {
			k.reject(r.Context(), "status", err)
			writeJSONError(w, err)
			return err
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			return fail(&Error{Op: "status", Code: ErrMethod})
		}
		userID, err := k.user(r)
		if err != nil {
			return fail(err)
		}
		if id := r.PathValue("id"); id != "" {
			t, err := k.own(r.Context(), "status", userID, id)
			if err != nil {
				return fail(err)
			}
			writeJSON(w, http.StatusOK, viewOf(k.current(r.Context(), t)))
			return nil
		}
		ctx, cancel := context.WithTimeout(r.Context(), k.cfg.Timeout)
		defer cancel()
		tokens, err := k.Tokens(ctx, userID)
		if err != nil {
			return fail(err)
		}
		views := make([]tokenView, len(tokens))
		for i, t := range tokens {
			views[i] = viewOf(t)
		}
		writeJSON(w, http.StatusOK, map[string]any{"tokens": views})
		return nil
	})
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func writeJSONError(w http.ResponseWriter, err error) {
	writeJSON(w, HTTPStatus(err), map[string]string{"error": string(shownCode(err))})
}

// shownCode is codeOf for a browser or a client: nobody learns that another
// user's record exists.
func shownCode(err error) Code {
	if code := codeOf(err); code != ErrNotOwner {
		return code
	}
	return ErrNotFound
}
