package mask

import (
	"regexp"
	"slices"
	"strings"
)

// IsSecret reports the members whose value is never shown. PingPong v4: token
// and sign; userLoginId is personal data; the rest is of the older flow, and of
// payments by card.
func IsSecret(name string) bool {
	return slices.ContainsFunc(secretNames(), func(secret string) bool { return strings.EqualFold(secret, name) }) ||
		strings.HasSuffix(strings.ToLower(name), "token")
}

func secretNames() []string {
	return []string{
		"token", "sign", "salt", "userLoginId", "authCode", "authState", "referenceAgreementId",
		"accessToken", "refreshToken", "cvv",
	}
}

// plainNames may hold long mixed texts that are no credentials.
func plainNames() []string {
	return []string{
		"accId", "clientId", "description", "requestId", "merchantUserId", "merchantTransactionId", "transactionId",
		"merchantRefundId", "refundId", "notificationUrl", "merchantResultUrl", "payResultUrl", "payCancelUrl",
	}
}

var (
	// In text of any kind authUrl is hidden whole: it may be cut anywhere.
	secretMember = memberPattern("", append(secretNames(), "authUrl"))
	plainMember  = memberPattern("(?:^|[^A-Za-z])", plainNames())

	// hexRun is what tokens and signs look like: 32 or 64 digits. It is longer
	// than any account, request or transaction number.
	hexRun = regexp.MustCompile(`[0-9A-Fa-f]{24,}`)

	credentialRun = regexp.MustCompile(`[A-Za-z0-9_+/-]{24,}={0,2}`)
	urlPart       = regexp.MustCompile(`[A-Za-z0-9_+-]{24,}`)
	escapeStart   = regexp.MustCompile(`^(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[bfnrt/])`)
)

// memberPattern matches a member with one of the names, whatever happened to
// the quotes around it; its group is the value. Without before, names that only
// end like this match too.
func memberPattern(before string, names []string) *regexp.Regexp {
	const quote = `(?:["']|\\"|\\x22|%22|&quot;|&#34;|\\u0022)`
	return regexp.MustCompile(`(?i)` + before + `(?:` + strings.Join(names, "|") + `)` + quote + `*\s*(?::|=|%3A|%3D)\s*` +
		`(` + quote + `(?:[^"'\\]|\\[^"])*|[^"'&,}\\\s]*)`)
}

// members returns where the values of p's members stand in s.
func members(s string, p *regexp.Regexp) [][2]int {
	var found [][2]int
	for _, at := range p.FindAllStringSubmatchIndex(s, -1) {
		from, to := at[2], at[3]
		for _, quote := range []string{`\x22`, `\u0022`, "&quot;", "&#34;", `\"`, "%22", `"`, "'"} {
			if strings.HasPrefix(s[from:to], quote) {
				from += len(quote)
				break
			}
		}
		if from < to {
			found = append(found, [2]int{from, to})
		}
	}
	return found
}

func secretValues(s string) [][2]int { return members(s, secretMember) }

// credentials returns what looks like a token under any name: 24 hexadecimal
// digits or more, and 24 letters and digits mixed unless the member is known
// not to be secret.
func credentials(s string) [][2]int {
	var found [][2]int
	for _, at := range hexRun.FindAllStringIndex(s, -1) {
		if strings.ContainsAny(s[at[0]:at[1]], "abcdefABCDEF") || at[1]-at[0] >= 28 {
			found = append(found, [2]int{at[0], at[1]})
		}
	}
	plain := members(s, plainMember)
	for _, at := range runs(s) {
		known := slices.ContainsFunc(plain, func(p [2]int) bool { return p[0] <= at[0] && at[1] <= p[1] })
		if !known && mixed(s[at[0]:at[1]]) {
			found = append(found, at)
		}
	}
	return found
}

// runs returns the long words of s: of the alphabets of base64 outside URLs and
// paths, and path segments and parameters in them.
func runs(s string) [][2]int {
	var found [][2]int
	for _, at := range credentialRun.FindAllStringIndex(s, -1) {
		from, to := at[0], at[1]
		if from > 0 && s[from-1] == '\\' {
			from += len(escapeStart.FindString(s[from:to]))
		}
		inURL := from < to && s[from] == '/' || from > 0 && strings.IndexByte(".:", s[from-1]) >= 0
		if !inURL || !strings.Contains(s[from:to], "/") {
			if to-from >= 24 {
				found = append(found, [2]int{from, to})
			}
			continue
		}
		for _, part := range urlPart.FindAllStringIndex(s[from:to], -1) {
			found = append(found, [2]int{from + part[0], from + part[1]})
		}
	}
	return found
}

func mixed(s string) bool {
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	return strings.IndexFunc(s, letter) >= 0 && strings.IndexFunc(s, digit) >= 0
}
