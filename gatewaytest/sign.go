package gatewaytest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
)

// The two values of signType (PingPong v4, section 2.1).
const (
	SHA256 = "SHA256"
	MD5    = "MD5"
)

// Sign returns the sign value of a message whose top-level members are fields:
// the upper-case hex digest of the salt followed by the sorted name=value pairs
// (PingPong v4, section 3.1). A member named sign and members with a blank
// value do not count. It returns "" for a signType other than [SHA256] and
// [MD5]; the signType member itself is not consulted.
//
// It shares no code with any client, so a test may use it to forge messages
// for either side.
func Sign(salt, signType string, fields map[string]string) string {
	names := make([]string, 0, len(fields))
	for name, value := range fields {
		if name != "sign" && strings.TrimSpace(value) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)

	var text strings.Builder
	text.WriteString(salt)
	for i, name := range names {
		if i > 0 {
			text.WriteByte('&')
		}
		text.WriteString(name + "=" + fields[name])
	}

	var digest []byte
	switch signType {
	case SHA256:
		sum := sha256.Sum256([]byte(text.String()))
		digest = sum[:]
	case MD5:
		sum := md5.Sum([]byte(text.String()))
		digest = sum[:]
	}
	return strings.ToUpper(hex.EncodeToString(digest))
}

// signatureFits accepts either letter case, because the documentation only says
// that official helpers emit upper case.
func signatureFits(salt string, fields map[string]string) bool {
	want := Sign(salt, fields["signType"], fields)
	got := strings.ToUpper(fields["sign"])
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
