package codegrant

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"time"
)

// Notify returns the handler for the gateway's signed notifications. Mount it
// at [Config.NotifyURL] with one more path segment, outside CSRF protection
// and outside anything that consumes the body. It answers 200 "OK" once the
// record is saved and the hook has returned nil; any other answer makes the
// gateway send the same notification again, which is always safe.
func (k *Kit) Notify() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := pathID(r)
		body, err := k.readBody(w, r)
		if err == nil {
			err = k.Apply(r.Context(), body, id)
		} else {
			k.reject(r.Context(), "notify", err)
		}
		answerNotification(w, err)
	})
}

// Apply does all the work of [Kit.Notify] on a body that was read elsewhere:
// from another web framework or from a queue. body must be the bytes as
// received and id the last segment of the URL that they were sent to ("" when
// there is none). nil means that the gateway may be told OK; for an error
// answer [HTTPStatus]. It does not stop when ctx is cancelled, only after
// [Config.Timeout].
func (k *Kit) Apply(ctx context.Context, body []byte, id string) error {
	return k.applyMessage(ctx, readMessage(body, k.cfg.MaxBody), id)
}

func (k *Kit) applyMessage(ctx context.Context, m message, id string) error {
	ctx, cancel := k.detached(ctx)
	defer cancel()
	n, err := k.parse(ctx, m)
	if err == nil {
		err = k.apply(ctx, n, id)
	} else if k.cfg.QueryUnsigned && looksUnsigned(m.body) && id != "" {
		err = k.confirmUnsigned(ctx, id, err)
	}
	if err != nil {
		k.reject(ctx, "notify", err)
	}
	return err
}

// message is a received body with the envelope in it, before any verdict.
// Whoever parses it or refuses it releases the envelope.
type message struct {
	body []byte
	env  *envelope
	err  error // why there is no envelope
}

func readMessage(body []byte, maxBody int64) message {
	m := message{body: body}
	switch {
	case len(body) == 0:
		m.err = &Error{Op: "notify", Code: ErrBodyConsumed}
	case int64(len(body)) > maxBody:
		m.err = &Error{Op: "notify", Code: ErrTooLarge}
	default:
		m.env, m.err = readEnvelope(body, true)
	}
	return m
}

// parse verifies m by the account's salts and reads it. The envelope is gone
// then.
func (k *Kit) parse(ctx context.Context, m message) (Notification, error) {
	if m.err != nil {
		return Notification{}, m.err
	}
	defer m.env.release()
	salt, err := m.env.verify(&k.client.account)
	if err != nil {
		return Notification{}, unverified(err)
	}
	k.countSalt(ctx, salt)
	return m.env.notification(m.body, k.client.account.ID, salt, k.types)
}

// apply does what a verified notification asks for.
func (k *Kit) apply(ctx context.Context, n Notification, id string) error {
	switch n.Kind {
	case KindPayment:
		p := n.Payment
		k.note(ctx, "notify", "payment", slog.String("order", clip(n.Payment.OrderID, 64)),
			slog.String("status", clip(string(n.Payment.Status), 32)))
		if k.payments != nil && n.Payment.OrderID != "" {
			return k.applyPayment(ctx, *n.Payment)
		}
		if k.cfg.OnPayment == nil {
			return nil
		}
		return k.runHook(ctx, "payment", func(ctx context.Context) error { return k.cfg.OnPayment(ctx, *p) })
	case KindRefund:
		r := n.Refund
		k.note(ctx, "notify", "refund", slog.String("refund", clip(n.Refund.RefundID, 64)),
			slog.String("status", clip(string(n.Refund.Status), 32)))
		if k.payments != nil && n.Refund.OrderID != "" && n.Refund.RefundID != "" {
			return k.applyRefund(ctx, *n.Refund)
		}
		if k.cfg.OnRefund == nil {
			return nil
		}
		return k.runHook(ctx, "refund", func(ctx context.Context) error { return k.cfg.OnRefund(ctx, *r) })
	case KindSignedUp, KindSignUpFailed, KindUnboundByUser, KindUnboundByMerchant, KindTokenGone:
		return k.applyToken(ctx, n, id)
	}
	return k.unknown(ctx, n)
}

func (k *Kit) unknown(ctx context.Context, n Notification) error {
	k.note(ctx, "notify", "unknown_notification", slog.String("type", clip(n.Type, 64)))
	if k.cfg.OnUnknown == nil {
		return nil
	}
	return k.runHook(ctx, "unknown notification", func(ctx context.Context) error { return k.cfg.OnUnknown(ctx, n) })
}

// confirmUnsigned asks the gateway about the record whose URL an unsigned
// notification was sent to. refusal is what the notification gets unless the
// signed answer moved the record.
func (k *Kit) confirmUnsigned(ctx context.Context, id string, refusal error) error {
	before, err := k.store.Get(ctx, id)
	if err != nil {
		return refusal
	}
	after, err := k.Refresh(ctx, id)
	if err != nil || after.Revision == before.Revision {
		return refusal
	}
	return nil
}

// looksUnsigned reports the older notification's shape: a flat object with a
// notifyType and no signature.
func looksUnsigned(body []byte) bool {
	doc, err := parseDocument(body)
	if err != nil {
		return false
	}
	_, signed := doc.get("sign")
	return !signed && doc.text("notifyType") != ""
}

// readBody reads the body of a POST once, under the cap and the read deadline.
func (k *Kit) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	k.boundReading(w, r)
	if r.Method != http.MethodPost {
		return nil, &Error{Op: "notify", Code: ErrMethod}
	}
	if r.ContentLength > k.cfg.MaxBody {
		return nil, &Error{Op: "notify", Code: ErrTooLarge}
	}
	received := r.Body
	if received == nil { // from an adapter; net/http never does this
		received = http.NoBody
	}
	body, err := readAll(http.MaxBytesReader(w, received, k.cfg.MaxBody), r.ContentLength)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &Error{Op: "notify", Code: ErrTooLarge}
	}
	if err != nil {
		return nil, &Error{Op: "notify", Code: ErrMalformed, Err: errors.New("body could not be read to its end")}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// readAll is [io.ReadAll] into a buffer that is large enough for a notification
// of the usual size. A sender that only claims to have more to say gets no more.
func readAll(r io.Reader, claimed int64) ([]byte, error) {
	body := make([]byte, 0, min(max(claimed, 0), 4<<10)+1)
	for len(body) < cap(body) {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
	rest, err := io.ReadAll(r)
	return append(body, rest...), err
}

// boundReading sets the read deadline of a request with a body. It comes before
// any refusal, for net/http waits for what a refusal leaves unread. Without a
// body it would end the context of a handler that works for longer. Not every
// ResponseWriter can set one; the server's own then hold.
func (k *Kit) boundReading(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(k.cfg.ReadTimeout))
}

// answerNotification writes the status and a body that says nothing of why.
func answerNotification(w http.ResponseWriter, err error) {
	status := HTTPStatus(err)
	switch {
	case err == nil:
	case status == http.StatusBadRequest, status == http.StatusUnauthorized,
		status == http.StatusRequestEntityTooLarge, status == http.StatusMethodNotAllowed:
	default:
		status = http.StatusServiceUnavailable
	}
	secureHeaders(w)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodPost)
	}
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = io.WriteString(w, "OK")
	} else {
		_, _ = io.WriteString(w, http.StatusText(status))
	}
}

// pathID returns the record id in the URL: the wildcard {id} where a pattern
// has one, else what follows the endpoint's name.
func pathID(r *http.Request) string {
	id := r.PathValue("id")
	if id == "" {
		id = path.Base(r.URL.Path)
	}
	if !isRecordID(id) {
		return ""
	}
	return id
}

// restoreBody gives the next handler the body that was read.
func restoreBody(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
}
