package diagnose

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // G501: one of the two digests of the protocol
	"crypto/sha1" //nolint:gosec // G505: what a signer may have taken by mistake
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// saltVariant is a salt as it may have been given to a program.
type saltVariant struct {
	step  *step
	index int // in Options.Salts; -1 for one that is not the account's
	salt  string
}

func (d *diagnosis) saltVariants() []saltVariant {
	var all []saltVariant
	seen := make(map[string]bool)
	add := func(index int, id, detail, salt string) {
		if seen[salt] {
			return
		}
		seen[salt] = true
		v := saltVariant{index: index, salt: salt}
		if id != "" {
			v.step = &step{id, detail}
		}
		all = append(all, v)
	}
	for i, salt := range d.Salts {
		add(i, "", "", salt)
	}
	for i, salt := range d.Salts {
		trimmed := strings.TrimSpace(salt)
		add(i, "salt_blanks", "the configured salt has white space around it that is not part of it", trimmed)
		add(i, "salt_quoted", "the configured salt stands in quotes that are not part of it", strings.Trim(trimmed, "\"'`"))
		for _, end := range []string{"\n", "\r\n", "\r", " ", "\t", "\x00"} {
			add(i, "salt_blanks", fmt.Sprintf("the sender's salt has %q behind it", end), trimmed+end)
		}
		add(i, "salt_blanks", `the sender's salt has " " in front`, " "+trimmed)
		add(i, "salt_blanks", "the sender's salt has a byte order mark in front", "\ufeff"+trimmed)
		for _, q := range []string{`"`, "'"} {
			add(i, "salt_quoted", "the sender's salt stands in "+q, q+trimmed+q)
		}
		add(i, "salt_case", "the sender's salt is in lower case", strings.ToLower(trimmed))
		add(i, "salt_case", "the sender's salt is in upper case", strings.ToUpper(trimmed))
		if raw, err := hex.DecodeString(trimmed); err == nil && len(raw) > 0 {
			add(i, "salt_decoded", "the sender decoded the salt as hexadecimal", string(raw))
		}
		if raw, err := base64.StdEncoding.DecodeString(trimmed); err == nil && len(raw) > 0 {
			add(i, "salt_decoded", "the sender decoded the salt as base64", string(raw))
		}
		for _, part := range strings.FieldsFunc(salt, func(r rune) bool { return strings.ContainsRune(" ,;|\t\r\n", r) }) {
			add(i, "salts_not_split", "one entry holds several salts", part)
		}
	}
	if len(d.Salts) > 1 {
		add(-1, "salts_not_split", "the sender took the whole list for one salt", strings.Join(d.Salts, ","))
	}
	for i, salt := range d.OtherSalts {
		add(-1, "salt_of_another_account", fmt.Sprintf("salt %d of the others given", i), strings.TrimSpace(salt))
	}
	add(-1, "salt_of_sandbox", "the salt that PingPong's documentation prints for a shared sandbox account", "F78BC96A55548B2319EE68E0")
	add(-1, "salt_of_sandbox", "the salt that PingPong's documentation prints for the other shared sandbox account", "BCE27A281029F5EAF3CC0E82")
	add(-1, "salt_of_simulator", "the salt of the simulator, gatewaytest", "5A17C0DE96A7E5EED0000001")
	add(-1, "salt_left_out", "", "")
	return all
}

// placement is where the salt goes. The usual one, in front, has no sum.
type placement struct {
	step *step
	sum  func(new func() hash.Hash, salt, text string) []byte
}

func placements() []placement {
	around := func(build func(salt, text string) string) func(func() hash.Hash, string, string) []byte {
		return func(new func() hash.Hash, salt, text string) []byte { return digest(new, build(salt, text)) }
	}
	return []placement{
		{nil, nil},
		{&step{"salt_appended", ""}, around(func(salt, text string) string { return text + salt })},
		{&step{"salt_appended", `with "&" before it`}, around(func(salt, text string) string { return text + "&" + salt })},
		{&step{"salt_as_parameter", "&key="}, around(func(salt, text string) string { return text + "&key=" + salt })},
		{&step{"salt_as_parameter", "&salt="}, around(func(salt, text string) string { return text + "&salt=" + salt })},
		{&step{"salt_separated", `"&"`}, around(func(salt, text string) string { return salt + "&" + text })},
		{&step{"salt_both_ends", ""}, around(func(salt, text string) string { return salt + text + salt })},
		{&step{"hmac", ""}, func(new func() hash.Hash, salt, text string) []byte {
			h := hmac.New(new, []byte(salt))
			h.Write([]byte(text))
			return h.Sum(nil)
		}},
		{&step{"hmac", "over the text with the salt in front"}, func(new func() hash.Hash, salt, text string) []byte {
			h := hmac.New(new, []byte(salt))
			h.Write([]byte(salt + text))
			return h.Sum(nil)
		}},
		{&step{"digest_twice", ""}, func(new func() hash.Hash, salt, text string) []byte {
			return digest(new, hex.EncodeToString(digest(new, salt+text)))
		}},
		{&step{"digest_twice", "in capitals in between"}, func(new func() hash.Hash, salt, text string) []byte {
			return digest(new, strings.ToUpper(hex.EncodeToString(digest(new, salt+text))))
		}},
	}
}

func digest(new func() hash.Hash, text string) []byte {
	h := new()
	h.Write([]byte(text))
	return h.Sum(nil)
}

// digestKind is an algorithm; the first one is what the message says.
type digestKind struct {
	step *step
	name string
	new  func() hash.Hash
	hash hash.Hash // for use over and over
}

func (d *diagnosis) digests(fields []field) []digestKind {
	all := []digestKind{
		{name: "SHA256", new: sha256.New}, {name: "MD5", new: md5.New}, {name: "SHA1", new: sha1.New}, {name: "SHA512", new: sha512.New},
	}
	said := d.said(fields)
	slices.SortStableFunc(all, func(a, b digestKind) int { return boolInt(a.name != said) - boolInt(b.name != said) })
	for i := range all {
		all[i].hash = all[i].new()
		if all[i].name != said {
			all[i].step = &step{"digest_disagrees", "signed with " + all[i].name + ", signType says " + or(shown(valueOf(fields, "signType")), "nothing")}
		}
	}
	return all
}

// said is the digest that the message names, in whatever spelling, or else
// the account's.
func (d *diagnosis) said(fields []field) string {
	switch strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToUpper(valueOf(fields, "signType"))) {
	case "SHA256":
		return "SHA256"
	case "MD5":
		return "MD5"
	}
	return or(d.Digest, "SHA256")
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// target is the received sign in the forms in which it can be compared.
type target struct {
	exact  []byte // the digest, if it is plain hexadecimal
	base64 []byte // the digest, if it is base64
	hex    string // lower case, whatever its length; for damaged ones
	noted  *step  // what was peeled off to get at exact
}

func newTarget(sign string) target {
	t := target{}
	trimmed := strings.TrimSpace(sign)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(trimmed); err == nil {
			t.base64 = raw
		}
	}
	plain := strings.ToLower(trimmed)
	if plain != strings.ToLower(sign) {
		t.noted = &step{"sign_whitespace", ""}
	}
	for _, prefix := range []string{"sha256=", "sha256:", "md5=", "0x"} {
		if rest, ok := strings.CutPrefix(plain, prefix); ok {
			plain, t.noted = rest, &step{"sign_prefixed", prefix}
		}
	}
	if squeezed := strings.NewReplacer(":", "", "-", "", " ", "").Replace(plain); squeezed != plain {
		if _, err := hex.DecodeString(squeezed); err == nil {
			plain, t.noted = squeezed, &step{"sign_separated", ""}
		}
	}
	t.hex = plain
	if raw, err := hex.DecodeString(plain); err == nil && len(raw) > 0 {
		t.exact = raw
	}
	return t
}

// minSign is how many hexadecimal digits of a damaged sign must agree before
// it counts as proof.
const minSign = 10

// fits compares a digest with the sign. Where the sign itself is damaged, the
// step says how.
func (t target) fits(sum []byte) (ok bool, damage *step) {
	if slices.Equal(sum, t.exact) {
		return true, t.noted
	}
	if slices.Equal(sum, t.base64) {
		return true, &step{"sign_base64", ""}
	}
	if len(t.hex) < minSign || (len(t.exact) == len(sum) && !near(t.exact, sum)) {
		return false, nil
	}
	computed := hex.EncodeToString(sum)
	switch {
	case t.hex == computed:
		return true, t.noted
	case len(t.hex) < len(computed) && (strings.HasPrefix(computed, t.hex) || strings.HasSuffix(computed, t.hex)):
		return true, &step{"sign_truncated", fmt.Sprintf("%d of %d characters are there", len(t.hex), len(computed))}
	case len(t.hex) > len(computed) && strings.Contains(t.hex, computed):
		return true, &step{"sign_with_more", fmt.Sprintf("%d characters where %d belong", len(t.hex), len(computed))}
	case len(t.hex) == len(computed) && differing(t.hex, computed) <= len(computed)/8:
		return true, &step{"sign_changed", fmt.Sprintf("%d characters of it differ", differing(t.hex, computed))}
	}
	return false, nil
}

// near reports whether most bytes agree.
func near(a, b []byte) bool {
	n := 0
	for i := range a {
		n += boolInt(a[i] != b[i])
	}
	return n <= len(a)/4
}

func differing(a, b string) int {
	n := 0
	for i := range len(a) {
		n += boolInt(a[i] != b[i])
	}
	return n
}
