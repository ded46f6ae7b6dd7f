package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/codegrant/codegrant"
)

// badge is a state in a word and a colour.
type badge struct{ Class, Text string }

// fact is a line about a record. Text is what other people wrote, as it is.
type fact struct {
	Name, Text, Link string
	At               moment // instead of Text
}

// step is something in the life of a record.
type step struct {
	Class, Title, Text string
	At                 moment // zero where no time is recorded
	By                 bool   // At is the latest that it can have been
	Facts              []fact
}

// record is the page of one sign-up or order. Nothing gets on a page that is
// not named here: a record's credentials are never copied.
type record struct {
	Kind, Name string
	Badge      badge
	Pasted     bool // a token's value was searched for
	Waiting    []reason
	Next       moment
	Facts      []fact
	Steps      []step
}

func tokenBadge(t codegrant.Token) badge {
	switch {
	case t.Status == codegrant.StatusActive && !t.DoubtedAt.IsZero():
		return badge{"wait", "active, in doubt"}
	case t.Status == codegrant.StatusActive:
		return badge{"good", "active"}
	case t.Status == codegrant.StatusFailed:
		return badge{"bad", "failed"}
	case t.Status == codegrant.StatusUnbound:
		return badge{"off", "unbound"}
	}
	return badge{"wait", t.Status.String()}
}

func outcomeBadge(o codegrant.Outcome) badge {
	switch o {
	case codegrant.Succeeded:
		return badge{"good", "succeeded"}
	case codegrant.Failed:
		return badge{"bad", "failed"}
	case codegrant.Pending:
		return badge{"wait", "pending"}
	}
	return badge{"wait", "not known"}
}

const maxRows = 200 // sign-ups of one user

func (v *visit) user(ctx context.Context) error {
	account, id, err := v.named()
	if err != nil {
		return err
	}
	tokens, err := v.tokensOf(ctx, account, id)
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		return codegrant.ErrNotFound
	}
	slices.Reverse(tokens)
	c := struct {
		ID, Account string
		Orders      bool
		Total       int
		Rows        []record
	}{ID: id, Account: account, Orders: v.cfg.Payments != nil, Total: len(tokens)}
	for _, t := range tokens[:min(len(tokens), maxRows)] {
		c.Rows = append(c.Rows, record{
			Name: cmp.Or(string(t.Wallet), "unknown wallet"), Badge: tokenBadge(t),
			Waiting: v.tokenReasons(t),
			Facts: []fact{
				{Name: "Sign-up", Text: t.ID, Link: link("token", account, t.ID)},
				{Name: "Fingerprint", Text: short(t.Fingerprint)},
				{Name: "Created", At: v.at(t.CreatedAt)},
				{Name: "Last change", At: v.at(t.UpdatedAt)},
			},
		})
	}
	return v.show("user", page{Title: "User " + id, Content: c})
}

func short(fingerprint string) string {
	if len(fingerprint) < 8 {
		return "no token yet"
	}
	return fingerprint[:8] + "…"
}

func (v *visit) token(ctx context.Context) error {
	account, id, err := v.named()
	if err != nil {
		return err
	}
	t, err := v.cfg.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if t.AccountID != account || t.ID != id {
		return codegrant.ErrNotFound
	}
	login := "not known"
	if !t.LoginID.IsZero() {
		login = "on record, not shown"
	}
	return v.show("record", page{Title: "Sign-up " + t.ID, Content: record{
		Kind: "Sign-up", Name: t.ID, Badge: tokenBadge(t), Pasted: v.r.URL.Query().Get("pasted") != "",
		Waiting: v.tokenReasons(t), Next: v.nextLook(t.UnsettledSince),
		Facts: []fact{
			{Name: "Wallet", Text: cmp.Or(string(t.Wallet), "not known")},
			{Name: "User", Text: cmp.Or(t.UserID, "not known"), Link: v.userLink(account, t.UserID)},
			{Name: "Account", Text: account},
			{Name: "Fingerprint of the token", Text: cmp.Or(t.Fingerprint, "no token yet")},
			{Name: "Name in the wallet", Text: login},
			{Name: "Created", At: v.at(t.CreatedAt)},
			{Name: "Last change", At: v.at(t.UpdatedAt)},
			{Name: "Revision", Text: strconv.FormatInt(t.Revision, 10)},
		},
		Steps: v.tokenSteps(t),
	}})
}

func (v *visit) userLink(account, user string) string {
	if user == "" {
		return ""
	}
	return link("user", account, user)
}

// tokenSteps tells a sign-up's life as far as the record knows it.
func (v *visit) tokenSteps(t codegrant.Token) []step {
	steps := []step{{Class: "good", Title: "Sign-up started", At: v.at(t.CreatedAt)}}
	add := func(s step) { steps = append(steps, s) }
	if t.Status == codegrant.StatusFailed {
		add(step{Class: "bad", Title: "Failed", At: v.at(t.UpdatedAt), By: true,
			Text: "The wallet or the gateway refused, or nothing was heard for too long. A success that comes later still counts."})
	}
	if t.Fingerprint != "" {
		s := step{Class: "good", Title: "Token delivered", Text: "The user agreed in the wallet."}
		if t.Status == codegrant.StatusActive {
			s.At, s.By = v.at(t.UpdatedAt), true
		}
		add(s)
	}
	if !t.DoubtedAt.IsZero() {
		add(step{Class: "wait", Title: "In doubt", At: v.at(t.DoubtedAt),
			Text: "A charge was told that the gateway does not know the token, or a newer sign-up may have taken its place."})
	}
	if t.Status == codegrant.StatusUnbinding {
		add(step{Class: "wait", Title: "Unbinding asked for", Text: "By you, the merchant.", At: v.at(t.UpdatedAt), By: true})
	}
	if t.Status == codegrant.StatusUnbound {
		add(step{Class: "off", Title: "Ended", Text: endedBy(t.EndedBy), At: v.at(t.UpdatedAt), By: true})
	}
	switch {
	case t.Handled < t.Status:
		add(step{Class: "wait", Title: "Hook OnToken owed", Text: "It has not accepted “" + t.Status.String() + "” yet."})
	case t.Status != codegrant.StatusPending:
		add(step{Class: "good", Title: "Hook OnToken accepted “" + t.Handled.String() + "”"})
	}
	return v.withNext(steps, t.UnsettledSince)
}

func endedBy(by codegrant.EndedBy) string {
	switch by {
	case codegrant.EndedByUser:
		return "By the user, in the wallet."
	case codegrant.EndedByMerchant:
		return "By you, the merchant."
	case codegrant.EndedByGateway:
		return "By the gateway: it no longer knows the token."
	}
	return "Nothing says by whom."
}

// withNext adds what comes next.
func (v *visit) withNext(steps []step, unsettledSince time.Time) []step {
	if unsettledSince.IsZero() {
		return steps
	}
	s := step{Class: "next", Title: "A sweep looks at it", At: v.nextLook(unsettledSince)}
	if s.At.Past() {
		s.Title, s.At = "The next sweep looks at it", moment{}
	}
	return append(steps, s)
}
