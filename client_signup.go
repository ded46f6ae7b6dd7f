package codegrant

import (
	"context"
	"errors"
)

// bizTypeCodeGrant is the product's name on the wire.
const bizTypeCodeGrant = "CodeGrant"

// SignUpRequest asks the gateway to let a user sign up in a wallet.
// PingPong v4, sign-up interface (/v4/paymethod/bind).
type SignUpRequest struct {
	RequestID       string         `wire:"requestId" validate:"required,max=64,text"`                   // unique per sign-up
	UserID          string         `wire:"merchantUserId" validate:"required,max=256,text"`             // the merchant's own user id
	Wallet          Wallet         `wire:"paymentMethod.type" validate:"required,max=64,text"`          // unknown names pass
	ResultURL       string         `wire:"merchantResultUrl" validate:"required,max=255,text,callback"` // where the browser comes back
	NotificationURL string         `wire:"notificationUrl" validate:"required,max=255,text,callback"`   // where the token is delivered
	Terminal        SignUpTerminal `wire:"device.orderTerminal" validate:"required,oneof=01 02 04 05"`  // where the user is
	bizType         string         `wire:"bizType"`
}

// SignUpResponse is where the user must go next.
type SignUpResponse struct {
	// Reference is the token of the synchronous answer. It is not known to be
	// good for paying: the token that pays comes with the notification.
	Reference Secret `wire:"token"`
	// AuthURL is the wallet's page, often longer than 1,000 characters.
	AuthURL string `wire:"authUrl"`
}

// SignUp starts a sign-up. An answer without AuthURL matches
// [ErrOutcomeUnknown].
func (c *Client) SignUp(ctx context.Context, r SignUpRequest) (SignUpResponse, error) {
	return c.signUp(ctx, r, unchecked)
}

func (c *Client) signUp(ctx context.Context, r SignUpRequest, isChecked bool) (SignUpResponse, error) {
	return observedCall(ctx, c, "sign-up", c.endpoints.SignUp, r.Wallet, func(ctx context.Context) (SignUpResponse, error) {
		return c.sendSignUp(ctx, r, isChecked)
	})
}

func (c *Client) sendSignUp(ctx context.Context, r SignUpRequest, isChecked bool) (SignUpResponse, error) {
	r.bizType = bizTypeCodeGrant
	var out SignUpResponse
	err := c.callBusiness(ctx, "sign-up", c.endpoints.SignUp, r, &out, isChecked)
	if err == nil && out.AuthURL == "" {
		err = wrap("sign-up", ErrOutcomeUnknown, errors.New("answer without authUrl"))
	}
	return out, err
}

// SignUpQuery asks what became of a sign-up.
type SignUpQuery struct {
	RequestID string `wire:"requestId" validate:"required,max=64,text"` // of the sign-up
	UserID    string `wire:"merchantUserId" validate:"required,max=256,text"`
	Token     Secret `wire:"token" validate:"max=512,text"` // when known
	Wallet    Wallet `wire:"paymentMethod.type" validate:"max=64,text"`
	bizType   string `wire:"bizType"`
}

// SignUpState is the gateway's view of a sign-up. The interface's fields are
// UNKNOWN: these are those of its documented sibling, each read where present.
type SignUpState struct {
	RequestID string `wire:"requestId|queryData.requestId"`
	UserID    string `wire:"merchantUserId|queryData.merchantUserId"`
	Status    string `wire:"status|queryData.status"`
	Token     Secret `wire:"token|queryData.token"`
	Wallet    Wallet `wire:"paymentMethod.type|payMethod|queryData.payMethod"`
	LoginID   Secret `wire:"userLoginId|queryData.userLoginId"` // personal data
	Expires   string `wire:"expireTime|queryData.expireTime"`   // time zone UNKNOWN
}

// QuerySignUp asks what became of a sign-up.
func (c *Client) QuerySignUp(ctx context.Context, r SignUpQuery) (SignUpState, error) {
	return observedCall(ctx, c, "sign-up query", c.endpoints.SignUpQuery, r.Wallet, func(ctx context.Context) (SignUpState, error) {
		return c.querySignUp(ctx, r)
	})
}

func (c *Client) querySignUp(ctx context.Context, r SignUpQuery) (SignUpState, error) {
	r.bizType = bizTypeCodeGrant
	var out SignUpState
	err := c.callBusiness(ctx, "sign-up query", c.endpoints.SignUpQuery, r, &out, unchecked)
	return out, err
}

// UnbindRequest ends an agreement. Its path and fields are UNKNOWN; these are
// those of its documented siblings.
type UnbindRequest struct {
	RequestID string `wire:"requestId" validate:"required,max=64,text"`
	UserID    string `wire:"merchantUserId" validate:"required,max=256,text"`
	Token     Secret `wire:"token" validate:"required,max=512,text"`
	Wallet    Wallet `wire:"paymentMethod.type" validate:"max=64,text"` // optional
	bizType   string `wire:"bizType"`
}

type unbindResponse struct {
	Status    string `wire:"status"`
	Cancelled string `wire:"cancelSuccess"`
}

// Unbind ends an agreement. It returns nil only for a clear success, a
// [*GatewayError] for a clear refusal (matching [ErrTokenGone] when it was over
// already), and [ErrOutcomeUnknown] for everything between.
func (c *Client) Unbind(ctx context.Context, r UnbindRequest) error {
	r.bizType = bizTypeCodeGrant
	return c.unbind(ctx, "unbind", c.endpoints.Unbind, r.Wallet, r)
}

func (c *Client) unbind(ctx context.Context, op, path string, wallet Wallet, request any) error {
	_, err := observedCall(ctx, c, op, path, wallet, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.end(ctx, op, path, request)
	})
	return err
}

func (c *Client) end(ctx context.Context, op, path string, request any) error {
	var out unbindResponse
	if err := c.callBusiness(ctx, op, path, request, &out, unchecked); err != nil {
		return err
	}
	succeeded := out.Status == string(PaymentSuccess) || out.Cancelled == "true"
	failed := out.Status == string(PaymentFailed) || out.Cancelled == "false"
	switch {
	case succeeded && !failed:
		return nil
	case failed && !succeeded:
		return &GatewayError{Operation: op, Description: "unbinding failed", RequestID: requestID(request), HTTPStatus: 200}
	}
	return wrap(op, ErrOutcomeUnknown, errors.New("answer says neither success nor failure"))
}
