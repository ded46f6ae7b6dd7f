package codegrant

import (
	"log/slog"
	"testing"
	"time"
)

// A log that is off, and no observer, cost nothing: nothing is put together for
// them. It counts allocations, so it cannot run beside other tests.
func TestALogThatIsOffCostsNothing(t *testing.T) {
	k := &Kit{log: slog.New(slog.DiscardHandler)}
	token, p := Token{ID: "RECORD-1", Status: StatusActive}, Payment{OrderID: "order-1"}
	n := Notification{Kind: KindPayment, Payment: &PaymentNotification{}}
	failure := &Error{Op: "notify", Code: ErrBadSignature}
	for name, write := range map[string]func(){
		"a transition":   func() { k.noteToken(t.Context(), "notify", EventTransition, StatusPending, token) },
		"a hook":         func() { k.noteHook(t.Context(), "notify", "OnToken", time.Second, nil, nil) },
		"a sweep":        func() { k.noteSweep(t.Context(), "reconcile", Sweep{Looked: 1}) },
		"a notification": func() { k.noteNotification(t.Context(), slog.LevelDebug, EventNotification, n) },
		"a payment":      func() { k.noteUnrecorded(t.Context(), n) },
		"no payment":     func() { k.notePayment(t.Context(), "charge", p, p) },
		"a rejection":    func() { k.reject(t.Context(), "notify", failure) },
		"an operation":   func() { _, end := k.start(t.Context(), OperationTask, "charge"); end(Result{}) },
	} {
		if got := testing.AllocsPerRun(100, write); got != 0 {
			t.Errorf("%s costs %v allocations", name, got)
		}
	}
}
