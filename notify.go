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
	return k.endpoint("notify", func(w http.ResponseWriter, r *http.Request) error {
		id := pathID(r)
		body, err := k.readBody(w, r)
		if err == nil {
			err = k.applyMessage(r.Context(), readMessage(body, k.cfg.MaxBody), id)
		} else {
			k.reject(r.Context(), "notify", err)
		}
		answerNotification(w, err)
		return err
	})
}

// Apply does all the work of [Kit.Notify] on a body that was read elsewhere:
// from another web framework or from a queue. body must be the bytes as
// received and id the last segment of the URL that they were sent to ("" when
// there is none). nil means that the gateway may be told OK; for an error
// answer [HTTPStatus]. It does not stop when ctx is cancelled, only after
// [Config.Timeout].
func (k *Kit) Apply(ctx context.Context, body []byte, id string) error {
	_, err := observed(ctx, k, OperationTask, "notify", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, k.applyMessage(ctx, readMessage(body, k.cfg.MaxBody), id)
	})
	return err
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
	k.noteNotification(ctx, slog.LevelDebug, EventNotification, n)
	switch n.Kind {
	case KindPayment:
		p := n.Payment // and not n: what a closure takes is on the heap
		if k.payments != nil && n.Payment.OrderID != "" {
			return k.applyPayment(ctx, *n.Payment)
		}
		k.noteUnrecorded(ctx, n)
		if k.cfg.OnPayment == nil {
			return nil
		}
		return k.runHook(ctx, "payment", "OnPayment", func(ctx context.Context) error { return k.cfg.OnPayment(ctx, *p) })
	case KindRefund:
		r := n.Refund
		if k.payments != nil && n.Refund.OrderID != "" && n.Refund.RefundID != "" {
			return k.applyRefund(ctx, *n.Refund)
		}
		k.noteUnrecorded(ctx, n)
		if k.cfg.OnRefund == nil {
			return nil
		}
		return k.runHook(ctx, "refund", "OnRefund", func(ctx context.Context) error { return k.cfg.OnRefund(ctx, *r) })
	case KindSignedUp, KindSignUpFailed, KindUnboundByUser, KindUnboundByMerchant, KindTokenGone:
		return k.applyToken(ctx, n, id)
	}
	return k.unknown(ctx, n)
}

func (k *Kit) unknown(ctx context.Context, n Notification) error {
	k.noteNotification(ctx, slog.LevelInfo, EventUnknownNotification, n)
	if k.cfg.OnUnknown == nil {
		return nil
	}
	return k.runHook(ctx, "unknown notification", "OnUnknown", func(ctx context.Context) error { return k.cfg.OnUnknown(ctx, n) })
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
	body, err := readAll(unobserved(w), received, r.ContentLength, k.cfg.MaxBody)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &Error{Op: "notify", Code: ErrTooLarge}
		}
		return nil, &Error{Op: "notify", Code: ErrMalformed, Err: errors.New("body could not be read to its end")}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// readAll is [io.ReadAll] into a buffer that is large enough for a notification
// of the usual size. A sender that only claims to have more to say gets no more,
// and one that says more than fits is held to the cap.
func readAll(w http.ResponseWriter, r io.ReadCloser, claimed, maxBody int64) ([]byte, error) {
	body := make([]byte, 0, min(max(claimed+1, 1), 4<<10, maxBody))
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
	rest, err := io.ReadAll(http.MaxBytesReader(w, r, maxBody-int64(len(body))))
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
	setHeaders(h, "Content-Type", "text/plain; charset=utf-8")
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
