package console_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// values is a query of names and values in turn.
func values(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestNewNamesEveryProblem(t *testing.T) {
	t.Parallel()
	kit := newMerchant(t).Kit
	someone := func(*http.Request) (string, error) { return "Mia", nil }
	for name, c := range map[string]struct {
		cfg  console.Config
		want []string
	}{
		"nothing":             {console.Config{}, []string{"Authorize is missing", "Store is missing", "one of Kit and Accounts"}},
		"no login":            {console.Config{Kit: kit, Store: memstore.New()}, []string{"Authorize is missing"}},
		"both":                {console.Config{Kit: kit, Accounts: &codegrant.Accounts{}, AccountIDs: []string{"1"}, Store: memstore.New(), Authorize: someone}, []string{"one of Kit and Accounts"}},
		"accounts of no name": {console.Config{Accounts: &codegrant.Accounts{}, Store: memstore.New(), Authorize: someone}, []string{"AccountIDs names"}},
		"an empty account":    {console.Config{Accounts: &codegrant.Accounts{}, AccountIDs: []string{""}, Store: memstore.New(), Authorize: someone}, []string{"AccountIDs names"}},
		"a kit with accounts": {console.Config{Kit: kit, AccountIDs: []string{"1"}, Store: memstore.New(), Authorize: someone}, []string{"AccountIDs names"}},
		"a negative time":     {console.Config{Kit: kit, Store: memstore.New(), Authorize: someone, SweepTimeout: -1}, []string{"must not be negative"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := console.New(c.cfg)
			require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestNobodyGetsInWithoutAName(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, func(_ *merchant, c *console.Config) {
		c.Authorize = func(r *http.Request) (string, error) {
			if r.Header.Get("X-Staff") == "broken" {
				return "broken", errors.New("the login does not answer")
			}
			return r.Header.Get("X-Staff"), nil
		}
		c.Sweep = func(context.Context) (codegrant.Sweep, error) { panic("swept") }
	})
	token := m.connect("ann", codegrant.GCash)
	for _, staff := range []string{"", "broken"} {
		for _, target := range []string{"", "unsettled", "style.css", "nowhere", "search", "sweep", "user?" + values("account", m.AccountID(), "id", "ann")} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead} {
				answer := m.do(method, root+target, url.Values{"q": {"ann"}}, "X-Staff", staff)
				require.Equal(t, http.StatusForbidden, answer.Code, target)
				require.NotContains(t, answer.Body.String(), token.ID)
				require.NotContains(t, answer.Body.String(), "does not answer")
				requireSecureHeaders(t, answer.Header())
				links(t, answer.Body.String())
			}
		}
	}
	require.Contains(t, m.log.String(), `"code":"unauthenticated"`)
	require.Contains(t, m.log.String(), "the login does not answer")
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	token := m.connect("ann", codegrant.GCash)
	other := token
	other.ID, other.AccountID, other.UserID, other.Fingerprint = "other", "another-account", "ann", strings.Repeat("ab", 32)
	other.Revision = 1
	require.NoError(t, m.store.Save(t.Context(), other))
	account := m.AccountID()
	long := strings.Repeat("x", 600)
	post := func(q string) url.Values { return url.Values{"q": {q}} }
	for name, c := range map[string]struct {
		method, target string
		form           url.Values
		header         []string
		status         int
		code           codegrant.Code
	}{
		"an unknown page":                        {target: "nowhere", status: 404, code: codegrant.ErrNotFound},
		"a page below a page":                    {target: "token/x", status: 404, code: codegrant.ErrNotFound},
		"an unknown sign-up":                     {target: "token?" + values("account", account, "id", "x"), status: 404, code: codegrant.ErrNotFound},
		"an unknown user":                        {target: "user?" + values("account", account, "id", "x"), status: 404, code: codegrant.ErrNotFound},
		"an unknown order":                       {target: "order?" + values("account", account, "id", "x"), status: 404, code: codegrant.ErrNotFound},
		"another account's sign-up":              {target: "token?" + values("account", account, "id", "other"), status: 404, code: codegrant.ErrNotFound},
		"an account that is not shown":           {target: "token?" + values("account", "another-account", "id", "other"), status: 404, code: codegrant.ErrNotFound},
		"no account":                             {target: "token?" + values("id", token.ID), status: 400, code: codegrant.ErrInvalidRequest},
		"no id":                                  {target: "user?" + values("account", account), status: 400, code: codegrant.ErrInvalidRequest},
		"a long id":                              {target: "user?" + values("account", account, "id", long), status: 400, code: codegrant.ErrInvalidRequest},
		"an id that is no text":                  {target: "user?" + values("account", account, "id", "\xff"), status: 400, code: codegrant.ErrInvalidRequest},
		"an id with a zero byte":                 {target: "token?" + values("account", account, "id", "a\x00"), status: 400, code: codegrant.ErrInvalidRequest},
		"a search for nothing":                   {method: "POST", target: "search", form: post("  "), status: 400, code: codegrant.ErrInvalidRequest},
		"a search over lines":                    {method: "POST", target: "search", form: post("a\nb"), status: 400, code: codegrant.ErrInvalidRequest},
		"a long search":                          {method: "POST", target: "search", form: post(long), status: 413, code: codegrant.ErrTooLarge},
		"a huge search":                          {method: "POST", target: "search", form: post(strings.Repeat("x", 10<<10)), status: 413, code: codegrant.ErrTooLarge},
		"a search without result":                {method: "POST", target: "search", form: post("nobody at all"), status: 404, code: codegrant.ErrNotFound},
		"a search for another account's sign-up": {method: "POST", target: "search", form: post("other"), status: 404, code: codegrant.ErrNotFound},
		"a search for another's fingerprint":     {method: "POST", target: "search", form: post(other.Fingerprint), status: 404, code: codegrant.ErrNotFound},
		"a search in an account not shown":       {method: "POST", target: "search", form: url.Values{"q": {"ann"}, "account": {"another-account"}}, status: 404, code: codegrant.ErrNotFound},
		"a search by address":                    {target: "search?q=ann", status: 405, code: codegrant.ErrMethod},
		"a sweep by address":                     {target: "sweep", status: 405, code: codegrant.ErrMethod},
		"a page by POST":                         {method: "POST", target: "unsettled", status: 405, code: codegrant.ErrMethod},
		"a page by DELETE":                       {method: "DELETE", target: "", status: 405, code: codegrant.ErrMethod},
		"a sweep from another site":              {method: "POST", target: "sweep", header: []string{"Sec-Fetch-Site", "cross-site"}, status: 403, code: codegrant.ErrCrossOrigin},
		"a search from a neighbour":              {method: "POST", target: "search", form: post("ann"), header: []string{"Origin", "https://evil.test"}, status: 403, code: codegrant.ErrCrossOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			answer := m.do(method, root+c.target, c.form, c.header...)
			body := answer.Body.String()
			require.Equal(t, c.status, answer.Code, body)
			require.Contains(t, body, "<code>"+string(c.code)+"</code>")
			requireSecureHeaders(t, answer.Header())
			links(t, body)
			require.NotContains(t, body, "nobody at all")
			require.NotContains(t, body, "another-account")
		})
	}
	require.NotContains(t, m.log.String(), "nobody at all")
}

func TestHeadIsAnsweredAsGet(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.StatusOK, newMerchant(t).do(http.MethodHead, root, nil).Code)
}

func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"with its own error": {errors.New("database at db.internal:5432 is down"), "store_failed"},
		"too late":           {context.DeadlineExceeded, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMerchant(t)
			token := m.connect("ann", codegrant.GCash)
			m.store.failWith(c.err)
			account := m.AccountID()
			for _, target := range []string{
				"", "unsettled", "token?" + values("account", account, "id", token.ID), "user?" + values("account", account, "id", "ann"),
			} {
				answer := m.get(target)
				require.Equal(t, http.StatusServiceUnavailable, answer.Code, target)
				require.Contains(t, answer.Body.String(), "<code>"+c.code+"</code>")
				require.NotContains(t, answer.Body.String(), "db.internal")
			}
			answer := m.search(token.Value.Reveal())
			require.Equal(t, http.StatusServiceUnavailable, answer.Code)
			require.Contains(t, m.log.String(), `"code":"`+c.code+`"`)
			require.Contains(t, m.log.String(), `"staff":"Mia"`)
			require.NotContains(t, m.log.String()+answer.Body.String(), token.Value.Reveal())
		})
	}
}

// A sealed store returns what it could open beside its error.
func TestAListThatIsNotComplete(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	signUp := m.start("ann", codegrant.GCash)
	m.store.failPartly(errors.New("no key 7"))
	for _, target := range []string{"", "unsettled"} {
		page := m.get(target)
		require.Equal(t, http.StatusOK, page.Code)
		require.Contains(t, page.Body.String(), "could not be read (store_failed)")
		require.NotContains(t, page.Body.String(), "no key 7")
		links(t, page.Body.String())
	}
	require.Contains(t, m.get("unsettled").Body.String(), signUp.ID)
	require.Contains(t, m.log.String(), "no key 7")
}

func TestATokenValueIsFoundAndNeverRepeated(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	token := m.connect("ann", codegrant.GCash)
	found := m.search(" " + token.Value.Reveal() + " ")
	require.Equal(t, http.StatusSeeOther, found.Code)
	location := found.Header().Get("Location")
	require.NotContains(t, location, token.Value.Reveal())
	page := m.get(location).Body.String()
	require.Contains(t, page, "which is a credential")
	require.Contains(t, page, token.ID)
	require.NotContains(t, page+found.Body.String()+m.log.String(), token.Value.Reveal())

	other := token
	other.ID, other.AccountID, other.Revision = "other", "another-account", 1
	other.Value, other.Fingerprint = codegrant.NewSecret("value-elsewhere"), codegrant.Fingerprint(codegrant.NewSecret("value-elsewhere"))
	require.NoError(t, m.store.Save(t.Context(), other))
	require.Equal(t, http.StatusNotFound, m.search("value-elsewhere").Code)
	require.NotContains(t, m.store.askedFor(), "value-elsewhere", "it must not reach a query's parameters")
	require.NotContains(t, m.store.askedFor(), token.Value.Reveal())

	byName := m.search(strings.ToUpper(token.Fingerprint)).Header().Get("Location")
	require.Equal(t, location, byName+"&pasted=yes")
	short := m.search(token.Fingerprint[:8])
	require.Equal(t, http.StatusNotFound, short.Code)
	require.Contains(t, short.Body.String(), "A shortened fingerprint cannot be looked up")
	require.NotContains(t, short.Body.String(), token.Fingerprint[:8])
}

func TestWithoutPaymentsNoOrderIsOffered(t *testing.T) {
	t.Parallel()
	m := newMerchant(t, func(_ *merchant, c *console.Config) { c.Payments, c.Sweep = nil, nil })
	m.connect("buyer", codegrant.GCash)
	require.NoError(t, m.charge("buyer", "order-1"))
	require.Equal(t, http.StatusNotFound, m.search("order-1").Code)
	for _, target := range []string{"", "unsettled", "user?" + values("account", m.AccountID(), "id", "buyer")} {
		page := m.get(target)
		require.Equal(t, http.StatusOK, page.Code)
		require.NotContains(t, strings.ToLower(page.Body.String()), "order")
		require.NotContains(t, page.Body.String(), "Sweep now")
	}
	require.Equal(t, http.StatusNotFound, m.do(http.MethodPost, root+"sweep", nil).Code)
}

// Two accounts share a store; the same user is in both, and a third one is not
// shown.
func TestSeveralAccounts(t *testing.T) {
	t.Parallel()
	const hongKong, manila, secret, gone = "2022102018024210348001", "2022102018024210348002", "2022102018024210348003", "2022102018024210348004"
	gateway := gatewaytest.New(gatewaytest.Config{
		BaseURL: "https://gateway.test", AccountID: hongKong, Salt: "salt of " + hongKong,
		ExtraAccounts: []gatewaytest.Account{{AccountID: manila, Salt: "salt of " + manila}, {AccountID: secret, Salt: "salt of " + secret}},
	})
	t.Cleanup(gateway.Close)
	store := memstore.New()
	var kits []*codegrant.Kit
	for _, id := range []string{hongKong, manila, secret} {
		client, err := codegrant.NewClient(codegrant.ClientConfig{
			Account:    codegrant.Account{ID: id, Salts: codegrant.Salts("salt of "+id, "an older salt of "+id)},
			Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
			HTTPClient: &http.Client{Transport: gateway.Transport()},
		})
		require.NoError(t, err)
		kit, err := codegrant.New(codegrant.Config{
			Client: client, Store: store, Payments: store, BaseURL: "https://shop.test/wallet/" + id, Logger: slog.New(slog.DiscardHandler),
			User: func(*http.Request) (string, error) { return "nobody", nil },
		})
		require.NoError(t, err)
		require.Equal(t, id, kit.AccountID())
		kits = append(kits, kit)
		_, err = kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
		require.NoError(t, err)
	}
	accounts, err := codegrant.NewAccounts(codegrant.AccountsConfig{Kits: kits, Store: store, Payments: store, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	m := newMerchant(t, func(_ *merchant, c *console.Config) {
		c.Kit, c.Accounts, c.AccountIDs = nil, accounts, []string{hongKong, manila, gone}
		c.Store, c.Payments, c.Sweep = store, store, accounts.Reconcile
	})

	both := m.search("ann")
	require.Equal(t, http.StatusOK, both.Code)
	require.Contains(t, both.Body.String(), "Several things have this name")
	var users []string
	for _, target := range links(t, both.Body.String()) {
		if strings.HasPrefix(target, "user?") {
			users = append(users, target)
		}
	}
	require.Equal(t, []string{"user?" + values("account", hongKong, "id", "ann"), "user?" + values("account", manila, "id", "ann")}, users)
	one := m.search("ann", "account", manila)
	require.Equal(t, users[1], one.Header().Get("Location"))

	hidden, err := kits[2].Tokens(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, m.search(hidden[0].ID).Code)
	for _, target := range []string{"", "unsettled"} {
		page := m.get(target).Body.String()
		links(t, page)
		require.NotContains(t, page, hidden[0].ID)
		require.NotContains(t, page, secret)
	}
	start := m.get("./").Body.String()
	require.Contains(t, start, `<p class="big">2 `)
	require.Contains(t, start, "Salt 1")
	require.Contains(t, start, "Account "+gone+" could not be reached (not_found)")
	require.Equal(t, 2, strings.Count(m.get("unsettled").Body.String(), "Sign-up undecided"))
}
