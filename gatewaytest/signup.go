package gatewaytest

import "time"

// named is an object with only a type, such as paymentMethod.
type named struct {
	Type string `json:"type"`
}

type device struct {
	OrderTerminal string `json:"orderTerminal"`
}

// signUp is POST /v4/paymethod/bind (PingPong v4, section 4.2). What a repeated
// requestId does is unknown; here an identical sign-up gets the first answer
// and a different one 107000.
func (g *Gateway) signUp(c *call) answer {
	var req struct {
		RequestID         string `json:"requestId"`
		MerchantUserID    string `json:"merchantUserId"`
		PaymentMethod     named  `json:"paymentMethod"`
		MerchantResultURL string `json:"merchantResultUrl"`
		NotificationURL   string `json:"notificationUrl"`
		Device            device `json:"device"`
		BizType           string `json:"bizType"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.exactly("paymentMethod.type", req.PaymentMethod.Type, Wallets()...)
	check.webURL("merchantResultUrl", req.MerchantResultURL)
	check.notifyURL("notificationUrl", req.NotificationURL)
	check.exactly("device.orderTerminal", req.Device.OrderTerminal, "01", "02", "04", "05")
	check.exactly("bizType", req.BizType, "CodeGrant")
	if a, bad := check.refused(); bad {
		return a
	}

	a := g.byRequest[key{c.account.AccountID, req.RequestID}]
	if a == nil {
		a = g.propose(c, Agreement{
			RequestID: req.RequestID,
			UserID:    req.MerchantUserID,
			Wallet:    req.PaymentMethod.Type,
			ReturnURL: req.MerchantResultURL,
			NotifyURL: req.NotificationURL,
		})
	} else if a.Legacy || a.UserID != req.MerchantUserID || a.Wallet != req.PaymentMethod.Type ||
		a.ReturnURL != req.MerchantResultURL || a.NotifyURL != req.NotificationURL {
		return refuse(codeDuplicate, "")
	}
	return g.terse(struct {
		Token   string `json:"token"`
		AuthURL string `json:"authUrl"`
	}{a.Reference, a.AuthURL})
}

// signUpQuery is a guess by analogy with the legacy list (PingPong v4, sections
// 4.3 and 4.4). It finds the sign-up by token or reference, else by the
// sign-up's requestId, else takes the user's latest one.
func (g *Gateway) signUpQuery(c *call) answer {
	var req struct {
		RequestID      string `json:"requestId"`
		MerchantUserID string `json:"merchantUserId"`
		Token          string `json:"token"`
		PaymentMethod  named  `json:"paymentMethod"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.optional("token", req.Token, 64)
	if a, bad := check.refused(); bad {
		return a
	}

	account := c.account.AccountID
	fits := func(a *agreement) bool {
		return a != nil && a.AccountID == account && a.UserID == req.MerchantUserID && g.visible(a, false)
	}
	var found *agreement
	switch {
	case req.Token != "":
		if found = g.byToken[key{account, req.Token}]; !fits(found) {
			return g.missingToken()
		}
	case fits(g.byRequest[key{account, req.RequestID}]):
		found = g.byRequest[key{account, req.RequestID}]
	default:
		for _, a := range g.agreements {
			if fits(a) && (req.PaymentMethod.Type == "" || req.PaymentMethod.Type == a.Wallet) {
				found = a
			}
		}
	}
	if found == nil {
		return refuse(codeNoTransaction, "")
	}
	return g.terse(g.record(found))
}

// signUpRecord is how the sign-up query and the legacy list describe an
// agreement. Status and RequestID are the sign-up query's.
type signUpRecord struct {
	AccountID      string `json:"accId"`
	ClientID       string `json:"clientId"`
	RequestID      string `json:"requestId,omitempty"`
	MerchantUserID string `json:"merchantUserId"`
	Status         string `json:"status,omitempty"`
	Token          string `json:"token,omitempty"`
	PayMethod      string `json:"payMethod"`
	UserLoginID    string `json:"userLoginId,omitempty"`
	ExpireTime     string `json:"expireTime,omitempty"`
}

func (g *Gateway) record(a *agreement) signUpRecord {
	record := signUpRecord{
		AccountID:      a.AccountID,
		ClientID:       g.accounts[a.AccountID].ClientID,
		RequestID:      a.RequestID,
		MerchantUserID: a.UserID,
		Status:         a.Status,
		PayMethod:      a.Wallet,
	}
	if a.Token != "" {
		record.Token = a.Token
		record.UserLoginID = a.LoginID
		record.ExpireTime = expireTime(a.ExpiresAt)
	}
	if a.Status == StatusSuccess && !a.live(time.Now()) {
		record.Status = StatusUnbound
	}
	return record
}

// unbind is a guess by analogy with the card interface (PingPong v4, section
// 4.3). The same requestId again answers SUCCESS again; another one finds no
// token any more.
func (g *Gateway) unbind(c *call) answer {
	if refused, bad := g.endByMerchant(c, false); bad {
		return refused
	}
	return g.terse(struct {
		Status string `json:"status"`
	}{StatusSuccess})
}

// endByMerchant is what unbind and the legacy cancelToken have in common.
func (g *Gateway) endByMerchant(c *call, legacy bool) (answer, bool) {
	var req struct {
		RequestID      string `json:"requestId"`
		MerchantUserID string `json:"merchantUserId"`
		Token          string `json:"token"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.required("token", req.Token, 64)
	if a, bad := check.refused(); bad {
		return a, true
	}

	id := key{c.account.AccountID, req.RequestID}
	if done := g.unbinds[id]; done != nil && done.Token == req.Token && done.UserID == req.MerchantUserID {
		return answer{}, false
	}
	a := g.usable(c.account.AccountID, req.MerchantUserID, req.Token)
	if a == nil || !g.visible(a, legacy) {
		return g.missingToken(), true
	}
	a.end(EndedByMerchant)
	g.unbinds[id] = a
	c.after = append(c.after, g.signUpNotice(a, notifyCancelByMerchant))
	return answer{}, false
}

// terse is a success of the paymethod and authorization interfaces.
func (g *Gateway) terse(biz any) answer {
	return answer{code: g.cfg.BindCode, description: describe(g.cfg.BindCode), biz: biz, terse: true}
}
