package gatewaytest

import (
	"net/url"
	"slices"
	"time"
)

// Statuses of agreements, charges and refunds. Those of payments are documented
// (PingPong v4, section 7.3); those of agreements are a guess.
const (
	StatusPending    = "PENDING"
	StatusProcessing = "PROCESSING"
	StatusSuccess    = "SUCCESS"
	StatusFailed     = "FAILED"
	StatusUnbound    = "UNBOUND"
)

// Who ended an agreement.
const (
	EndedByMerchant   = "merchant"
	EndedByUser       = "user"
	EndedBySuperseded = "superseded"
)

// Agreement is one sign-up and what became of it.
type Agreement struct {
	AccountID string
	RequestID string // the sign-up's own requestId
	UserID    string // merchantUserId
	Wallet    string
	Status    string // PENDING, SUCCESS, FAILED after a refusal, or UNBOUND
	Reference string // the 32 hex digits that bind answers with; empty for legacy
	Token     string // the 64 hex digits for paying; empty until the user agrees
	AuthURL   string
	LoginID   string // userLoginId, the account name in the wallet
	ReturnURL string // merchantResultUrl or authRedirectUrl, as given
	NotifyURL string
	Legacy    bool // made by authorization/prepare
	CreatedAt time.Time
	ExpiresAt time.Time // zero until the user agrees
	EndedBy   string    // empty while Status is not UNBOUND
}

type agreement struct {
	Agreement
	state    string // authState
	authCode string
	// applied is the requestId that used up authCode.
	applied string
	// last is the latest notification about this agreement.
	last *notice
}

func (a *agreement) live(now time.Time) bool {
	return a.Status == StatusSuccess && now.Before(a.ExpiresAt)
}

// propose records a new sign-up. The caller holds mu.
func (g *Gateway) propose(c *call, a Agreement) *agreement {
	state := g.number(16)
	for g.byState[state] != nil {
		state = g.number(16)
	}
	a.AccountID = c.account.AccountID
	a.Status = StatusPending
	a.CreatedAt = time.Now()
	a.LoginID = "u" + g.number(6) + "@wallet.test"
	a.AuthURL = g.authURL(c, a, state)
	added := &agreement{Agreement: a, state: state}
	if !a.Legacy {
		added.Reference = g.hex(32)
		g.byToken[key{a.AccountID, added.Reference}] = added
	}
	g.agreements = append(g.agreements, added)
	g.byState[state] = added
	g.byRequest[key{a.AccountID, a.RequestID}] = added
	return added
}

// authURL has the shape of the documented sibling (PingPong v4, section 4.2),
// with authState repeated outside the JSON.
func (g *Gateway) authURL(c *call, a Agreement, state string) string {
	details := struct {
		AcquirerID            string   `json:"acquirerId"`
		AuthClientDisplayName string   `json:"authClientDisplayName"`
		AuthClientID          string   `json:"authClientId"`
		AuthRedirectURL       string   `json:"authRedirectUrl"`
		AuthState             string   `json:"authState"`
		ReferenceAgreementID  string   `json:"referenceAgreementId"`
		Scopes                []string `json:"scopes"`
		TerminalType          string   `json:"terminalType"`
	}{
		"Z02TE5520000000A", g.cfg.MerchantName, c.account.ClientID, a.ReturnURL, state, state,
		[]string{"AGREEMENT_PAY", "USER_LOGIN_ID"}, "WEB",
	}
	query := url.Values{
		"scopes":       {"AGREEMENT_PAY,USER_LOGIN_ID"},
		"bizContent":   {string(encode(details))},
		"source":       {"CodeGrantSimulator"},
		"needCallback": {"false"},
		"authState":    {state},
	}
	return c.baseURL + "/consent?" + query.Encode()
}

// agree turns a pending sign-up into a token and returns the notifications that
// follow. The caller holds mu.
func (g *Gateway) agree(a *agreement) *notice {
	now := time.Now()
	w, _ := findWallet(a.Wallet)
	if g.cfg.SupersedeOlder {
		for _, older := range g.agreements {
			if older.Status == StatusSuccess && older.AccountID == a.AccountID &&
				older.UserID == a.UserID && older.Wallet == a.Wallet {
				older.Status, older.EndedBy = StatusUnbound, EndedBySuperseded
			}
		}
	}
	a.Status = StatusSuccess
	a.Token = g.hex(64)
	a.ExpiresAt = now.AddDate(w.years, 0, 0)
	if a.Legacy || g.cfg.BindReturnsAuthCode {
		a.authCode = g.hex(32)
	}
	g.byToken[key{a.AccountID, a.Token}] = a
	return g.signUpNotice(a, notifyCreation)
}

// end marks a live agreement as unbound. The caller holds mu.
func (a *agreement) end(by string) {
	a.Status, a.EndedBy = StatusUnbound, by
}

// returnURL is where the wallet sends the browser next.
func (g *Gateway) returnURL(a *agreement) string {
	u, err := url.Parse(a.ReturnURL)
	if err != nil {
		return a.ReturnURL
	}
	query := u.Query()
	for name, values := range g.cfg.ReturnParams {
		query[name] = slices.Clone(values)
	}
	if a.authCode != "" {
		query.Set("authCode", a.authCode)
		query.Set("authState", a.state)
	}
	if len(g.cfg.ReturnParams) > 0 || a.authCode != "" {
		u.RawQuery = query.Encode()
	}
	return u.String()
}

// usable finds the agreement behind a paying token for its owner, or nil. The
// caller holds mu.
func (g *Gateway) usable(accountID, userID, token string) *agreement {
	a := g.byToken[key{accountID, token}]
	if a == nil || a.Token != token || a.UserID != userID || !a.live(time.Now()) {
		return nil
	}
	return a
}

func (g *Gateway) missingToken() answer {
	return refuse(g.cfg.MissingTokenCode, "token does not exist")
}

// visible reports whether an interface family sees an agreement, see
// [Config.SharedTokens].
func (g *Gateway) visible(a *agreement, legacy bool) bool {
	return g.cfg.SharedTokens || a.Legacy == legacy
}

// expireTime formats t as the samples do. Its time zone is unknown; UTC+8 is a
// guess (PingPong v4, section 12).
func expireTime(t time.Time) string {
	return inChina(t).Format("2006-01-02 15:04:05")
}

func inChina(t time.Time) time.Time {
	return t.In(time.FixedZone("UTC+8", 8*60*60))
}
