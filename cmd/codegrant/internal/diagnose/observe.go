package diagnose

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/codegrant/codegrant"
)

// observed lists what can be seen without computing anything: first what is
// enough for a refusal, then hints.
func (d *diagnosis) observed(body string, err error) []Cause {
	var all []Cause
	add := func(id string, c Certainty, evidence string) { all = append(all, d.made(id, c, evidence)) }
	if errors.Is(err, codegrant.ErrInvalidConfig) {
		all = append(all, d.configuration(err))
	}
	trimmed := strings.TrimSpace(body)
	switch lower := strings.ToLower(trimmed); {
	case trimmed == "":
		add("body_empty", Observed, fmt.Sprintf("%d bytes, none of them visible.", len(body)))
		return all
	case strings.HasPrefix(lower, "<!doctype") || strings.HasPrefix(lower, "<html"):
		add("html_page", Observed, "It begins with "+d.masker.Around(trimmed, 0)+".")
		return all
	}
	fields, parseErr := d.unwrap(body, add)
	if parseErr != nil {
		id := "not_json"
		if errors.Is(parseErr, errCut) {
			id = "body_truncated"
		}
		add(id, Observed, fmt.Sprintf("%s; the body has %d bytes and ends with %s.", parseErr, len(body), ticks(d.masker.Around(body, len(body)))))
		return all
	}
	d.observeMembers(fields, add)
	if strings.ContainsRune(body, '\ufffd') || strings.Contains(strings.ToLower(body), `\ufffd`) {
		add("charset_lossy", Likely, "U+FFFD stands in it, which a decoder writes for what it cannot read.")
	} else if strings.Contains(valueOf(fields, "bizContent"), "??") {
		add("charset_lossy", Likely, `"??" stands in bizContent, which an encoder writes for what it cannot write.`)
	}
	return all
}

// unwrap reads the members, taking off and naming what is around them.
func (d *diagnosis) unwrap(body string, add func(string, Certainty, string)) ([]field, error) {
	fields, err := readFields(body)
	if err == nil && find(fields, "sign") >= 0 {
		return fields, nil
	}
	for _, b := range bodies(body)[1:] {
		inner, innerErr := readFields(b.body)
		if innerErr != nil || (err == nil && find(inner, "sign") < 0) {
			continue
		}
		for _, s := range b.steps {
			add(s.id, Observed, s.detail)
		}
		return inner, nil
	}
	return fields, err
}

func (d *diagnosis) observeMembers(fields []field, add func(string, Certainty, string)) {
	sign := strings.TrimSpace(valueOf(fields, "sign"))
	signType := valueOf(fields, "signType")
	if sign == "" {
		evidence := "No member is named sign."
		switch {
		case find(fields, "sign") >= 0:
			evidence = "The member sign is empty."
		case find(fields, "notifyType") >= 0:
			evidence = "It is the flat, unsigned notification of the legacy flow, which only a signed query can confirm."
		}
		add("sign_missing", Observed, evidence)
	}
	for i, f := range fields {
		if find(fields, f.name) != i {
			add("duplicate_member", Observed, shown(f.name)+" stands there twice.")
			break
		}
	}
	if id := valueOf(fields, "accId"); id != "" && id != d.AccountID {
		add("wrong_account", Observed, fmt.Sprintf("accId is %s, configured is %s.", d.masked(id), d.AccountID))
	} else if id := valueOf(fields, "clientId"); id != "" && id != d.ClientID {
		add("wrong_client", Observed, fmt.Sprintf("clientId is %s, configured is %s.", d.masked(id), d.ClientID))
	}
	sizes := map[string]int{"SHA256": 64, "MD5": 32}
	_, notHex := hex.DecodeString(sign)
	switch {
	case sign == "":
	case notHex == nil && (len(sign) == 32 || len(sign) == 64) && sizes[signType] != 0 && len(sign) != sizes[signType]:
		add("digest_disagrees", Observed, fmt.Sprintf("The sign has %d characters; that of %s has %d.", len(sign), signType, sizes[signType]))
	case notHex == nil && sizes[signType] != 0 && len(sign) < sizes[signType]:
		add("sign_truncated", Observed, fmt.Sprintf("%d of %d characters are there.", len(sign), sizes[signType]))
	case notHex != nil || (sizes[signType] != 0 && len(sign) != sizes[signType]):
		add("sign_malformed", Observed, fmt.Sprintf("It has %d characters.", len(sign)))
	}
	if sizes[signType] == 0 {
		add("signtype_spelling", Observed, "signType is "+or(shown(signType), "missing")+".")
	} else if signType != or(d.Digest, "SHA256") {
		add("digest_not_configured", Observed, "signType is "+signType+", configured is "+or(d.Digest, "SHA256")+".")
	}
	d.observeContent(fields, add)
}

func (d *diagnosis) observeContent(fields []field, add func(string, Certainty, string)) {
	at := find(fields, "bizContent")
	if at < 0 || fields[at].blank() || fields[at].kind == kindNull {
		add("bizcontent_missing", Observed, "")
		return
	}
	n, err := parseJSON(fields[at].value)
	switch {
	case errors.Is(err, errCut):
		add("bizcontent_truncated", Observed, fmt.Sprintf("It has %d bytes and ends with %s.", len(fields[at].value),
			ticks(d.masker.Around(fields[at].value, len(fields[at].value)))))
	case err != nil || n.kind != kindObject:
		add("bizcontent_broken", Observed, fmt.Sprintf("It begins with %s.", ticks(d.masker.Around(fields[at].value, 0))))
	case fields[at].kind == kindObject:
		add("bizcontent_object", Likely, "It is an object here; the documented type is a string.")
	case strings.ContainsAny(fields[at].value, "\n\t") || strings.Contains(fields[at].value, `": `):
		add("bizcontent_reencoded", Likely, "There is white space between its members, which the gateway's samples do not have.")
	}
}
