// Package diagnose finds out why a message does not verify. It undoes, one by
// one and in combination, what programs, proxies and people do to messages and
// salts, and computes the signature again: what makes it fit is proven. What
// cannot be proven is called likely. It judges nothing: the verdict is the
// library's.
package diagnose

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// Options is what is known about a message.
type Options struct {
	AccountID, ClientID string
	Digest              string   // SHA256 or MD5
	Salts               []string // as configured, blanks and all
	OtherSalts          []string // of other accounts, or old ones
	Good                []byte   // a message that is as it was sent; may be nil
	Tries               int      // digests to compute at most; 0 means 4 million
	Bytes               int      // to compute them over, about; 0 means 1 GiB
}

// Certainty says how a cause is known.
type Certainty string

const (
	Proven   Certainty = "proven"   // undone, the signature verifies
	Observed Certainty = "observed" // it stands there, and is enough for a refusal
	Likely   Certainty = "likely"   // by evidence only

	// Alternative is another explanation of the same signature: the message
	// cannot tell which of the two it was.
	Alternative Certainty = "alternative"
)

// Cause is one reason, with a stable ID.
type Cause struct {
	ID        string    `json:"id"`
	Certainty Certainty `json:"certainty"`
	Text      string    `json:"text"`
	Evidence  string    `json:"evidence,omitempty"`
	Remedy    string    `json:"remedy"`
}

// Member is one line of the text under the digest, with secrets masked.
type Member struct {
	Name   string `json:"name"`
	Length int    `json:"length"` // in bytes
	Text   string `json:"text"`
}

// Report is the answer. Nothing in it holds a salt, a token or a whole sign.
type Report struct {
	Verifies bool     `json:"verifies"`
	Library  string   `json:"library"` // its error, or "ok"
	Kind     string   `json:"kind,omitempty"`
	Salt     int      `json:"salt"` // index of the salt that fits, -1 for none
	Causes   []Cause  `json:"causes"`
	Members  []Member `json:"members"`
	Received string   `json:"received"` // first 8 characters of the sign
	Computed []string `json:"computed"` // by each salt
	SaltSize []int    `json:"salt_lengths"`
	Tried    int      `json:"tried"`               // digests computed
	NotTried []string `json:"not_tried,omitempty"` // for its size, where nothing was proven
	Diff     *Diff    `json:"difference,omitempty"`
}

type diagnosis struct {
	Options
	masker   mask.Masker
	rules    []textRule
	salts    []saltVariant
	places   []placement
	readings []reading
	tries    int
	hashed   int
	text     []byte   // of the digest that is being computed
	sum      []byte   // that digest
	several  bool     // go on after a proof
	found    []*proof // the first one is the answer, others explain the same
	bounds
}

// bounds is what the search did not try because the message is too large.
type bounds struct{ notTried []string }

func (b *bounds) skip(format string, args ...any) {
	b.also(bounds{[]string{fmt.Sprintf(format, args...)}})
}

func (b *bounds) also(other bounds) {
	for _, note := range other.notTried {
		if !slices.Contains(b.notTried, note) {
			b.notTried = append(b.notTried, note)
		}
	}
}

// Explain judges body by the library and, if it refuses, finds out why. It
// takes up to a few seconds for a message that nothing explains.
func Explain(body []byte, o Options) Report {
	o.Tries, o.Bytes = cmp.Or(o.Tries, defaultTries), cmp.Or(o.Bytes, defaultBytes)
	d := &diagnosis{Options: o, rules: textRules(), places: placements()}
	d.masker = mask.Masker{Salts: append(slices.Clone(o.Salts), o.OtherSalts...)}
	d.salts = d.saltVariants()
	n, err := codegrant.ParseNotification(body, d.account())
	report := Report{Library: "ok", Salt: -1}
	d.describe(&report, string(body))
	if err == nil {
		report.Verifies, report.Salt, report.Kind = true, n.Salt, string(n.Kind)
		return report
	}
	report.Library = err.Error()
	d.readings = d.read(string(body))
	var proof *proof
	if found := d.search(); len(found) > 0 {
		proof = found[0]
		report.Salt = proof.salt
	}
	report.Causes = d.causes(string(body), proof, err)
	if report.Tried = d.tries; proof == nil {
		report.NotTried = d.notTried
	}
	if o.Good != nil {
		d.compare(&report, body, proof)
	}
	return report
}

func (d *diagnosis) account() codegrant.Account {
	return codegrant.Account{
		ID: d.AccountID, ClientID: d.ClientID, Digest: codegrant.Digest(d.Digest), Salts: codegrant.Salts(d.Salts...),
	}
}

// describe fills in the text under the digest, as well as it can be read.
func (d *diagnosis) describe(report *Report, body string) {
	var fields []field
	for _, b := range bodies(body) {
		if f, err := readFields(b.body); err == nil && (fields == nil || find(f, "sign") >= 0) {
			fields = f
			break
		}
	}
	for _, salt := range d.Salts {
		report.SaltSize = append(report.SaltSize, len(salt))
		if fields != nil {
			sum := digest(d.digests(fields)[0].new, salt+canonical(fields))
			report.Computed = append(report.Computed, fmt.Sprintf("%X", sum[:4]))
		}
	}
	for _, f := range signed(fields, false) {
		text := d.masker.Text(f.name + "=" + f.value)
		report.Members = append(report.Members, Member{shown(f.name), len(f.value), strings.TrimPrefix(text, mask.Printable(f.name)+"=")})
	}
	report.Received = mask.Printable(valueOf(fields, "sign"))
	report.Received = report.Received[:min(8, len(report.Received))]
}

func (d *diagnosis) causes(body string, p *proof, err error) []Cause {
	var all []Cause
	if p != nil {
		for _, s := range p.steps {
			all = append(all, d.made(s.id, Proven, d.evidence(p, s)))
		}
		if len(p.steps) == 0 {
			all = append(all, d.refused(p, err))
		}
	}
	for _, other := range d.found[min(1, len(d.found)):] {
		for _, s := range other.steps {
			all = append(all, d.made(s.id, Alternative, d.evidence(other, s)))
		}
	}
	for _, c := range d.observed(body, err) {
		known := slices.ContainsFunc(all, func(known Cause) bool { return known.ID == c.ID })
		if !known && (p == nil || c.Certainty != Likely) {
			all = append(all, c)
		}
	}
	if p == nil && len(d.readings) > 0 {
		all = append(all, d.made("wrong_salt", Likely, d.searched()))
	}
	return all
}

// searched says what was computed in vain, and no more than that.
func (d *diagnosis) searched() string {
	text := fmt.Sprintf("%d digests were computed and none fits: the salts that were given, in known spellings, places and "+
		"digests, over known ways to change the message. ", d.tries)
	if len(d.notTried) > 0 {
		text += "Not tried: " + strings.Join(d.notTried, "; ") + ". "
	}
	return text + "A wrong salt and a change that was not tried look the same from here."
}

func (d *diagnosis) made(id string, certainty Certainty, evidence string) Cause {
	c := causes()[id]
	return Cause{ID: id, Certainty: certainty, Text: c.text, Evidence: evidence, Remedy: c.remedy}
}

// evidence says what was undone, where, and that the sign then fits.
func (d *diagnosis) evidence(p *proof, s step) string {
	parts := make([]string, 0, 3)
	if s.detail != "" {
		parts = append(parts, d.masked(s.detail))
	}
	if at := d.difference(p.read, p.undone); at != "" && (s.id == "bizcontent_reencoded" || s.id == "bizcontent_object" ||
		len(p.steps) == 1) {
		parts = append(parts, at)
	}
	with := "undone, the signature fits"
	if len(p.steps) > 1 {
		with = "undone with the other causes here, the signature fits"
	}
	if p.salt >= 0 {
		with += fmt.Sprintf(" (salt %d)", p.salt)
	}
	return strings.Join(append(parts, with), "; ") + "."
}

func (d *diagnosis) masked(s string) string { return d.masker.Text(s) }

// refused explains a right signature that the library does not accept.
func (d *diagnosis) refused(p *proof, err error) Cause {
	fits := fmt.Sprintf("the signature fits as it is (salt %d)", p.salt)
	signType := valueOf(p.read, "signType")
	switch {
	case errors.Is(err, codegrant.ErrInvalidConfig):
		return d.configuration(err)
	case errors.Is(err, codegrant.ErrWrongAccount):
		return d.otherAccount(p.read, Proven)
	case signType != "SHA256" && signType != "MD5":
		return d.made("signtype_spelling", Proven, fits+"; signType is "+or(shown(signType), "missing")+".")
	case signType != or(d.Digest, "SHA256"):
		return d.made("digest_not_configured", Proven, fits+"; signType is "+signType+", configured is "+or(d.Digest, "SHA256")+".")
	}
	return d.made("not_strict", Proven, fits+"; the library says: "+err.Error()+".")
}

func (d *diagnosis) configuration(err error) Cause {
	id := "configuration"
	if strings.Contains(err.Error(), "blanks at its ends") {
		id = "salt_blanks"
	}
	return d.made(id, Observed, err.Error()+".")
}

// otherAccount names the member by which a message is another account's.
func (d *diagnosis) otherAccount(fields []field, certainty Certainty) Cause {
	if id := valueOf(fields, "accId"); id != "" && id != d.AccountID {
		return d.made("wrong_account", certainty, fmt.Sprintf("accId is %s, configured is %s.", d.masked(id), d.AccountID))
	}
	return d.made("wrong_client", certainty, fmt.Sprintf("clientId is %s, configured is %s.", d.masked(valueOf(fields, "clientId")), d.ClientID))
}
