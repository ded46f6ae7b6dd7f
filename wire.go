package codegrant

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The field tag "wire" holds a field's name in bizContent and is the only
// place where wire names stand. A dot descends into an object
// ("paymentMethod.type"); '|' separates spellings of which the first present
// one is read and the first is written; an Amount names its two members with
// ','. Fields below one object stand next to each other.

var (
	secretType = reflect.TypeFor[Secret]()
	amountType = reflect.TypeFor[Amount]()
	timeType   = reflect.TypeFor[time.Time]()
)

// decodeBiz fills the wire-tagged fields of *target from doc. Absent, null and
// nested values leave a field as it is, and numbers are taken as text: the
// gateway may add, drop and retype members at any time. An amount whose
// currency is absent is read in the currency that the field already holds.
func decodeBiz(doc *document, target any) error {
	r := wireReader{doc: doc}
	return r.fill(target)
}

// wirePlan is what there is to know of a struct type, its tags taken apart.
type wirePlan struct {
	fields []wireField
	names  []wireName         // of all fields; the first stands for the document itself
	first  [nameHashes]uint16 // of the names with a hash; 0 for none
}

// wireName is a member that a field may be in, or an object on the way to one.
type wireName struct {
	name   string
	parent uint16 // the object that it is in
	next   uint16 // of the names with the same hash; 0 behind the last
}

// wireField is one tagged field. Where it is read from are indexes into the plan's
// names.
type wireField struct {
	index     int
	form      wireForm
	tag       string
	spellings []uint16 // of the member
	currency  []uint16 // of an amount's second member

	path, currencyPath []string // where it is written to
}

type wireForm uint8

const (
	wireNone wireForm = iota // a type that is only written
	wireText
	wireBool
	wireSecret
	wireTime
	wireAmount
)

func formOf(t reflect.Type) wireForm {
	switch {
	case t == secretType:
		return wireSecret
	case t == timeType:
		return wireTime
	case t == amountType:
		return wireAmount
	case t.Kind() == reflect.String:
		return wireText
	case t.Kind() == reflect.Bool:
		return wireBool
	}
	return wireNone
}

// wirePlans remembers what newWirePlan made, which depends on the type alone.
var wirePlans sync.Map // of *wirePlan by reflect.Type

// wirePlanOf returns the plan of a struct type.
func wirePlanOf(t reflect.Type) *wirePlan {
	if plan, ok := wirePlans.Load(t); ok {
		return plan.(*wirePlan)
	}
	plan, _ := wirePlans.LoadOrStore(t, newWirePlan(t))
	return plan.(*wirePlan)
}

func newWirePlan(t reflect.Type) *wirePlan {
	plan := &wirePlan{names: make([]wireName, 1)}
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("wire")
		if tag == "" {
			continue
		}
		value, currency, two := strings.Cut(tag, ",")
		f := wireField{
			index: i, form: formOf(t.Field(i).Type), tag: tag, spellings: plan.spellings(value), path: firstPath(value),
		}
		if two {
			f.currency, f.currencyPath = plan.spellings(currency), firstPath(currency)
		}
		plan.fields = append(plan.fields, f)
	}
	return plan
}

// firstPath is the first spelling, a name for each level.
func firstPath(tag string) []string {
	first, _, _ := strings.Cut(tag, "|")
	return strings.Split(first, ".")
}

func (p *wirePlan) spellings(tag string) []uint16 {
	var list []uint16
	for path := range strings.SplitSeq(tag, "|") {
		at := uint16(0)
		for name := range strings.SplitSeq(path, ".") {
			at = p.name(at, name)
		}
		list = append(list, at)
	}
	return list
}

// name returns the index of a name in the object at parent, which it adds.
func (p *wirePlan) name(parent uint16, name string) uint16 {
	for i, n := range p.names[1:] {
		if n.parent == parent && n.name == name {
			return uint16(i + 1)
		}
	}
	added, first := uint16(len(p.names)), &p.first[nameHash(name)] //nolint:gosec // G115: of the tags of one type
	p.names = append(p.names, wireName{name: name, parent: parent, next: *first})
	*first = added
	return added
}

// noMember is where a name is that a document does not have.
const noMember = inArray - 1

// locate appends, for each of the plan's names, the index of its member in doc.
// One pass finds them all, for members follow their parent.
func (p *wirePlan) locate(at []int, doc *document) []int {
	at = append(at, topLevel)
	for range p.names[1:] {
		at = append(at, noMember)
	}
	for i := range doc.members {
		m := &doc.members[i]
		for n := p.first[nameHash(m.name)]; n != 0; n = p.names[n].next {
			if name := &p.names[n]; at[name.parent] == m.parent && name.name == string(m.name) {
				at[n] = i
				break
			}
		}
	}
	return at
}

// wireReader takes texts out of a document. They share memory with each other,
// none of it with the document or a secret: secrets have their own.
type wireReader struct {
	doc   *document
	texts strings.Builder

	secret   Secret  // the last one that was read,
	secretOf *member // and out of what
}

// fill fills the fields of the struct that target points to.
func (r *wireReader) fill(target any) error {
	v := reflect.ValueOf(target).Elem()
	plan := wirePlanOf(v.Type())
	at := plan.locate(make([]int, 0, 32), r.doc) // which is on the stack
	for i := range plan.fields {
		f := &plan.fields[i]
		m := r.member(at, f.spellings)
		if f.form == wireAmount {
			if err := r.amount(m, r.member(at, f.currency), v.Field(f.index).Addr().Interface().(*Amount)); err != nil {
				return err
			}
		} else if m != nil {
			if err := r.field(f, m, v.Field(f.index)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *wireReader) field(f *wireField, m *member, field reflect.Value) error {
	switch f.form {
	case wireText:
		field.SetString(r.text(m.value))
	case wireBool:
		field.SetBool(string(m.value) == "true")
	case wireSecret:
		if r.secretOf != m {
			r.secret, r.secretOf = NewSecret(string(m.value)), m
		}
		*field.Addr().Interface().(*Secret) = r.secret
	case wireTime:
		// PingPong v4, payment notification: epoch milliseconds as text. Other
		// forms have no stated time zone and are left alone.
		if len(m.value) != 13 {
			return nil
		}
		if ms, err := strconv.ParseInt(string(m.value), 10, 64); err == nil {
			*field.Addr().Interface().(*time.Time) = time.UnixMilli(ms).UTC()
		}
	default:
		return fmt.Errorf("codegrant: field %s has a type the wire has no form for", f.tag)
	}
	return nil
}

// amount reads an amount out of its two members, either of which may be nil.
func (r *wireReader) amount(value, currency *member, amount *Amount) error {
	if currency != nil {
		amount.Currency = r.text(currency.value)
	}
	if value == nil || amount.Currency == "" {
		return nil
	}
	parsed, err := ParseAmount(string(value.value), amount.Currency)
	if err != nil {
		return err
	}
	*amount = parsed
	return nil
}

// member returns the first of the spellings, located at, that says something.
func (r *wireReader) member(at []int, spellings []uint16) *member {
	for _, name := range spellings {
		if at[name] < 0 {
			continue
		}
		m := &r.doc.members[at[name]]
		if (m.kind == jsonString || m.kind == jsonLiteral) && len(m.value) > 0 {
			return m
		}
	}
	return nil
}

// textSize is, in bytes, about what the texts of the members take: some are read
// twice, others are read as something else, and huge ones are nobody's field.
func (d *document) textSize() int {
	size := 0
	for i := range d.members {
		if m := &d.members[i]; m.kind == jsonString && len(m.value) <= 256 {
			size += len(m.value)
		}
	}
	return size
}

// text copies value. What the builder outgrows stays with the texts in it.
func (r *wireReader) text(value []byte) string {
	start := r.texts.Len()
	r.texts.Write(value)
	return r.texts.String()[start:]
}
