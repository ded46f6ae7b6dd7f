package console_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// links checks that body is well-formed, and returns where its links lead. The
// templates close every element as XML does.
func links(t *testing.T, body string) (targets []string) {
	t.Helper()
	ids := map[string]bool{}
	for d := xml.NewDecoder(strings.NewReader(body)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return targets
		}
		require.NoError(t, err, body)
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		require.NotContains(t, []string{"script", "style", "iframe", "img"}, element.Name.Local)
		for _, a := range element.Attr {
			require.NotEqual(t, "style", a.Name.Local)
			require.False(t, strings.HasPrefix(a.Name.Local, "on"), a.Name.Local)
			switch a.Name.Local {
			case "id":
				require.False(t, ids[a.Value], "twice: %s", a.Value)
				ids[a.Value] = true
			case "href":
				targets = append(targets, a.Value)
			}
		}
	}
}

func requireSecureHeaders(t *testing.T, h http.Header) {
	t.Helper()
	require.Equal(t, "no-store", h.Get("Cache-Control"))
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
	require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
	require.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		h.Get("Content-Security-Policy"))
}

// secrets are all that no page may show.
func (m *merchant) secrets() map[string]bool {
	m.t.Helper()
	all, err := m.store.List(m.t.Context(), "", 1000)
	require.NoError(m.t, err)
	found := map[string]bool{gatewaytest.DefaultSalt: true}
	for _, t := range all {
		for _, s := range []string{t.Value.Reveal(), t.Reference.Reveal(), t.LoginID.Reveal(), t.AuthURL, t.AuthState} {
			if s != "" {
				found[s] = true
			}
		}
	}
	require.Greater(m.t, len(found), 15)
	return found
}

// Every page that can be reached, by links or by searching, is well-formed, is
// there, and shows no credential.
func TestEveryPageIsThereAndShowsNoCredential(t *testing.T) {
	t.Parallel()
	m := newMerchant(t).populate()
	todo, seen := []string{root, root + "unsettled?limit=2"}, map[string]string{}
	tokens, err := m.store.List(t.Context(), "", 1000)
	require.NoError(t, err)
	names := append([]string{}, m.orders...)
	for _, token := range tokens {
		names = append(names, token.UserID, token.ID)
		if token.Fingerprint != "" {
			names = append(names, token.Fingerprint, token.Value.Reveal())
		}
	}
	for _, name := range names {
		found := m.search(name)
		if name == hostile { // a user and an order
			require.Equal(t, http.StatusOK, found.Code)
			for _, target := range links(t, found.Body.String()) {
				todo = append(todo, resolve(root, target))
			}
			continue
		}
		require.Equal(t, http.StatusSeeOther, found.Code, found.Body)
		todo = append(todo, resolve(root+"search", found.Header().Get("Location")))
	}
	for len(todo) > 0 {
		target, _, _ := strings.Cut(todo[0], "#")
		todo = todo[1:]
		if _, done := seen[target]; done {
			continue
		}
		answer := m.get(target)
		body := answer.Body.String()
		seen[target] = body
		require.Equal(t, http.StatusOK, answer.Code, target)
		requireSecureHeaders(t, answer.Header())
		if answer.Header().Get("Content-Type") == "text/css; charset=utf-8" {
			continue
		}
		require.NotContains(t, body, "<script", target)
		for _, next := range links(t, body) {
			require.NotContains(t, next, "://")
			if strings.Contains(next, "hostile-token") || !strings.Contains(next, "token?") || !strings.Contains(next, "script") {
				todo = append(todo, resolve(target, next)) // the hostile order names a record that does not exist
			}
		}
	}
	require.Greater(t, len(seen), len(tokens)+len(m.orders))
	for secret := range m.secrets() {
		for target, body := range seen {
			require.NotContains(t, body, secret, target)
			require.NotContains(t, target, secret)
		}
		require.NotContains(t, m.log.String(), secret)
	}
}

// A record has a reason if and only if it is unsettled: the reasons follow the
// kit's rules.
func TestReasonsFollowTheRecord(t *testing.T) {
	t.Parallel()
	m := newMerchant(t).populate()
	tokens, err := m.store.List(t.Context(), "", 1000)
	require.NoError(t, err)
	waiting := 0
	check := func(target string, settled bool) {
		body := m.get(target).Body.String()
		require.Equal(t, settled, strings.Contains(body, "It waits for nothing"), body)
		require.Equal(t, !settled, strings.Contains(body, "<ul class=\"reasons\">"), body)
		require.Equal(t, !settled, strings.Contains(body, "sweep looks at it</h3>"), body)
		if !settled {
			waiting++
		}
	}
	for _, token := range tokens {
		check("token?account="+token.AccountID+"&id="+token.ID, token.UnsettledSince.IsZero())
	}
	for _, order := range m.orders {
		p, err := m.Payment(t.Context(), order)
		require.NoError(t, err)
		check("order?"+values("account", p.AccountID, "id", order), p.UnsettledSince.IsZero())
	}
	require.Greater(t, waiting, 7)
	list := m.get("unsettled").Body.String()
	require.Equal(t, waiting, strings.Count(list, "sweep looks at it"))
	require.Contains(t, m.get("./").Body.String(), `<p class="big">`)
}

func TestPagesSayWhatHappened(t *testing.T) {
	t.Parallel()
	m := newMerchant(t).populate()
	for name, c := range map[string]struct {
		user, order string
		want        []string
	}{
		"pending":                   {user: "pending", want: []string{"Sign-up undecided", "badge wait\">pending", "no token yet", "A sweep looks at it after"}},
		"active":                    {user: "active", want: []string{"badge good\">active", "Token delivered", "on record, not shown", "OnToken accepted “active”", "TNG eWallet"}},
		"failed":                    {user: "failed", want: []string{"badge bad\">failed", "A success that comes later still counts"}},
		"unbinding without answer":  {user: "unbinding", want: []string{"Unbinding unanswered", "No new charge starts"}},
		"ended by the user":         {user: "unbound", want: []string{"By the user, in the wallet.", "badge off\">unbound"}},
		"ended by the merchant":     {user: "ended", want: []string{"By you, the merchant."}},
		"a hook that refused":       {user: "hook", want: []string{"OnToken owed", "has not accepted “active”"}},
		"a payment under way":       {order: "order-pending", want: []string{"Payment pending", "350.00 PHP", "The gateway is working on it."}},
		"a paid order":              {order: "order-paid", want: []string{"badge good\">succeeded", "OnPayment accepted “succeeded”", "PingPong’s number"}},
		"a declined order":          {order: "order-failed", want: []string{"badge bad\">failed", "OnPayment accepted “failed”", "301002"}},
		"a refunded order":          {order: "order-refunded", want: []string{"Refund 1 sent", "Refund 1 succeeded", "<dt>Refunded</dt><dd>50.00 PHP</dd>", "broken cup", "OnRefund accepted"}},
		"a charge without answer":   {order: "order-unknown", want: []string{"Payment unknown", "never a new one", "answer not known"}},
		"a payment whose hook owes": {order: "order-owed", want: []string{"OnPayment owed", "Hook OnPayment owed"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := "order?" + values("account", m.AccountID(), "id", c.order)
			if c.user != "" {
				tokens, err := m.Tokens(t.Context(), c.user)
				require.NoError(t, err)
				require.Len(t, tokens, 1)
				target = "token?" + values("account", m.AccountID(), "id", tokens[0].ID)
			}
			page := m.get(target)
			require.Equal(t, http.StatusOK, page.Code)
			for _, want := range c.want {
				require.Contains(t, page.Body.String(), want)
			}
		})
	}
	doubted, err := m.Tokens(t.Context(), "doubted")
	require.NoError(t, err)
	user := m.get("user?" + values("account", m.AccountID(), "id", "doubted")).Body.String()
	require.Contains(t, user, "Token in doubt")
	require.Contains(t, user, "active, in doubt")
	require.Less(t, strings.Index(user, doubted[1].ID), strings.Index(user, doubted[0].ID), "newest first")
	require.Contains(t, user, doubted[0].Fingerprint[:8]+"…")
	require.NotContains(t, user, doubted[0].Fingerprint)
	require.Contains(t, m.get("./").Body.String(), "Salt 0 (signs)")
}

func TestUnsettledShowsMoreOnRequest(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	for range 3 {
		m.start("ann", codegrant.GCash)
	}
	for limit, want := range map[string]int{"2": 2, "0": 1, "-1": 1, "x": 3, "4": 3, "99999999999999999999": 3} {
		page := m.get("unsettled?limit=" + limit).Body.String()
		require.Equal(t, want, strings.Count(page, "Sign-up undecided"), limit)
		require.Equal(t, want < 3, strings.Contains(page, "unsettled?limit="), limit)
	}
	require.Contains(t, m.get("./").Body.String(), `<p class="big">3 `)
}

// What the simulator's flows do not bring about.
func TestRarerRecords(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	for by, want := range map[codegrant.EndedBy]string{
		codegrant.EndedByGateway: "By the gateway: it no longer knows the token.",
		"":                       "Nothing says by whom.",
	} {
		id := "ended-" + string(by)
		require.NoError(t, m.store.Save(t.Context(), codegrant.Token{
			ID: id, AccountID: m.AccountID(), Status: codegrant.StatusUnbound, Handled: codegrant.StatusUnbound, EndedBy: by,
			Revision: 1, CreatedAt: m.now(), UpdatedAt: m.now(),
		}))
		page := m.get("token?" + values("account", m.AccountID(), "id", id)).Body.String()
		require.Contains(t, page, want)
		require.Contains(t, page, "not known", "neither wallet nor user")
	}

	_, err := m.Payment(t.Context(), "order-1")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	refund := func(number int, o, handled codegrant.Outcome) codegrant.RefundRecord {
		return codegrant.RefundRecord{Number: number, Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}, Outcome: o, Handled: handled}
	}
	require.NoError(t, m.store.SavePayment(t.Context(), codegrant.Payment{
		ID: m.store.last, AccountID: m.AccountID(), OrderID: "order-1", Outcome: codegrant.Succeeded, Handled: codegrant.Succeeded,
		Amount: codegrant.Amount{Minor: 900, Currency: "PHP"}, Revision: 1, CreatedAt: m.now(), UnsettledSince: m.now().Add(-time.Hour),
		Refunds: []codegrant.RefundRecord{
			refund(1, "", ""), refund(2, codegrant.Pending, ""), refund(3, codegrant.Succeeded, ""), refund(4, codegrant.Failed, codegrant.Failed),
			refund(0, codegrant.Succeeded, codegrant.Succeeded),
		},
	}))
	page := m.get("order?" + values("account", m.AccountID(), "id", "order-1")).Body.String()
	for _, want := range []string{
		"Heard of by a notification", "Refund unknown", "refund 1 was sent, or was about to be", "Refund pending", "working on refund 2",
		"OnRefund owed", "“succeeded” of refund 3", "Refund 4 failed", "Refund that was not made here succeeded",
		"<dt>Refunded</dt><dd>2.00 PHP</dd>", "The next sweep looks at it.",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 3, strings.Count(page, `<strong class="badge`), "refund 4 and the one not made here wait for nothing")
	links(t, page)
}
