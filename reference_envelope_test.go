package codegrant

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The reading and the verdict as they were before they were made fast, kept as
// the judge of those that replaced them.

// refEnvelope is a message of the gateway before its signature is judged. The
// members that the digest covers and the fields that the kit uses are the same
// bytes of one reading: what is verified is what is used.
type refEnvelope struct {
	accountID, clientID string
	code, description   string
	signType, version   string
	sign                []byte
	bizContent          []byte
	biz                 refDocument // bizContent, read strictly

	signed []refMember // every top-level member but sign, sorted by name
	empty  bool        // some signed member is a refBlank string
}

// refRead reads body strictly and judges its form. Only an answer may
// come without bizContent, as a refusal does. Errors match [ErrMalformed], or
// [ErrBadSignature] for a readable message without sign, and repeat nothing of
// the body.
func refRead(body []byte, needBiz bool) (*refEnvelope, error) {
	doc, err := refParse(body)
	if err != nil {
		return nil, wrap("read", ErrMalformed, err)
	}
	e := &refEnvelope{}
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

func (e *refEnvelope) collect(doc refDocument) error {
	received := 0
	e.signed = make([]refMember, 0, min(len(doc.members), maxEnvelopeMembers))
	for _, m := range doc.members {
		if m.parent != -1 {
			continue
		}
		if received++; received > maxEnvelopeMembers {
			return errors.New("too many members")
		}
		if err := refCheckMember(m); err != nil {
			return err
		}
		if string(m.name) == "sign" {
			if !refBlank(m) {
				e.sign = m.value
			}
			continue
		}
		if m.kind == jsonNull {
			continue // PingPong v4, Signature Convention: null is not signed
		}
		if refBlank(m) {
			e.empty = true
		} else {
			e.set(m)
		}
		e.signed = append(e.signed, m)
	}
	slices.SortFunc(e.signed, func(a, b refMember) int { return bytes.Compare(a.name, b.name) })
	return nil
}

func (e *refEnvelope) set(m refMember) {
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

// refCheckMember refuses what would make the text under the digest ambiguous:
// name=value&name=value can be split again wherever a value holds '&'.
func refCheckMember(m refMember) error {
	name := string(m.name)
	if refProtocolText(name) && m.kind != jsonString && m.kind != jsonNull {
		return errors.New(name + " is not a string")
	}
	if name == "" || bytes.ContainsAny(m.name, "=&") || refHasControl(m.name, "") {
		return errors.New("bad member name")
	}
	allowed := ""
	if name == "bizContent" {
		allowed = "\t\r\n" // JSON white space between tokens
	}
	if refHasControl(m.value, allowed) {
		return errors.New("control character in " + refPrintable(name))
	}
	if name != "bizContent" && name != "description" && bytes.IndexByte(m.value, '&') >= 0 {
		return errors.New("'&' in " + refPrintable(name))
	}
	return nil
}

// checkForm holds the members with a fixed form to it, and demands those
// without which a message cannot be judged.
func (e *refEnvelope) checkForm(needBiz bool) error {
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
	biz, err := refParse(e.bizContent)
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
func (e *refEnvelope) canonical(dst []byte, keepEmpty bool) []byte {
	first := len(dst)
	for _, m := range e.signed {
		if !keepEmpty && refBlank(m) {
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

func refBlank(m refMember) bool {
	return m.kind == jsonString && len(bytes.TrimSpace(m.value)) == 0
}

func refHasControl(s []byte, allowed string) bool {
	for _, c := range s {
		if (c < 0x20 || c == 0x7f) && bytes.IndexByte([]byte(allowed), c) < 0 {
			return true
		}
	}
	return false
}

// refProtocolText reports the members that the protocol has as strings; only
// bizContent is tolerated as an object.
func refProtocolText(name string) bool {
	switch name {
	case "accId", "clientId", "code", "description", "signType", "version":
		return true
	}
	return false
}

// refPrintable names a member in an error only when it is the protocol's own
// name: anything else is the sender's text.
func refPrintable(name string) string {
	if refProtocolText(name) || name == "sign" || name == "bizContent" {
		return name
	}
	return "an unknown member"
}

// verify judges e by a's salts and returns the index of the one that signed.
// The caller has made sure that a has its defaults and no problems. Every salt
// is tried whatever the earlier ones gave, and digests are compared in
// constant time.
func (e *refEnvelope) verify(a *Account) (salt int, err error) {
	if (e.accountID != "" && e.accountID != a.ID) || (e.clientID != "" && e.clientID != a.ClientID) {
		return 0, ErrWrongAccount
	}
	var received, sum [sha256.Size]byte
	size := sha256.Size
	if a.Digest == MD5 {
		size = md5.Size
	}
	if e.signType != string(a.Digest) || len(e.sign) != hex.EncodedLen(size) {
		return 0, ErrBadSignature
	}
	if _, err := hex.Decode(received[:], e.sign); err != nil {
		return 0, ErrBadSignature
	}
	salt = -1
	text := make([]byte, 0, 1024) // of one try after the other
	try := func(keepEmpty bool) {
		for i, s := range a.Salts {
			text = e.canonical(append(text[:0], s.Reveal()...), keepEmpty)
			computed := digest(a.Digest, text, &sum)
			if subtle.ConstantTimeCompare(computed, received[:size]) == 1 && salt < 0 {
				salt = i
			}
		}
	}
	try(false)
	if salt < 0 && e.empty {
		try(true)
	}
	if salt < 0 {
		return 0, ErrBadSignature
	}
	return salt, nil
}

// refDecode fills the wire-tagged fields of *target from doc. Absent, null and
// nested values leave a field as it is, and numbers are taken as text: the
// gateway may add, drop and retype members at any time. An amount whose
// currency is absent is read in the currency that the field already holds.
func refDecode(doc *refDocument, target any) error {
	v := reflect.ValueOf(target).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("wire")
		if tag == "" {
			continue
		}
		if err := refDecodeField(doc, tag, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func refDecodeField(doc *refDocument, tag string, field reflect.Value) error {
	if field.Type() == amountType {
		return refDecodeAmount(doc, tag, field.Addr().Interface().(*Amount))
	}
	text := refText(doc, tag)
	if text == "" {
		return nil
	}
	switch {
	case field.Type() == secretType:
		field.Set(reflect.ValueOf(NewSecret(text)))
	case field.Type() == timeType:
		// PingPong v4, payment notification: epoch milliseconds as text. Other
		// forms have no stated time zone and are left alone.
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil && len(text) == 13 {
			field.Set(reflect.ValueOf(time.UnixMilli(ms).UTC()))
		}
	case field.Kind() == reflect.String:
		field.SetString(text)
	case field.Kind() == reflect.Bool:
		field.SetBool(text == "true")
	default:
		return fmt.Errorf("codegrant: field %s has a type the wire has no form for", tag)
	}
	return nil
}

func refDecodeAmount(doc *refDocument, tag string, amount *Amount) error {
	value, currency, _ := strings.Cut(tag, ",")
	if c := refText(doc, currency); c != "" {
		amount.Currency = c
	}
	text := refText(doc, value)
	if text == "" || amount.Currency == "" {
		return nil
	}
	parsed, err := ParseAmount(text, amount.Currency)
	if err != nil {
		return err
	}
	*amount = parsed
	return nil
}

func refText(doc *refDocument, tag string) string {
	for more := true; more; {
		var path string
		path, tag, more = strings.Cut(tag, "|")
		if m, _ := doc.at(path); (m.kind == jsonString || m.kind == jsonLiteral) && len(m.value) > 0 {
			return string(m.value)
		}
	}
	return ""
}

// refParseNotification is what ParseNotification was.
func refParseNotification(body []byte, account Account) (Notification, error) {
	account = account.withDefaults()
	if p := account.problems(); len(p) > 0 {
		return Notification{}, &ConfigError{Problems: p}
	}
	env, err := refRead(body, true)
	if err != nil {
		return Notification{}, err
	}
	salt, err := env.verify(&account)
	if err != nil {
		return Notification{}, unverified(err)
	}
	return env.notification(body, account.ID, salt, DefaultNotifyTypes())
}

// notification reads e, which the account's salt verified.
func (e *refEnvelope) notification(body []byte, accountID string, salt int, types map[string]Kind) (Notification, error) {
	n := Notification{
		AccountID: accountID, Salt: salt, Code: e.code, Description: e.description,
		Raw: NewSecret(string(body)),
	}
	err := refDecode(&e.biz, &n)
	if err != nil {
		return Notification{}, wrap("read", ErrMalformed, err)
	}
	n.Kind = types[n.Type]
	switch n.Kind {
	case KindSignedUp:
		if failedStatus(n.Status) {
			n.Kind = KindSignUpFailed
		}
	case KindPayment:
		n.Payment = &PaymentNotification{AccountID: n.AccountID, Code: n.Code}
		err = refDecode(&e.biz, n.Payment)
	case KindRefund:
		n.Refund = &RefundNotification{AccountID: n.AccountID, Code: n.Code}
		err = refDecode(&e.biz, n.Refund)
	}
	if err != nil {
		return Notification{}, wrap("read", ErrMalformed, err)
	}
	return n, nil
}
