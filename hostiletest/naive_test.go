package hostiletest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// naive verifies as code that decodes, sorts, joins and hashes does: members
// are whatever its decoder made of the body.
func naive(members map[string]string, account codegrant.Account) bool {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != "sign" && strings.TrimSpace(members[name]) != "" {
			pairs = append(pairs, name+"="+members[name])
		}
	}
	return slices.ContainsFunc(account.Salts, func(salt codegrant.Secret) bool {
		return digestOf(account.Digest, salt.Reveal()+strings.Join(pairs, "&")) == strings.ToUpper(members["sign"])
	})
}

// standardMembers decodes into a map by encoding/json.
func standardMembers(body []byte) map[string]string {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return nil
	}
	members := map[string]string{}
	for name, value := range raw {
		var text string
		if string(value) == "null" {
			continue
		}
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		members[name] = text
	}
	return members
}

// structMembers decodes into a struct by encoding/json, to which ACCID is
// accId.
func structMembers(body []byte) map[string]string {
	var m struct {
		AccID       string `json:"accId"`
		BizContent  string `json:"bizContent"`
		ClientID    string `json:"clientId"`
		Code        string `json:"code"`
		Description string `json:"description"`
		SignType    string `json:"signType"`
		Sign        string `json:"sign"`
		Version     string `json:"version"`
	}
	if json.Unmarshal(body, &m) != nil {
		return nil
	}
	return map[string]string{
		"accId": m.AccID, "bizContent": m.BizContent, "clientId": m.ClientID, "code": m.Code,
		"description": m.Description, "signType": m.SignType, "sign": m.Sign, "version": m.Version,
	}
}

// trustingMembers is a decoder that lets bytes pass as they come, as fast ones
// do by default: no look at UTF-8, none at control characters. It reads flat
// objects of strings.
func trustingMembers(body []byte) map[string]string {
	members, texts := map[string]string{}, []string{}
	for len(body) > 0 {
		start := bytes.IndexByte(body, '"')
		if start < 0 {
			break
		}
		var text []byte
		for body = body[start+1:]; len(body) > 0 && body[0] != '"'; body = body[1:] {
			if body[0] == '\\' && len(body) > 6 {
				var one string
				width := 2
				if body[1] == 'u' {
					width = 6
				}
				if json.Unmarshal([]byte(`"`+string(body[:width])+`"`), &one) != nil {
					return nil
				}
				text, body = append(text, one...), body[width-1:]
				continue
			}
			text = append(text, body[0])
		}
		if len(body) > 0 {
			body = body[1:]
		}
		texts = append(texts, string(text))
	}
	for i := 0; i+1 < len(texts); i += 2 {
		members[texts[i]] = texts[i+1]
	}
	return members
}

// phpMembers does as the gateway's PHP helper, which takes backslashes out of
// what it hashes (PingPong v4, section 3.4).
func phpMembers(body []byte) map[string]string {
	members := standardMembers(body)
	for name, value := range members {
		members[name] = strings.ReplaceAll(value, `\`, "")
	}
	return members
}
