package diagnose

import (
	"slices"
	"strings"
)

// proof is a reading of the message that its sign fits. A digest does not fit
// by chance, so what had to be undone is what was done.
type proof struct {
	steps  []step
	salt   int     // index of the salt, -1 for one that is not the account's
	read   []field // the members before and after the members' steps
	undone []field
}

// Limits of one search, in digests and in bytes that went into them.
const (
	defaultTries = 4_000_000
	defaultBytes = 1 << 30
	maxCombined  = 8 << 10 // of bizContent: in a larger one only single steps are tried
)

func (d *diagnosis) exhausted() bool { return d.tries >= d.Tries || d.hashed >= d.Bytes }

// reading is one body variant, ready to be searched.
type reading struct {
	steps   []step
	fields  []field
	target  target
	members []memberVariant
	digests []digestKind
}

// search looks for the fewest steps that make the sign fit: none, then every
// single one, then pairs, then triples of those that are not rare. Several
// single steps can explain the same: all of them are returned, the first one
// first.
func (d *diagnosis) search() []*proof {
	for steps := range 4 {
		d.several = steps == 1
		for i := range d.readings {
			r := &d.readings[i]
			if size := len(valueOf(r.fields, "bizContent")); steps > 1 && size > maxCombined {
				d.skip("changes combined with each other, for bizContent has %d bytes, more than %d", size, maxCombined)
				continue
			}
			if left := steps - len(r.steps); left >= 0 && d.searchReading(r, left) {
				return d.found
			}
		}
		if len(d.found) > 0 || (steps == 1 && d.searchDamage()) {
			return d.found
		}
	}
	if d.exhausted() {
		d.skip("what comes behind %d digests of %d bytes together", d.tries, d.hashed)
	}
	return nil
}

func (d *diagnosis) read(body string) []reading {
	var all []reading
	for _, b := range bodies(body) {
		fields, err := readFields(b.body)
		if err != nil {
			continue
		}
		steps := b.steps
		if find(fields, "sign") < 0 {
			for i, f := range fields {
				if strings.EqualFold(f.name, "sign") || strings.EqualFold(f.name, "signature") {
					fields[i].name = "sign"
					steps = append(slices.Clone(steps), step{"sign_renamed", f.name})
				}
			}
		}
		sign := valueOf(fields, "sign")
		if strings.TrimSpace(sign) == "" {
			continue
		}
		all = append(all, reading{
			steps: steps, fields: fields, target: newTarget(sign),
			members: d.undoMembers(fields), digests: d.digests(fields),
		})
	}
	return all
}

// searchReading spends exactly left steps. Changes on the way are tried before
// mistakes of the signer, which can look the same.
func (d *diagnosis) searchReading(r *reading, left int) bool {
	if left == 2 && d.searchPairs(r) {
		return true
	}
	for i := range r.members {
		m := &r.members[(i+1)%len(r.members)] // the members as they are come last
		rest := left - len(m.steps)
		if d.exhausted() {
			return false
		}
		if rest >= 0 && (!m.rare || left <= 2) && d.searchTexts(r, m, rest) {
			return true
		}
	}
	return false
}

// searchTexts spends exactly left steps on the rules, the salt, its place and
// the digest.
func (d *diagnosis) searchTexts(r *reading, m *memberVariant, left int) bool {
	for i := range d.rules {
		rule := &d.rules[i]
		after := left - cost(rule.step)
		if after < 0 {
			continue
		}
		if text := rule.text(m.fields); text != "" && d.searchDigests(r, m, rule.step, text, after) {
			return true
		}
	}
	return false
}

func (d *diagnosis) searchDigests(r *reading, m *memberVariant, rule *step, text string, left int) bool {
	for i := range d.salts {
		salt := &d.salts[i]
		for j := range d.places {
			place := &d.places[j]
			after := left - cost(salt.step) - cost(place.step)
			for k := range r.digests {
				kind := &r.digests[k]
				if cost(kind.step) != after {
					continue
				}
				fits, damage := d.try(r, kind, place, salt.salt, text)
				if !fits {
					continue
				}
				p := &proof{salt: salt.index, read: r.fields, undone: m.fields}
				p.steps = slices.Concat(r.steps, m.steps, given(rule, salt.step, place.step, kind.step, damage))
				if d.stop(p) {
					return true
				}
			}
		}
	}
	return false
}

// stop keeps a proof and reports whether the search is over.
func (d *diagnosis) stop(p *proof) bool {
	known := slices.ContainsFunc(d.found, func(known *proof) bool { return known.steps[0].id == p.steps[0].id })
	if !known {
		d.found = append(d.found, p)
	}
	return !d.several
}

// given drops the steps that are none.
func given(steps ...*step) []step {
	var all []step
	for _, s := range steps {
		if s != nil {
			all = append(all, *s)
		}
	}
	return all
}

func cost(s *step) int {
	if s == nil {
		return 0
	}
	return 1
}

// try computes one digest and compares it with the sign.
func (d *diagnosis) try(r *reading, kind *digestKind, place *placement, salt, text string) (bool, *step) {
	if place.sum == nil {
		d.text = append(append(d.text[:0], salt...), text...)
		return d.tryText(r, kind)
	}
	if d.exhausted() {
		return false, nil
	}
	d.tries++
	d.hashed += len(text)
	return r.target.fits(place.sum(kind.new, salt, text))
}

// tryText is try for d.text, which begins with the salt.
func (d *diagnosis) tryText(r *reading, kind *digestKind) (bool, *step) {
	if d.exhausted() {
		return false, nil
	}
	d.tries++
	d.hashed += len(d.text)
	kind.hash.Reset()
	kind.hash.Write(d.text)
	d.sum = kind.hash.Sum(d.sum[:0])
	return r.target.fits(d.sum)
}

// plain tries text with the rules as they are and each of the account's salts.
func (d *diagnosis) plain(r *reading, text string) (salt int, damage *step, ok bool) {
	for i := range d.Salts {
		if fits, damage := d.try(r, &r.digests[0], &d.places[0], d.salts[i].salt, text); fits {
			return d.salts[i].index, damage, true
		}
	}
	return 0, nil, false
}

// searchPairs combines two steps on the members.
func (d *diagnosis) searchPairs(r *reading) bool {
	for _, first := range r.members {
		if first.rare || len(first.steps) == 0 || d.exhausted() {
			continue
		}
		second := newCollector(first.fields)
		second.duplicates()
		second.whiteSpace()
		second.replaced(d)
		second.leftOut()
		second.missing(d)
		second.coding()
		second.spelling()
		d.also(second.bounds)
		second.all = append(second.all, sameContent(r, first)...)
		for _, m := range second.all {
			salt, damage, ok := d.plain(r, canonical(m.fields))
			if !ok {
				continue
			}
			p := &proof{salt: salt, read: r.fields, undone: m.fields}
			p.steps = slices.Concat(r.steps, first.steps, m.steps, given(damage))
			return d.stop(p)
		}
	}
	return false
}

// sameContent carries the rare variants of bizContent over to a variant that
// left it alone.
func sameContent(r *reading, first memberVariant) []memberVariant {
	at := find(first.fields, "bizContent")
	if at < 0 || first.fields[at].value != valueOf(r.fields, "bizContent") {
		return nil
	}
	var all []memberVariant
	for _, m := range r.members {
		if m.rare && len(m.fields) == len(r.fields) {
			if value := valueOf(m.fields, "bizContent"); value != first.fields[at].value {
				all = append(all, memberVariant{m.steps, with(first.fields, at, value), true})
			}
		}
	}
	return all
}
