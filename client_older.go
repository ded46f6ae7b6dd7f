package codegrant

import (
	"context"
	"errors"
)

// The older authorization flow: PingPong marks it for removal, yet it is the
// only one whose query and cancelling are documented.

// PrepareRequest asks for a wallet page by the older flow.
// PingPong v4, /v4/authorization/prepare.
type PrepareRequest struct {
	RequestID       string         `wire:"requestId" validate:"required,max=64,text"`
	UserID          string         `wire:"merchantUserId" validate:"required,max=256,text"`
	Wallet          Wallet         `wire:"payMethod" validate:"required,max=64,text"`
	RedirectURL     string         `wire:"authRedirectUrl" validate:"required,max=255,text,callback"` // gets authCode and authState
	NotificationURL string         `wire:"notifyUrl" validate:"required,max=255,text,callback"`
	Terminal        SignUpTerminal `wire:"device.orderTerminal" validate:"required,oneof=01 02 04 05"`
}

// Prepare starts a sign-up by the older flow. The response has no Reference.
func (c *Client) Prepare(ctx context.Context, r PrepareRequest) (SignUpResponse, error) {
	return c.prepare(ctx, r, unchecked)
}

func (c *Client) prepare(ctx context.Context, r PrepareRequest, isChecked bool) (SignUpResponse, error) {
	return observedCall(ctx, c, "prepare", c.endpoints.Prepare, r.Wallet, func(ctx context.Context) (SignUpResponse, error) {
		return c.sendPrepare(ctx, r, isChecked)
	})
}

func (c *Client) sendPrepare(ctx context.Context, r PrepareRequest, isChecked bool) (SignUpResponse, error) {
	var out SignUpResponse
	err := c.callBusiness(ctx, "prepare", c.endpoints.Prepare, r, &out, isChecked)
	if err == nil && out.AuthURL == "" {
		err = wrap("prepare", ErrOutcomeUnknown, errors.New("answer without authUrl"))
	}
	return out, err
}

// ApplyTokenRequest trades what the browser brought back for a token.
// PingPong v4, /v4/authorization/applyToken.
type ApplyTokenRequest struct {
	RequestID string `wire:"requestId" validate:"required,max=64,text"`
	UserID    string `wire:"merchantUserId" validate:"required,max=256,text"`
	AuthCode  Secret `wire:"authCode" validate:"required,max=2048,text"`
	AuthState string `wire:"authState" validate:"required,max=2048,text"`
}

// ApplyTokenResponse holds a token that pays.
type ApplyTokenResponse struct {
	Token   Secret `wire:"token"`
	LoginID Secret `wire:"userLoginId"` // personal data
	Expires string `wire:"expireTime"`  // yyyy-MM-dd HH:mm:ss, time zone UNKNOWN
}

// ApplyToken trades an authorization code for a token. An answer without a
// token matches [ErrOutcomeUnknown].
func (c *Client) ApplyToken(ctx context.Context, r ApplyTokenRequest) (ApplyTokenResponse, error) {
	return observedCall(ctx, c, "applyToken", c.endpoints.ApplyToken, "", func(ctx context.Context) (ApplyTokenResponse, error) {
		return c.applyToken(ctx, r)
	})
}

func (c *Client) applyToken(ctx context.Context, r ApplyTokenRequest) (ApplyTokenResponse, error) {
	var out ApplyTokenResponse
	err := c.callBusiness(ctx, "applyToken", c.endpoints.ApplyToken, r, &out, unchecked)
	if err == nil && out.Token.IsZero() {
		err = wrap("applyToken", ErrOutcomeUnknown, errors.New("answer without token"))
	}
	return out, err
}

// CancelTokenRequest ends an agreement of the older flow.
// PingPong v4, /v4/authorization/cancelToken.
type CancelTokenRequest struct {
	RequestID string `wire:"requestId" validate:"required,max=64,text"`
	UserID    string `wire:"merchantUserId" validate:"required,max=256,text"`
	Token     Secret `wire:"token" validate:"required,max=512,text"`
}

// CancelToken ends an agreement of the older flow; errors as [Client.Unbind].
func (c *Client) CancelToken(ctx context.Context, r CancelTokenRequest) error {
	return c.unbind(ctx, "cancelToken", c.endpoints.CancelToken, "", r)
}

// ListTokensRequest asks for a user's agreements of the older flow.
// PingPong v4, /v4/authorization/list.
type ListTokensRequest struct {
	RequestID string `wire:"requestId" validate:"required,max=64,text"`
	UserID    string `wire:"merchantUserId" validate:"required,max=256,text"`
	Token     Secret `wire:"token" validate:"max=512,text"` // optional: only this one
}

// ListedToken is one agreement of the older flow.
type ListedToken struct {
	AccountID string `wire:"accId"`
	ClientID  string `wire:"clientId"`
	UserID    string `wire:"merchantUserId"`
	Wallet    Wallet `wire:"payMethod"`
	Token     Secret `wire:"token"`
	LoginID   Secret `wire:"userLoginId"` // personal data
	Expires   string `wire:"expireTime"`  // time zone UNKNOWN
}

// ListTokens returns a user's agreements of the older flow; none is an empty
// result, not an error. Whether the gateway answers one object or an array is
// UNKNOWN: both are read.
func (c *Client) ListTokens(ctx context.Context, r ListTokensRequest) ([]ListedToken, error) {
	return observedCall(ctx, c, "list", c.endpoints.ListTokens, "", func(ctx context.Context) ([]ListedToken, error) {
		return c.listTokens(ctx, r)
	})
}

func (c *Client) listTokens(ctx context.Context, r ListTokensRequest) ([]ListedToken, error) {
	const op = "list"
	a, err := c.call(ctx, op, c.endpoints.ListTokens, r, unchecked)
	if err != nil {
		return nil, err
	}
	defer a.release()
	if !c.success(a.code) {
		if internalCode(a.code) {
			return nil, c.undecided(op, r, a)
		}
		return nil, c.refusal(op, r, a)
	}
	data, found := a.biz().get("queryData")
	if !found || data.kind == jsonNull {
		return nil, nil
	}
	items := [][]byte{data.value}
	if data.kind == jsonArray {
		if items, err = arrayItems(data.value); err != nil {
			return nil, wrap(op, ErrOutcomeUnknown, err)
		}
	}
	var tokens []ListedToken
	for _, item := range items {
		doc, err := parseDocument(item)
		if err != nil {
			return nil, wrap(op, ErrOutcomeUnknown, err)
		}
		var t ListedToken
		if err := decodeBiz(&doc, &t); err != nil {
			return nil, wrap(op, ErrOutcomeUnknown, err)
		}
		if !t.Token.IsZero() {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}
