package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"
)

// probeTransport records every exchange, the library's and the probe's own.
type probeTransport struct {
	next   http.RoundTripper
	record *probeRecord
}

func (t *probeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		var err error
		sent, err = io.ReadAll(req.Body)
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	line := probeLine{Time: time.Now(), Kind: "exchange", Method: req.Method, URL: req.URL.String(), Request: t.record.mask.Body(sent)}
	defer func() {
		line.Millis = time.Since(line.Time).Milliseconds()
		t.record.write(line)
	}()
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		line.Error = err.Error()
		return nil, err
	}
	defer resp.Body.Close()
	line.Status, line.ContentType, line.Date = resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Date")
	received, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeBody))
	line.Response = t.record.mask.Body(received)
	if err != nil {
		line.Error = err.Error()
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(received))
	return resp, nil
}
