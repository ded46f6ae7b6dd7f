package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// instant is a gateway without latency: each path has one signed answer.
type instant map[string][]byte

func (g instant) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	answer := g[r.URL.Path]
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		ContentLength: int64(len(answer)), Body: io.NopCloser(bytes.NewReader(answer)), Request: r,
	}, nil
}

const (
	payPath  = "/v4/payment/unifiedPay"
	bindPath = "/v4/paymethod/bind"
)

// newInstant signs the answers to one order's charge and to any sign-up.
func newInstant() instant {
	s := newSigner()
	defer s.close()
	return instant{
		payPath: s.gateway.SignedBody(`{"merchantTransactionId":"ORDER-1","transactionId":"2023092050004595",`+
			`"status":"SUCCESS","amount":"10000","currency":"KRW","paymentMethod":{"type":"GCash"}}`, nil),
		bindPath: s.gateway.SignedBody(`{"token":"`+strings.Repeat("5", 64)+
			`","authUrl":"https://wallet.test/auth?authState=1"}`, nil),
	}
}

// calls are what a merchant's code does, and beside each the least that one
// could do by hand: write the JSON, sign it, post it, read the answer. The bare
// ones neither check what they send nor verify the answer nor keep a record.
type calls struct{ charge, bareCharge, signUp, bareSignUp func() error }

// newCalls returns calls, each of which may be made any number of times. The
// store of the sign-ups grows.
func newCalls() (calls, error) {
	gateway := newInstant()
	ctx := context.Background()
	store := memstore.New()
	t := pending(1)
	t.UserID, t.Status, t.Handled = "ann", codegrant.StatusActive, codegrant.StatusActive
	t.Value = codegrant.NewSecret(strings.Repeat("7", 64))
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	if err := store.Save(ctx, t); err != nil {
		return calls{}, err
	}
	cfg, err := config(store, gateway)
	if err != nil {
		return calls{}, err
	}
	kit, err := codegrant.New(cfg)
	if err != nil {
		return calls{}, err
	}
	bare := bareCaller{http: &http.Client{Transport: gateway}}
	return calls{
		charge: func() error {
			receipt, err := kit.Charge(ctx, codegrant.ChargeParams{
				UserID: "ann", OrderID: "ORDER-1", Amount: codegrant.Amount{Minor: 10000, Currency: "KRW"},
				TokenID: t.ID, ShopperIP: "203.0.113.9", Email: "ann@example.com",
			})
			if err == nil && receipt.Outcome != codegrant.Succeeded {
				err = fmt.Errorf("outcome %s", receipt.Outcome)
			}
			return err
		},
		bareCharge: func() error { return bare.post(payPath, barePayment) },
		signUp: func() error {
			_, err := kit.StartSignUp(ctx, codegrant.SignUpParams{UserID: "bob", Wallet: codegrant.GCash})
			return err
		},
		bareSignUp: func() error { return bare.post(bindPath, bareSignUp) },
	}, nil
}

type bareDevice struct {
	OrderTerminal string `json:"orderTerminal"`
}

type bareMethod struct {
	Type string `json:"type"`
}

type bareRequest struct {
	RequestID string            `json:"requestId"`
	UserID    string            `json:"merchantUserId"`
	Method    bareMethod        `json:"paymentMethod"`
	Device    bareDevice        `json:"device"`
	BizType   string            `json:"bizType"`
	Notify    string            `json:"notificationUrl"`
	Result    string            `json:"merchantResultUrl,omitempty"`
	OrderID   string            `json:"merchantTransactionId,omitempty"`
	Token     string            `json:"token,omitempty"`
	Amount    string            `json:"amount,omitempty"`
	Currency  string            `json:"currency,omitempty"`
	ShopperIP string            `json:"shopperIP,omitempty"`
	Customer  map[string]string `json:"customer,omitempty"`
}

var (
	barePayment = bareRequest{
		RequestID: "REQ-1", UserID: "ann", Method: bareMethod{"GCash"}, Device: bareDevice{"02"}, BizType: "CodeGrant",
		Notify: "https://shop.test/wallet/notify", OrderID: "ORDER-1", Token: strings.Repeat("7", 64), Amount: "10000",
		Currency: "KRW", ShopperIP: "203.0.113.9", Customer: map[string]string{"email": "ann@example.com"},
	}
	bareSignUp = bareRequest{
		RequestID: "REQ-1", UserID: "bob", Method: bareMethod{"GCash"}, Device: bareDevice{"02"}, BizType: "CodeGrant",
		Notify: "https://shop.test/wallet/notify/REQ-1", Result: "https://shop.test/wallet/return/REQ-1",
	}
)

// bareCaller posts by hand.
type bareCaller struct{ http *http.Client }

func (c bareCaller) post(path string, request bareRequest) error {
	biz, err := json.Marshal(request)
	if err != nil {
		return err
	}
	const version, signType = "1.0", "SHA256"
	sum := sha256.Sum256([]byte(gatewaytest.DefaultSalt + "accId=" + gatewaytest.DefaultAccountID + "&bizContent=" + string(biz) +
		"&clientId=" + gatewaytest.DefaultClientID + "&signType=" + signType + "&version=" + version))
	body, err := json.Marshal(struct {
		AccID      string `json:"accId"`
		ClientID   string `json:"clientId"`
		SignType   string `json:"signType"`
		Sign       string `json:"sign"`
		Version    string `json:"version"`
		BizContent string `json:"bizContent"`
	}{
		gatewaytest.DefaultAccountID, gatewaytest.DefaultClientID, signType,
		strings.ToUpper(hex.EncodeToString(sum[:])), version, string(biz),
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://gateway.test"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || len(answer) == 0 {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}
