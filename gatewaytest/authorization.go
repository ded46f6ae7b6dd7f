package gatewaytest

// The legacy authorization interfaces (PingPong v4, section 4.4).

// prepare is POST /v4/authorization/prepare.
func (g *Gateway) prepare(c *call) answer {
	var req struct {
		RequestID       string `json:"requestId"`
		MerchantUserID  string `json:"merchantUserId"`
		PayMethod       string `json:"payMethod"`
		AuthRedirectURL string `json:"authRedirectUrl"`
		NotifyURL       string `json:"notifyUrl"`
		Device          device `json:"device"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.exactly("payMethod", req.PayMethod, Wallets()...)
	check.webURL("authRedirectUrl", req.AuthRedirectURL)
	check.notifyURL("notifyUrl", req.NotifyURL)
	check.exactly("device.orderTerminal", req.Device.OrderTerminal, "01", "02", "04", "05")
	if a, bad := check.refused(); bad {
		return a
	}

	a := g.byRequest[key{c.account.AccountID, req.RequestID}]
	if a == nil {
		a = g.propose(c, Agreement{
			RequestID: req.RequestID,
			UserID:    req.MerchantUserID,
			Wallet:    req.PayMethod,
			ReturnURL: req.AuthRedirectURL,
			NotifyURL: req.NotifyURL,
			Legacy:    true,
		})
	} else if !a.Legacy || a.UserID != req.MerchantUserID || a.Wallet != req.PayMethod ||
		a.ReturnURL != req.AuthRedirectURL || a.NotifyURL != req.NotifyURL {
		return refuse(codeDuplicate, "")
	}
	return g.terse(struct {
		AuthURL string `json:"authUrl"`
	}{a.AuthURL})
}

// applyToken is POST /v4/authorization/applyToken. An authCode works for one
// requestId; that it is used up is a guess.
func (g *Gateway) applyToken(c *call) answer {
	var req struct {
		RequestID      string `json:"requestId"`
		MerchantUserID string `json:"merchantUserId"`
		AuthCode       string `json:"authCode"`
		AuthState      string `json:"authState"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.required("authCode", req.AuthCode, 64)
	check.required("authState", req.AuthState, 64)
	if a, bad := check.refused(); bad {
		return a
	}

	a := g.byState[req.AuthState]
	if a == nil || a.AccountID != c.account.AccountID || a.UserID != req.MerchantUserID ||
		a.authCode != req.AuthCode || a.Status != StatusSuccess ||
		(a.applied != "" && a.applied != req.RequestID) {
		return refuse(codeExpired, "")
	}
	a.applied = req.RequestID
	return g.terse(struct {
		UserLoginID string `json:"userLoginId"`
		ExpireTime  string `json:"expireTime"`
		Token       string `json:"token"`
	}{a.LoginID, expireTime(a.ExpiresAt), a.Token})
}

// cancelToken is POST /v4/authorization/cancelToken.
func (g *Gateway) cancelToken(c *call) answer {
	if refused, bad := g.endByMerchant(c, true); bad {
		return refused
	}
	return g.terse(struct {
		CancelSuccess bool `json:"cancelSuccess"`
	}{true})
}

// list is POST /v4/authorization/list. Whether queryData is an object or an
// array is unknown; here it is an object, the user's latest live agreement, and
// empty if there is none.
func (g *Gateway) list(c *call) answer {
	var req struct {
		RequestID      string `json:"requestId"`
		MerchantUserID string `json:"merchantUserId"`
		Token          string `json:"token"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.optional("token", req.Token, 64)
	if a, bad := check.refused(); bad {
		return a
	}

	var data any = struct{}{}
	for _, a := range g.agreements {
		if g.usable(c.account.AccountID, req.MerchantUserID, a.Token) == a && g.visible(a, true) &&
			(req.Token == "" || req.Token == a.Token) {
			record := g.record(a)
			record.RequestID, record.Status = "", ""
			data = record
		}
	}
	return g.terse(struct {
		QueryData any `json:"queryData"`
	}{data})
}
