package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// member is one name of a JSON object with its value, in their order.
type member struct {
	name string
	raw  json.RawMessage
}

// readObject reads an object without losing order, numbers or spellings.
func readObject(data []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not valid JSON")
		}
		m := member{name: name.(string)} // nothing else can stand there
		if err := decoder.Decode(&m.raw); err != nil {
			return nil, errors.New("not valid JSON")
		}
		if slices.ContainsFunc(members, func(known member) bool { return known.name == m.name }) {
			return nil, errors.New("a member stands there twice")
		}
		members = append(members, m)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("not valid JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes after the JSON object")
	}
	return members, nil
}

// text is a member's value as it is signed: a string's content, an object
// without its white space, null as nothing.
func (m member) text() (string, error) {
	switch m.raw[0] {
	case 'n':
		return "", nil
	case '"':
		var s string
		err := json.Unmarshal(m.raw, &s)
		return s, err
	}
	var out bytes.Buffer
	err := json.Compact(&out, m.raw)
	return out.String(), err
}

// envelope is a message before it is signed.
type envelope struct {
	names  []string // in the order in which they are written
	values map[string]string
	whole  bool // it was read as a message, not as a bizContent
}

func (e *envelope) set(name, value string) {
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// readEnvelope reads an object with bizContent as a message, and any other
// object as what bizContent is to be. Sign and signType are not kept.
func readEnvelope(data []byte) (*envelope, error) {
	members, err := readObject(data)
	if err != nil {
		return nil, err
	}
	e := &envelope{values: make(map[string]string)}
	for _, name := range []string{"accId", "clientId", "code", "description", "signType", "sign", "version", "bizContent"} {
		e.set(name, "")
	}
	if !slices.ContainsFunc(members, func(m member) bool { return m.name == "bizContent" }) {
		content, err := member{raw: data[bytes.IndexByte(data, '{'):]}.text()
		e.set("bizContent", content)
		return e, err
	}
	e.whole = true
	for _, m := range members {
		if m.name == "sign" || m.name == "signType" {
			continue
		}
		value, err := m.text()
		if err != nil {
			return nil, err
		}
		e.set(m.name, value)
	}
	return e, nil
}

// signed signs for the account and writes the message. What the library would
// not accept back is an error.
func (e *envelope) signed(account codegrant.Account) ([]byte, error) {
	e.set("accId", account.ID)
	e.set("clientId", account.ClientID)
	e.set("signType", string(account.Digest))
	// The simulator's signing code is not the library's, which judges it below.
	e.set("sign", gatewaytest.Sign(account.Salts[0].Reveal(), string(account.Digest), e.values))
	var out bytes.Buffer
	out.WriteByte('{')
	for _, name := range e.names {
		if strings.TrimSpace(e.values[name]) == "" {
			continue // and not signed either
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		out.Write(compactJSON(name))
		out.WriteByte(':')
		out.Write(compactJSON(e.values[name]))
	}
	out.WriteByte('}')
	if _, err := codegrant.ParseNotification(out.Bytes(), account); err != nil {
		return nil, fmt.Errorf("this would not be accepted: %w", err)
	}
	return out.Bytes(), nil
}

// compactJSON writes strings, numbers, booleans and maps of them, with '<', '>'
// and '&' as they are.
func compactJSON(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // such values always encode
	return bytes.TrimSpace(out.Bytes())
}
