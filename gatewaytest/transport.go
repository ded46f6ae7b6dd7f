package gatewaytest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
)

// Transport returns a transport that hands every request, whatever its host,
// to this gateway in memory. It opens no socket and honours the request's
// context, so it works under testing/synctest: time-out faults block until the
// context is done, reset faults return a [syscall.ECONNRESET], and truncated
// answers end in [io.ErrUnexpectedEOF].
func (g *Gateway) Transport() http.RoundTripper { return transport{g} }

type transport struct{ gateway *Gateway }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	inbound, err := serverRequest(req)
	if err != nil {
		return nil, err
	}
	op, ok := t.gateway.ops[req.URL.Path]
	if !ok {
		recorder := httptest.NewRecorder()
		t.gateway.pages.ServeHTTP(recorder, inbound)
		return response(req, recorder), nil
	}
	out := t.gateway.exchange(op, inbound)
	if out.done != nil {
		defer out.done()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if out.reset {
		return nil, connectionReset()
	}
	recorder := httptest.NewRecorder()
	cut := out.cut
	out.cut, out.done = false, nil
	out.write(recorder)
	resp := response(req, recorder)
	if cut {
		half := bytes.NewReader(out.body[:len(out.body)/2])
		resp.Body = io.NopCloser(io.MultiReader(half, brokenReader{}))
	}
	return resp, nil
}

// HandlerTransport returns a transport that hands every request to h in memory,
// as a merchant for [Config.HTTPClient]. When the request's context is done it
// returns at once, even if h does not. A panic in h is a reset connection.
func HandlerTransport(h http.Handler) http.RoundTripper { return handlerTransport{h} }

type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	inbound, err := serverRequest(req)
	if err != nil {
		return nil, err
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		recorder := httptest.NewRecorder()
		defer func() {
			if recover() != nil {
				recorder = nil
			}
			answered <- recorder
		}()
		t.handler.ServeHTTP(recorder, inbound)
	}()
	select {
	case recorder := <-answered:
		if recorder == nil {
			return nil, connectionReset()
		}
		return response(req, recorder), nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// serverRequest is the client's request as a server would see it. The body is
// read here, because a transport must not touch it after it has returned.
func serverRequest(req *http.Request) (*http.Request, error) {
	var body []byte
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, fmt.Errorf("request body: %w", err)
		}
	}
	inbound := req.Clone(req.Context())
	inbound.Body = io.NopCloser(bytes.NewReader(body))
	inbound.ContentLength = int64(len(body))
	inbound.RequestURI = req.URL.RequestURI()
	inbound.RemoteAddr = "192.0.2.1:1234"
	if inbound.Host == "" {
		inbound.Host = req.URL.Host
	}
	return inbound, nil
}

func response(req *http.Request, recorder *httptest.ResponseRecorder) *http.Response {
	resp := recorder.Result()
	resp.Request = req
	return resp
}

func connectionReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
