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

// wireField is one tagged field of a struct, its tag taken apart.
type wireField struct {
	index     int
	form      wireForm
	tag       string
	spellings [][]string // of the member: the path of each
	currency  [][]string // of an amount's second member
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
var wirePlans sync.Map // of []wireField by reflect.Type

// wirePlan returns the tagged fields of a struct type.
func wirePlan(t reflect.Type) []wireField {
	if plan, ok := wirePlans.Load(t); ok {
		return plan.([]wireField)
	}
	plan, _ := wirePlans.LoadOrStore(t, newWirePlan(t))
	return plan.([]wireField)
}

func newWirePlan(t reflect.Type) []wireField {
	var plan []wireField
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("wire")
		if tag == "" {
			continue
		}
		value, currency, _ := strings.Cut(tag, ",")
		plan = append(plan, wireField{
			index: i, form: formOf(t.Field(i).Type), tag: tag, spellings: spellings(value), currency: spellings(currency),
		})
	}
	return plan
}

func spellings(tag string) [][]string {
	var list [][]string
	for path := range strings.SplitSeq(tag, "|") {
		list = append(list, strings.Split(path, "."))
	}
	return list
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
	plan := wirePlan(v.Type())
	for i := range plan {
		if err := r.field(&plan[i], v); err != nil {
			return err
		}
	}
	return nil
}

// field fills the field of v that f is about.
func (r *wireReader) field(f *wireField, v reflect.Value) error {
	if f.form == wireAmount {
		return r.amount(f, v.Field(f.index).Addr().Interface().(*Amount))
	}
	m := r.member(f.spellings)
	if m == nil {
		return nil
	}
	switch field := v.Field(f.index); f.form {
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
		if ms, err := strconv.ParseInt(string(m.value), 10, 64); err == nil && len(m.value) == 13 {
			*field.Addr().Interface().(*time.Time) = time.UnixMilli(ms).UTC()
		}
	default:
		return fmt.Errorf("codegrant: field %s has a type the wire has no form for", f.tag)
	}
	return nil
}

func (r *wireReader) amount(f *wireField, amount *Amount) error {
	if m := r.member(f.currency); m != nil {
		amount.Currency = r.text(m.value)
	}
	m := r.member(f.spellings)
	if m == nil || amount.Currency == "" {
		return nil
	}
	parsed, err := ParseAmount(string(m.value), amount.Currency)
	if err != nil {
		return err
	}
	*amount = parsed
	return nil
}

// member returns the first member of the spellings that says something.
func (r *wireReader) member(spellings [][]string) *member {
	for _, path := range spellings {
		i := r.doc.find(path)
		if i < 0 {
			continue
		}
		m := &r.doc.members[i]
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
