package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/PaddleHQ/paddle-go-sdk/v4"
	"github.com/google/go-github/v66/github"
	razorpay "github.com/razorpay/razorpay-go/utils"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"
	svix "github.com/svix/svix-webhooks/go"
)

// bodySize is the size of every body, ours and the peers': that of a payment
// notification as the gateway writes it.
const bodySize = 660

const (
	peerSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	maxBody    = 64 << 10
)

// receiver is how one library takes a message that is signed its own way.
type receiver struct {
	name   string
	does   string // for the page
	body   []byte
	header http.Header
	// take verifies and decodes a body that was read already.
	take func(body []byte, header http.Header) error
	// handle is the same from a request; nil means reading it and take.
	handle func(*http.Request) error
}

// handler answers 200 to what take, or handle, accepts.
func (p receiver) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if p.handle != nil {
			err = p.handle(r)
		} else {
			var body []byte
			if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err == nil {
				err = p.take(body, r.Header)
			}
		}
		if err != nil {
			http.Error(w, "refused", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "OK")
	})
}

// peers returns the receivers of other payment and webhook libraries, each with
// a message that was signed now: most refuse one that is five minutes old.
func peers() ([]receiver, error) {
	hook, err := svix.NewWebhook(peerSecret)
	if err != nil {
		return nil, err
	}
	standard, err := standardwebhooks.NewWebhook(peerSecret)
	if err != nil {
		return nil, err
	}
	all := []receiver{
		stripePeer(), svixPeer(hook), standardPeer(standard), paddlePeer(), razorpayPeer(), githubPeer(),
	}
	for _, p := range all {
		if len(p.body) != bodySize {
			return nil, fmt.Errorf("the body for %s has %d bytes", p.name, len(p.body))
		}
		if err := p.take(p.body, p.header); err != nil {
			return nil, fmt.Errorf("%s refuses its own message: %w", p.name, err)
		}
		if err := p.take(forged(p.body), p.header); err == nil {
			return nil, fmt.Errorf("%s accepts a forgery", p.name)
		}
	}
	return all, nil
}

// forged is body with one digit of the amount changed.
func forged(body []byte) []byte { return bytes.Replace(body, []byte("10000"), []byte("90000"), 1) }

// padded replaces the one @ in a text so that it has bodySize bytes.
func padded(text string) []byte {
	return []byte(strings.Replace(text, "@", strings.Repeat("x", max(0, bodySize-len(text)+1)), 1))
}

func hexHMAC(secret string, parts ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, part := range parts {
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// payment is what those who verify only are given to decode into: the members
// of the gateway's payment notification.
type payment struct {
	NotifyType      string `json:"notifyType"`
	Status          string `json:"status"`
	TransactionID   string `json:"transactionId"`
	OrderID         string `json:"merchantTransactionId"`
	RequestID       string `json:"requestId"`
	Amount          string `json:"amount"`
	Currency        string `json:"currency"`
	TransactionTime string `json:"transactionTime"`
	PaymentMethod   struct {
		Type string `json:"type"`
	} `json:"paymentMethod"`
	Token       string `json:"token"`
	Description string `json:"description"`
}

func decoded(body []byte) error {
	var p payment
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	if p.Amount == "" {
		return errors.New("no amount")
	}
	return nil
}

// bizPayment is a payment notification's content, from PingPong v4.
const bizPayment = `{"notifyType":"RECHARGE","status":"SUCCESS","transactionId":"2023092050004595",` +
	`"merchantTransactionId":"PMT-9ICSCWF9H51695189441815","requestId":"PMT-9ICSCWF9H51695189441815",` +
	`"amount":"10000","currency":"KRW","transactionTime":"1693290395000","paymentMethod":{"type":"Kakaopay"},` +
	`"token":"7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"`

func flatBody() []byte { return padded(bizPayment + `,"description":"@"}`) }

func stripePeer() receiver {
	body := padded(`{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","api_version":"` + stripe.APIVersion +
		`","created":1686089970,"data":{"object":{"id":"pi_3MtwBwLkdIwHu7ix28a3tqPa","object":"payment_intent",` +
		`"amount":10000,"currency":"krw","customer":"cus_NeZwdNtLEOXuvB","payment_method":"pm_1MtwBwLkdIwHu7ix",` +
		`"status":"succeeded","description":"@"}},"livemode":false,"pending_webhooks":1,` +
		`"request":{"id":"req_1","idempotency_key":"9ICSCWF9H51695189441815"},"type":"payment_intent.succeeded"}`)
	signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: peerSecret})
	return receiver{
		name: "stripe-go", does: "webhook.ConstructEvent: verifies and decodes", body: body,
		header: http.Header{"Stripe-Signature": {signed.Header}},
		take: func(body []byte, h http.Header) error {
			_, err := webhook.ConstructEvent(body, h.Get("Stripe-Signature"), peerSecret)
			return err
		},
	}
}

func svixPeer(hook *svix.Webhook) receiver {
	body, now := flatBody(), time.Now()
	sign, _ := hook.Sign("msg_1", now, body) // an error shows when it is verified
	return receiver{
		name: "svix", does: "Webhook.Verify, encoding/json", body: body,
		header: http.Header{
			"Svix-Id": {"msg_1"}, "Svix-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Svix-Signature": {sign},
		},
		take: func(body []byte, h http.Header) error {
			if err := hook.Verify(body, h); err != nil {
				return err
			}
			return decoded(body)
		},
	}
}

func standardPeer(hook *standardwebhooks.Webhook) receiver {
	body, now := flatBody(), time.Now()
	sign, _ := hook.Sign("msg_1", now, body)
	header := make(http.Header)
	header.Set(standardwebhooks.HeaderWebhookID, "msg_1")
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, sign)
	return receiver{
		name: "standard-webhooks", does: "Webhook.Verify, encoding/json", body: body, header: header,
		take: func(body []byte, h http.Header) error {
			if err := hook.Verify(body, h); err != nil {
				return err
			}
			return decoded(body)
		},
	}
}

// asRequest is a request whose body is at hand.
func asRequest(body []byte, h http.Header) *http.Request {
	return &http.Request{
		Method: http.MethodPost, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}

func paddlePeer() receiver {
	body, now := flatBody(), strconv.FormatInt(time.Now().Unix(), 10)
	verifier := paddle.NewWebhookVerifier(peerSecret)
	handle := func(r *http.Request) error {
		if ok, err := verifier.Verify(r); err != nil || !ok {
			return errors.Join(err, errors.New("refused"))
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return decoded(body)
	}
	return receiver{
		name: "paddle-go-sdk", does: "WebhookVerifier.Verify of a request, its body read again, encoding/json", body: body,
		header: http.Header{"Paddle-Signature": {"ts=" + now + ";h1=" + hexHMAC(peerSecret, now, ":", string(body))}},
		take:   func(body []byte, h http.Header) error { return handle(asRequest(body, h)) },
		handle: handle,
	}
}

func razorpayPeer() receiver {
	body := flatBody()
	return receiver{
		name: "razorpay-go", does: "utils.VerifyWebhookSignature, encoding/json", body: body,
		header: http.Header{"X-Razorpay-Signature": {hexHMAC(peerSecret, string(body))}},
		take: func(body []byte, h http.Header) error {
			if !razorpay.VerifyWebhookSignature(string(body), h.Get("X-Razorpay-Signature"), peerSecret) {
				return errors.New("refused")
			}
			return decoded(body)
		},
	}
}

func githubPeer() receiver {
	body := padded(`{"action":"created","starred_at":"2023-09-20T10:00:00Z","repository":{"id":10000,"node_id":"R_kgDOJ",` +
		`"name":"shop","full_name":"example/shop","private":false,"html_url":"https://github.com/example/shop",` +
		`"description":"@","fork":false,"stargazers_count":8,"language":"Go","default_branch":"main",` +
		`"owner":{"login":"example","id":2,"type":"Organization"}},"sender":{"login":"ann","id":3,"type":"User"}}`)
	handle := func(r *http.Request) error {
		payload, err := github.ValidatePayload(r, []byte(peerSecret))
		if err != nil {
			return err
		}
		_, err = github.ParseWebHook(github.WebHookType(r), payload)
		return err
	}
	return receiver{
		name: "go-github", does: "ValidatePayload of a request, ParseWebHook", body: body,
		header: http.Header{
			"Content-Type": {"application/json"}, "X-Github-Event": {"star"},
			"X-Hub-Signature-256": {"sha256=" + hexHMAC(peerSecret, string(body))},
		},
		take:   func(body []byte, h http.Header) error { return handle(asRequest(body, h)) },
		handle: handle,
	}
}
