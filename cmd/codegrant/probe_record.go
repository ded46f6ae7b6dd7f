package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// probeLine is one line of the record: an exchange with the gateway, something
// that arrived at the listener, or the verdict on a step. Bodies are as sent,
// but for what the masker takes out.
type probeLine struct {
	Time        time.Time `json:"time"`
	Step        string    `json:"step"`
	Kind        string    `json:"kind"` // exchange, notification, return or verdict
	Method      string    `json:"method,omitempty"`
	URL         string    `json:"url,omitempty"`
	Request     string    `json:"request,omitempty"`
	Status      int       `json:"status,omitempty"`
	ContentType string    `json:"contentType,omitempty"`
	Date        string    `json:"date,omitempty"`
	Response    string    `json:"response,omitempty"`
	Millis      int64     `json:"millis,omitempty"`
	Error       string    `json:"error,omitempty"`
	Verdict     string    `json:"verdict,omitempty"`
	Text        string    `json:"text,omitempty"`
}

// probeRecord writes lines. It is safe for concurrent use.
type probeRecord struct {
	mu   sync.Mutex
	out  io.Writer // nil records nothing
	mask *mask.Memory
	step string
	err  error // the first that writing returned
}

// begin names the step that the lines from now on belong to.
func (r *probeRecord) begin(step string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step = step
}

func (r *probeRecord) write(l probeLine) {
	l.URL, l.Error, l.Text = r.mask.Text(l.URL), r.mask.Text(l.Error), r.mask.Text(l.Text)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out == nil || r.err != nil {
		return
	}
	if l.Time.IsZero() {
		l.Time = time.Now()
	}
	l.Time = l.Time.UTC()
	if l.Step == "" {
		l.Step = r.step
	}
	encoder := json.NewEncoder(r.out)
	encoder.SetEscapeHTML(false)
	r.err = encoder.Encode(l)
}
