package codegrant

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// maxEnvelopeMembers is well above the eight that the protocol has.
const maxEnvelopeMembers = 32

// envelope is a message of the gateway before its signature is judged. The
// members that the digest covers and the fields that the kit uses are the same
// bytes of one reading: what is verified is what is used. These bytes are the
// caller's, or the envelope's own until it is released.
type envelope struct {
	fields
	doc    document
	biz    document  // bizContent, read strictly
	signed []*member // every top-level member but sign, sorted by name
	empty  bool      // some signed member is a blank string

	text []byte       // under the digest, a salt in front
	read Notification // what reflection fills in; see notification
}

// fields are the members of the protocol, nil where one is absent or blank.
type fields struct {
	accountID, clientID []byte
	code, description   []byte
	signType, version   []byte
	sign                []byte
	bizContent          []byte
}

// What a released envelope may keep for the next message: enough for any of the
// protocol, so that a huge one leaves nothing behind.
const (
	maxPooledBytes   = 8 << 10
	maxPooledMembers = 256
)

// envelopes that were released, without a trace of the message that they held.
var envelopes = sync.Pool{New: func() any { return new(envelope) }}

// readEnvelope reads body strictly and judges its form. Only an answer may
// come without bizContent, as a refusal does. Errors match [ErrMalformed], or
// [ErrBadSignature] for a readable message without sign, and repeat nothing of
// the body.
func readEnvelope(body []byte, needBiz bool) (*envelope, error) {
	e := envelopes.Get().(*envelope)
	if code, err := e.readBody(body, needBiz); err != nil {
		e.release()
		return nil, &Error{Op: "read", Code: code, Err: err}
	}
	return e, nil
}

// release gives e back, which nobody may use any longer, nor anything that was
// read out of it and not copied. An envelope that is never released is only
// garbage. e may be nil.
func (e *envelope) release() {
	if e == nil {
		return
	}
	e.doc.wipe()
	e.biz.wipe()
	e.fields, e.empty, e.read = fields{}, false, Notification{}
	e.signed, e.text = wiped(e.signed), wiped(e.text)
	if e.reusable() {
		envelopes.Put(e)
	}
}

func (e *envelope) reusable() bool {
	return max(cap(e.text), cap(e.doc.scratch), cap(e.biz.scratch)) <= maxPooledBytes &&
		max(cap(e.doc.members), cap(e.biz.members)) <= maxPooledMembers
}

func (e *envelope) readBody(body []byte, needBiz bool) (Code, error) {
	if !utf8.Valid(body) {
		return ErrMalformed, errUTF8
	}
	if err := e.doc.read(body); err != nil {
		return ErrMalformed, err
	}
	if err := e.collect(); err != nil {
		return ErrMalformed, err
	}
	if len(e.sign) == 0 {
		return ErrBadSignature, errUnsigned
	}
	return ErrMalformed, e.checkForm(needBiz)
}

func (e *envelope) collect() error {
	received := 0
	for i := range e.doc.members {
		m := &e.doc.members[i]
		if m.parent != topLevel {
			continue
		}
		if received++; received > maxEnvelopeMembers {
			return errMembers
		}
		field := e.field(m.name)
		if err := e.checkMember(m, field); err != nil {
			return err
		}
		if m.kind == jsonNull {
			continue // PingPong v4, Signature Convention: null is not signed
		}
		isBlank := blank(m)
		if field != nil && !isBlank {
			*field = m.value
		}
		if field == &e.sign {
			continue
		}
		e.empty = e.empty || isBlank
		e.sortIn(m)
	}
	return nil
}

// sortIn adds m to the signed members at its place.
func (e *envelope) sortIn(m *member) {
	e.signed = append(e.signed, m)
	for i := len(e.signed) - 1; i > 0 && bytes.Compare(e.signed[i-1].name, m.name) > 0; i-- {
		e.signed[i-1], e.signed[i] = m, e.signed[i-1]
	}
}

// field returns where the value of a member of the protocol belongs, nil for
// any other name.
func (e *envelope) field(name []byte) *[]byte {
	switch string(name) {
	case "accId":
		return &e.accountID
	case "clientId":
		return &e.clientID
	case "code":
		return &e.code
	case "description":
		return &e.description
	case "signType":
		return &e.signType
	case "version":
		return &e.version
	case "bizContent":
		return &e.bizContent
	case "sign":
		return &e.sign
	}
	return nil
}

// checkMember refuses what would make the text under the digest ambiguous:
// name=value&name=value can be split again wherever a value holds '&'. field is
// where the value belongs.
func (e *envelope) checkMember(m *member, field *[]byte) error {
	isBiz := field == &e.bizContent
	// The protocol has its members as strings; bizContent is tolerated as an
	// object, and sign is judged later.
	if field != nil && !isBiz && field != &e.sign && m.kind != jsonString && m.kind != jsonNull {
		return formError(string(m.name) + " is not a string")
	}
	if field == nil && (len(m.name) == 0 || bytes.ContainsAny(m.name, "=&") || hasControl(m.name, false)) {
		return errName
	}
	if m.hasControl(isBiz) {
		return formError("control character in " + printableName(m, field))
	}
	if !isBiz && field != &e.description && bytes.IndexByte(m.value, '&') >= 0 {
		return formError("'&' in " + printableName(m, field))
	}
	return nil
}

// checkForm holds the members with a fixed form to it, and demands those
// without which a message cannot be judged.
func (e *envelope) checkForm(needBiz bool) error {
	switch {
	case needBiz && len(e.bizContent) == 0:
		return errNoContent
	case string(e.signType) != string(SHA256) && string(e.signType) != string(MD5):
		return errSignType
	case len(e.accountID) > 0 && !isID(e.accountID):
		return errAccountID
	case len(e.clientID) > 0 && !isID(e.clientID):
		return errClientID
	case len(e.version) > 0 && string(e.version) != protocolVersion:
		return errVersion
	case len(e.code) > 6 || (len(e.code) > 0 && !isWord(e.code)):
		return errCode
	}
	if len(e.bizContent) == 0 {
		return nil
	}
	// Valid UTF-8 stays valid when it is unescaped: no lone surrogate got here.
	if err := e.biz.read(e.bizContent); err != nil {
		return formError("bizContent: " + err.Error())
	}
	return nil
}

const (
	errUnsigned  formError = "sign is missing"
	errName      formError = "bad member name"
	errNoContent formError = "bizContent is missing"
	errSignType  formError = "signType is missing or unknown"
	errAccountID formError = "accId has the wrong form"
	errClientID  formError = "clientId has the wrong form"
	errVersion   formError = "version has the wrong form"
	errCode      formError = "code has the wrong form"
)

// canonical appends the text that the digest covers, without the salt.
// PingPong v4, Signature Convention: names in ascending byte order, raw
// values, name=value joined with '&'. Blank strings are left out, as the
// official Java helper does, unless keepEmpty asks for the PHP helper's form.
func (e *envelope) canonical(dst []byte, keepEmpty bool) []byte {
	first := len(dst)
	for _, m := range e.signed {
		if e.empty && !keepEmpty && blank(m) {
			continue
		}
		if len(dst) > first {
			dst = append(dst, '&')
		}
		dst = append(dst, m.name...)
		dst = append(dst, '=')
		dst = append(dst, m.value...)
	}
	return dst
}

// canonicalSize is enough for what canonical appends, in bytes.
func (e *envelope) canonicalSize() int {
	size := 0
	for _, m := range e.signed {
		size += len(m.name) + len(m.value) + len("=&")
	}
	return size
}

// blank reports a string with nothing but white space in it. Most show by their
// first byte that they are none.
func blank(m *member) bool {
	return m.kind == jsonString && (len(m.value) == 0 || m.value[0] <= ' ' || m.value[0] >= utf8.RuneSelf) &&
		len(bytes.TrimSpace(m.value)) == 0
}

// hasControl reports a control character of ASCII in m's value. JSON may have
// blanks, which are tabs and line ends, between its tokens.
func (m *member) hasControl(mayHaveBlanks bool) bool {
	if m.kind != jsonString {
		return hasControl(m.value, mayHaveBlanks)
	}
	// A string has no control character but by an escape, and DEL.
	return m.escapes&escapedControl != 0 || (m.escapes&escapedBlank != 0 && !mayHaveBlanks) ||
		bytes.IndexByte(m.value, 0x7f) >= 0
}

func hasControl(s []byte, mayHaveBlanks bool) bool {
	for _, c := range s {
		if c == 0x7f || (c < 0x20 && (!mayHaveBlanks || (c != '\t' && c != '\n' && c != '\r'))) {
			return true
		}
	}
	return false
}

// printableName names a member in an error only when it is the protocol's own
// name: anything else is the sender's text.
func printableName(m *member, field *[]byte) string {
	if field != nil {
		return string(m.name)
	}
	return "an unknown member"
}

// isID reports the form of accId and clientId.
func isID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isWord[T string | []byte](s T) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c-'0' < 10 || c|0x20-'a' < 26
}
