package gatewaytest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// request is the envelope of an API call. members holds the value of every
// top-level member as the signature needs it: strings decoded, anything else
// as received (PingPong v4, section 3.1).
type request struct {
	members map[string]string
	// bizIsString is what the documentation requires of bizContent.
	bizIsString bool
}

func readRequest(body []byte) (request, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return request{}, err
	}
	req := request{members: make(map[string]string)}
	for name, value := range raw {
		var text string
		switch {
		case string(value) == "null":
			continue
		case json.Unmarshal(value, &text) == nil:
			req.bizIsString = req.bizIsString || name == "bizContent"
		default:
			text = string(value)
		}
		req.members[name] = text
	}
	return req, nil
}

// hasAngle reports whether a value of the request, at any depth, contains one
// of the characters that the gateway's XSS protection stops (PingPong v4,
// section 11).
func hasAngle(body []byte) bool {
	if bytes.ContainsAny(body, "<>") {
		return true
	}
	var value any
	return json.Unmarshal(body, &value) == nil && angleIn(value)
}

func angleIn(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.ContainsAny(value, "<>") || (strings.HasPrefix(value, "{") && hasAngle([]byte(value)))
	case []any:
		return slices.ContainsFunc(value, angleIn)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(value)), angleIn)
	}
	return false
}

// message is the envelope of an answer or a notification, in the order of the
// documentation's samples.
type message struct {
	AccountID   string `json:"accId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	SignType    string `json:"signType,omitempty"`
	Sign        string `json:"sign,omitempty"`
	BizContent  string `json:"bizContent,omitempty"`
}

// signed returns m with signType and sign set.
func (m message) signed(salt, signType string) message {
	m.SignType = signType
	m.Sign = Sign(salt, signType, map[string]string{
		"accId":       m.AccountID,
		"clientId":    m.ClientID,
		"code":        m.Code,
		"description": m.Description,
		"signType":    m.SignType,
		"bizContent":  m.BizContent,
	})
	return m
}

// tampered returns m as a forger who lacks the salt could change it: with
// another token or, if it has none, with one more member.
func (m message) tampered() message {
	const member = `"token":"`
	if i := strings.Index(m.BizContent, member); i >= 0 {
		i += len(member)
		other := "0"
		if strings.HasPrefix(m.BizContent[i:], "0") {
			other = "1"
		}
		m.BizContent = m.BizContent[:i] + other + m.BizContent[i+1:]
	} else if fields, ok := strings.CutSuffix(m.BizContent, "}"); ok && fields != "{" {
		m.BizContent = fields + `,"tampered":"1"}`
	} else {
		m.BizContent = `{"tampered":"1"}`
	}
	return m
}

func (m message) unsigned() message {
	m.SignType, m.Sign = "", ""
	return m
}

func (m message) body() []byte { return encode(m) }

// encode is json.Marshal without the HTML escapes, which the gateway does not
// use. It is only given types that cannot fail.
func encode(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

// SignedBody returns a notification body around bizContent, which is used as it
// stands, signed for the gateway's first account. Extra top-level members are
// added before signing; an extra accId chooses another account, an extra
// signType another digest, and an extra value "" leaves a member out.
func (g *Gateway) SignedBody(bizContent string, extra map[string]string) []byte {
	account, ok := g.accounts[extra["accId"]]
	if !ok {
		account = g.accounts[g.cfg.AccountID]
	}
	members := map[string]string{
		"accId":       account.AccountID,
		"clientId":    account.ClientID,
		"code":        codeSuccess,
		"description": describe(codeSuccess),
		"signType":    g.cfg.SignType,
		"bizContent":  bizContent,
	}
	maps.Copy(members, extra)
	maps.DeleteFunc(members, func(_, value string) bool { return value == "" })
	members["sign"] = Sign(account.Salt, members["signType"], members)
	return encode(members)
}
