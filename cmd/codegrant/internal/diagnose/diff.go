package diagnose

import (
	"fmt"
	"slices"

	"github.com/codegrant/codegrant"
)

// Diff is the first difference between a good message and another.
type Diff struct {
	GoodVerifies bool   `json:"good_verifies"`
	Member       string `json:"member,omitempty"` // empty: outside the members, or none
	Offset       int    `json:"offset"`           // in bytes of the member's value, or of the body
	Good         string `json:"good"`             // the surroundings, masked
	Bad          string `json:"bad"`
}

// compare adds the first difference from the good message, and what that says
// about a message that nothing explained.
func (d *diagnosis) compare(report *Report, body []byte, p *proof) {
	_, err := codegrant.ParseNotification(d.Good, d.account())
	report.Diff = d.firstDifference(string(d.Good), string(body))
	report.Diff.GoodVerifies = err == nil
	if p != nil || err != nil {
		return
	}
	at := slices.IndexFunc(report.Causes, func(c Cause) bool { return c.ID == "wrong_salt" })
	if at >= 0 {
		report.Causes[at] = d.made("content_changed", Likely, "The good message verifies with the same salts.")
	}
}

func (d *diagnosis) firstDifference(good, bad string) *Diff {
	goodFields, goodErr := readFields(good)
	badFields, badErr := readFields(bad)
	if goodErr == nil && badErr == nil {
		for _, f := range signed(append(slices.Clone(goodFields), missingFrom(goodFields, badFields)...), true) {
			g, b := valueOf(goodFields, f.name), valueOf(badFields, f.name)
			if g != b || (find(goodFields, f.name) < 0) != (find(badFields, f.name) < 0) {
				at := firstByte(g, b)
				return &Diff{Member: shown(f.name), Offset: at, Good: d.maskedAround(f.name, g, at), Bad: d.maskedAround(f.name, b, at)}
			}
		}
	}
	at := firstByte(good, bad)
	return &Diff{Offset: at, Good: d.masker.Around(good, at), Bad: d.masker.Around(bad, at)}
}

// maskedAround masks with the member's name in sight.
func (d *diagnosis) maskedAround(name, value string, at int) string {
	return d.masker.Around(name+"="+value, len(name)+1+at)
}

func missingFrom(have, all []field) []field {
	var missing []field
	for _, f := range all {
		if find(have, f.name) < 0 {
			missing = append(missing, f)
		}
	}
	return missing
}

func firstByte(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// difference says where the members as received first differ from those that
// were signed.
func (d *diagnosis) difference(received, undone []field) string {
	if undone == nil {
		return ""
	}
	for _, f := range received {
		if f.name == "sign" || find(undone, f.name) < 0 {
			continue
		}
		if was := valueOf(undone, f.name); was != f.value && f.kind != kindNull {
			at := firstByte(f.value, was)
			return fmt.Sprintf("first difference at byte %d of %s: received %s, signed %s", at, shown(f.name),
				ticks(d.maskedAround(f.name, f.value, at)), ticks(d.maskedAround(f.name, was, at)))
		}
	}
	return ""
}
