package diagnose

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of the searches by brute force, in bytes of the text: the work grows
// with its square.
const (
	maxDamageText = 3000
	maxRangeText  = 1500
	maxPermuted   = 8  // members: 40,320 orders
	maxMoved      = 64 // members
)

// searchDamage looks for what no rule describes: another order of bizContent,
// one character changed, a piece put in, "<" and ">" taken out.
func (d *diagnosis) searchDamage() bool {
	for i := range d.readings {
		r := &d.readings[i]
		if len(r.steps) <= 1 && (d.reordered(r) || d.damaged(r, canonical(r.fields))) {
			return true
		}
	}
	return false
}

// reordered tries the orders in which bizContent's members may have stood.
func (d *diagnosis) reordered(r *reading) bool {
	at := find(r.fields, "bizContent")
	if at < 0 {
		return false
	}
	n, err := parseJSON(r.fields[at].value)
	if err != nil || n.kind != kindObject || len(n.items) < 2 || len(n.items) > maxMoved {
		return false
	}
	id := "bizcontent_reencoded"
	if r.fields[at].kind == kindObject {
		id = "bizcontent_object"
	}
	parts := make([]string, len(n.items))
	for i := range n.items {
		parts[i] = n.names[i].raw + ":" + n.items[i].raw
	}
	visit := func(order []string) bool {
		fields := with(r.fields, at, "{"+strings.Join(order, ",")+"}")
		salt, damage, ok := d.plain(r, canonical(fields))
		if ok {
			d.found = append(d.found, &proof{salt: salt, read: r.fields, undone: fields,
				steps: slices.Concat(r.steps, []step{{id, "signed: members in another order"}}, given(damage))})
		}
		return ok
	}
	if len(parts) <= maxPermuted {
		return permute(parts, 0, visit)
	}
	return moved(parts, visit)
}

// permute visits every order of parts until visit returns true.
func permute(parts []string, from int, visit func([]string) bool) bool {
	if from == len(parts) {
		return visit(parts)
	}
	for i := from; i < len(parts); i++ {
		parts[from], parts[i] = parts[i], parts[from]
		if permute(parts, from+1, visit) {
			return true
		}
		parts[from], parts[i] = parts[i], parts[from]
	}
	return false
}

// moved visits the orders in which one part stands elsewhere or two are
// exchanged, until visit returns true.
func moved(parts []string, visit func([]string) bool) bool {
	for i := range parts {
		rest := slices.Delete(slices.Clone(parts), i, i+1)
		for j := range parts {
			if visit(slices.Insert(slices.Clone(rest), j, parts[i])) {
				return true
			}
			swapped := slices.Clone(parts)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			if visit(swapped) {
				return true
			}
		}
	}
	return false
}

// damaged tries every single change of a character, and every piece that may
// have been put in.
func (d *diagnosis) damaged(r *reading, text string) bool {
	if len(text) > maxDamageText {
		d.skip("changes of single characters, for the text has %d bytes, more than %d", len(text), maxDamageText)
		return false
	}
	if len(text) > maxRangeText {
		d.skip("pieces put in and angle brackets taken out, for the text has %d bytes, more than %d", len(text), maxRangeText)
	}
	for i, salt := range d.Salts {
		check := func(id string, at int, candidate []byte) bool {
			d.text = append(append(d.text[:0], salt...), candidate...)
			fits, damage := d.tryText(r, &r.digests[0])
			if fits && damage == nil {
				d.found = append(d.found, &proof{salt: i, read: r.fields,
					steps: append(slices.Clone(r.steps), step{id, d.place(r.fields, text, candidate, at)})})
				return true
			}
			return false
		}
		if oneCharacter(text, check) || (len(text) <= maxRangeText && (pieces(text, check) || brackets(text, check))) {
			return true
		}
	}
	return false
}

// characters are what one character may have been.
func characters() []byte {
	all := []byte("\n\t\r")
	for c := byte(' '); c < 0x7f; c++ {
		all = append(all, c)
	}
	return all
}

func oneCharacter(text string, check func(string, int, []byte) bool) bool {
	const id = "one_character_changed"
	set := characters()
	changed := []byte(text)
	for i := range changed {
		was := changed[i]
		for _, c := range set {
			changed[i] = c
			if c != was && check(id, i, changed) {
				return true
			}
		}
		changed[i] = was
		if i+1 < len(changed) && changed[i] != changed[i+1] {
			changed[i], changed[i+1] = changed[i+1], changed[i]
			if check(id, i, changed) {
				return true
			}
			changed[i], changed[i+1] = changed[i+1], changed[i]
		}
	}
	longer := make([]byte, len(text)+1)
	for i := range len(text) + 1 {
		copy(longer, text[:i])
		copy(longer[i+1:], text[i:])
		for _, c := range set {
			longer[i] = c
			if check(id, i, longer) {
				return true
			}
		}
	}
	return false
}

// pieces takes every run of characters out.
func pieces(text string, check func(string, int, []byte) bool) bool {
	shorter := make([]byte, 0, len(text))
	for size := 1; size < len(text); size++ {
		id := "text_inserted"
		if size == 1 {
			id = "one_character_changed"
		}
		for i := 0; i+size <= len(text); i++ {
			shorter = append(append(shorter[:0], text[:i]...), text[i+size:]...)
			if check(id, i, shorter) {
				return true
			}
		}
	}
	return false
}

// brackets puts a "<" and a ">" back, as before a filter took them out.
func brackets(text string, check func(string, int, []byte) bool) bool {
	longer := make([]byte, 0, len(text)+2)
	for i := range len(text) + 1 {
		for j := i; j <= len(text); j++ {
			longer = append(append(longer[:0], text[:i]...), '<')
			longer = append(append(longer, text[i:j]...), '>')
			longer = append(longer, text[j:]...)
			if check("angle_brackets_stripped", i, longer) {
				return true
			}
		}
	}
	return false
}

// place says where in the text the change is, and what was there unless that
// is part of a secret.
func (d *diagnosis) place(fields []field, text string, signedText []byte, at int) string {
	start, member := 0, "the text"
	for _, f := range signed(fields, false) {
		if length := len(f.name) + 1 + len(f.value); at <= start+length {
			member, start = shown(f.name), start+len(f.name)+1
			break
		} else {
			start += length + 1
		}
	}
	return fmt.Sprintf("at byte %d of %s: received %s, signed %s", max(0, at-start), member,
		ticks(d.masker.Around(text, at)), ticks(d.masker.Around(string(signedText), at)))
}
