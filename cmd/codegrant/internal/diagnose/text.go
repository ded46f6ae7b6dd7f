package diagnose

import (
	"slices"
	"strings"
)

// textRule is a way to make the text under the digest out of the members.
type textRule struct {
	step *step
	text func([]field) string
}

func textRules() []textRule {
	all := []textRule{{nil, canonical}}
	add := func(id, detail string, text func([]field) string) {
		all = append(all, textRule{&step{id, detail}, text})
	}
	add("empty_member_signed", "as name=", func(f []field) string { return join(signed(f, true), "&") })
	add("null_as_text", `as name=null`, nulls("null"))
	add("null_as_text", `as name=`, nulls(""))
	add("null_as_text", `as name=None`, nulls("None"))
	add("sign_was_signed", "as sign=, empty", func(f []field) string { return join(signedToo(f, ""), "&") })
	for _, order := range []struct {
		detail string
		sort   func([]field)
	}{
		{"the order of the message", nil},
		{"without regard to letter case", func(f []field) {
			slices.SortStableFunc(f, func(a, b field) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
		}},
		{"descending", func(f []field) {
			slices.SortStableFunc(f, func(a, b field) int { return strings.Compare(b.name, a.name) })
		}},
		{"the order of the documents' tables", func(f []field) {
			slices.SortStableFunc(f, func(a, b field) int { return documented(a.name) - documented(b.name) })
		}},
		{"accId, clientId, signType, version, bizContent", func(f []field) {
			slices.SortStableFunc(f, func(a, b field) int { return boolInt(a.name == "bizContent") - boolInt(b.name == "bizContent") })
		}},
	} {
		add("order_not_sorted", order.detail, func(f []field) string {
			kept := slices.DeleteFunc(slices.Clone(f), func(f field) bool {
				return f.name == "sign" || f.kind == kindNull || f.blank()
			})
			if order.detail == "accId, clientId, signType, version, bizContent" {
				kept = signed(f, false)
			}
			if order.sort != nil {
				order.sort(kept)
			}
			return join(kept, "&")
		})
	}
	for _, separator := range []string{"", ",", "|", "\n", "&amp;"} {
		add("joined_differently", "with "+strings.ReplaceAll(`"`+separator+`"`, "\n", `\n`)+" in between",
			func(f []field) string { return join(signed(f, false), separator) })
	}
	add("joined_differently", `with "&" behind the last`, func(f []field) string { return canonical(f) + "&" })
	add("joined_differently", `with "&" in front`, func(f []field) string { return "&" + canonical(f) })
	add("joined_differently", "values without names", func(f []field) string { return values(f, "") })
	add("joined_differently", `values without names, "&" in between`, func(f []field) string { return values(f, "&") })
	add("joined_differently", "names and values without =", func(f []field) string {
		return strings.ReplaceAll(join(signed(f, false), ""), "=", "")
	})
	add("signed_escaped", "backslashes stripped (PHP's stripslashes)", func(f []field) string { return stripSlashes(canonical(f)) })
	add("signed_escaped", "in lower case", func(f []field) string { return strings.ToLower(canonical(f)) })
	add("signed_escaped", "in upper case", func(f []field) string { return strings.ToUpper(canonical(f)) })
	add("signed_escaped", "without white space", func(f []field) string { return strings.Join(strings.Fields(canonical(f)), "") })
	for _, c := range charsets() {
		add("signed_in_other_charset", c.name, func(f []field) string {
			text := canonical(f)
			if ascii(text) {
				return ""
			}
			return c.encode(text)
		})
	}
	return all
}

func nulls(text string) func([]field) string {
	return func(fields []field) string {
		filled := slices.Clone(fields)
		for i, f := range filled {
			if f.kind == kindNull {
				filled[i].value, filled[i].kind = text, kindLiteral
			}
		}
		return join(signed(filled, false), "&")
	}
}

func signedToo(fields []field, value string) []field {
	all := slices.Clone(fields)
	if i := find(all, "sign"); i >= 0 {
		all = without(all, i)
	}
	all = append(signed(all, true), field{name: "sign", value: value, kind: kindLiteral})
	slices.SortStableFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return all
}

func documented(name string) int {
	at := slices.Index([]string{"accId", "clientId", "signType", "sign", "version", "bizContent", "code", "description"}, name)
	if at < 0 {
		return 99
	}
	return at
}

func values(fields []field, separator string) string {
	var parts []string
	for _, f := range signed(fields, false) {
		parts = append(parts, f.value)
	}
	return strings.Join(parts, separator)
}
