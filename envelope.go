package codegrant

import (
	"bytes"
	"errors"
	"slices"
)

// maxEnvelopeMembers is well above the eight that the protocol has.
const maxEnvelopeMembers = 32

// envelope is a message of the gateway before its signature is judged. The
// members that the digest covers and the fields that the kit uses are the same
// bytes of one reading: what is verified is what is used.
type envelope struct {
	accountID, clientID string
	code, description   string
	signType, version   string
	sign                []byte
	bizContent          []byte
	biz                 document // bizContent, read strictly

	signed []member // every top-level member but sign, sorted by name
	empty  bool     // some signed member is a blank string
}

// readEnvelope reads body strictly and judges its form. Only an answer may
// come without bizContent, as a refusal does. Errors match [ErrMalformed], or
// [ErrBadSignature] for a readable message without sign, and repeat nothing of
// the body.
func readEnvelope(body []byte, needBiz bool) (*envelope, error) {
	doc, err := parseDocument(body)
	if err != nil {
		return nil, wrap("read", ErrMalformed, err)
	}
	e := &envelope{}
	if err := e.collect(doc); err != nil {
		return nil, wrap("read", ErrMalformed, err)
	}
	if len(e.sign) == 0 {
		return nil, wrap("read", ErrBadSignature, errors.New("sign is missing"))
	}
	if err := e.checkForm(needBiz); err != nil {
		return nil, wrap("read", ErrMalformed, err)
	}
	return e, nil
}

func (e *envelope) collect(doc document) error {
	received := 0
	e.signed = make([]member, 0, min(len(doc.members), maxEnvelopeMembers))
	for _, m := range doc.members {
		if m.parent != -1 {
			continue
		}
		if received++; received > maxEnvelopeMembers {
			return errors.New("too many members")
		}
		if err := checkMember(m); err != nil {
			return err
		}
		if string(m.name) == "sign" {
			if !blank(m) {
				e.sign = m.value
			}
			continue
		}
		if m.kind == jsonNull {
			continue // PingPong v4, Signature Convention: null is not signed
		}
		if blank(m) {
			e.empty = true
		} else {
			e.set(m)
		}
		e.signed = append(e.signed, m)
	}
	slices.SortFunc(e.signed, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	return nil
}

func (e *envelope) set(m member) {
	switch string(m.name) {
	case "accId":
		e.accountID = string(m.value)
	case "clientId":
		e.clientID = string(m.value)
	case "code":
		e.code = string(m.value)
	case "description":
		e.description = string(m.value)
	case "signType":
		e.signType = string(m.value)
	case "version":
		e.version = string(m.value)
	case "bizContent":
		e.bizContent = m.value
	}
}

// checkMember refuses what would make the text under the digest ambiguous:
// name=value&name=value can be split again wherever a value holds '&'.
func checkMember(m member) error {
	name := string(m.name)
	if isProtocolText(name) && m.kind != jsonString && m.kind != jsonNull {
		return errors.New(name + " is not a string")
	}
	if name == "" || bytes.ContainsAny(m.name, "=&") || hasControl(m.name, "") {
		return errors.New("bad member name")
	}
	allowed := ""
	if name == "bizContent" {
		allowed = "\t\r\n" // JSON white space between tokens
	}
	if hasControl(m.value, allowed) {
		return errors.New("control character in " + printableName(name))
	}
	if name != "bizContent" && name != "description" && bytes.IndexByte(m.value, '&') >= 0 {
		return errors.New("'&' in " + printableName(name))
	}
	return nil
}

// checkForm holds the members with a fixed form to it, and demands those
// without which a message cannot be judged.
func (e *envelope) checkForm(needBiz bool) error {
	switch {
	case needBiz && len(e.bizContent) == 0:
		return errors.New("bizContent is missing")
	case e.signType != string(SHA256) && e.signType != string(MD5):
		return errors.New("signType is missing or unknown")
	case e.accountID != "" && !isID(e.accountID):
		return errors.New("accId has the wrong form")
	case e.clientID != "" && !isID(e.clientID):
		return errors.New("clientId has the wrong form")
	case e.version != "" && e.version != protocolVersion:
		return errors.New("version has the wrong form")
	case len(e.code) > 6 || (e.code != "" && !isWord(e.code)):
		return errors.New("code has the wrong form")
	}
	if len(e.bizContent) == 0 {
		return nil
	}
	biz, err := parseDocument(e.bizContent)
	if err != nil {
		return errors.New("bizContent: " + err.Error())
	}
	e.biz = biz
	return nil
}

// canonical appends the text that the digest covers, without the salt.
// PingPong v4, Signature Convention: names in ascending byte order, raw
// values, name=value joined with '&'. Blank strings are left out, as the
// official Java helper does, unless keepEmpty asks for the PHP helper's form.
func (e *envelope) canonical(dst []byte, keepEmpty bool) []byte {
	first := len(dst)
	for _, m := range e.signed {
		if !keepEmpty && blank(m) {
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

func blank(m member) bool {
	return m.kind == jsonString && len(bytes.TrimSpace(m.value)) == 0
}

func hasControl(s []byte, allowed string) bool {
	for _, c := range s {
		if (c < 0x20 || c == 0x7f) && bytes.IndexByte([]byte(allowed), c) < 0 {
			return true
		}
	}
	return false
}

// isProtocolText reports the members that the protocol has as strings; only
// bizContent is tolerated as an object.
func isProtocolText(name string) bool {
	switch name {
	case "accId", "clientId", "code", "description", "signType", "version":
		return true
	}
	return false
}

// printableName names a member in an error only when it is the protocol's own
// name: anything else is the sender's text.
func printableName(name string) string {
	if isProtocolText(name) || name == "sign" || name == "bizContent" {
		return name
	}
	return "an unknown member"
}

// isID reports the form of accId and clientId.
func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && c != '_' && !isAlnum(c) {
			return false
		}
	}
	return true
}

func isWord(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
