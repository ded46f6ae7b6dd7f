package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

// fill returns a token in which no field is zero. Tokens of other variants
// differ in every field but those that are not a store's to lose: Wallet,
// EndedBy and the statuses have few values.
func fill(own string, epoch time.Time, variant int) codegrant.Token {
	var t codegrant.Token
	fillFields(reflect.ValueOf(&t).Elem(), own, epoch, variant)
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	return t
}

// fillPayment is fill for payments. The token in Last is empty, as the kit
// leaves it.
func fillPayment(own string, epoch time.Time, variant int) codegrant.Payment {
	var p codegrant.Payment
	fillFields(reflect.ValueOf(&p).Elem(), own, epoch, variant)
	p.Last.Token = codegrant.Secret{}
	return p
}

// fillFields sets every field of a record. Reflection sees to it that a field
// which codegrant gains is filled, and so tested, too.
func fillFields(record reflect.Value, own string, epoch time.Time, variant int) {
	for i := range record.NumField() {
		field, name := record.Field(i), record.Type().Field(i).Name
		text := fmt.Sprintf("%s-%s-%d", own, name, variant)
		switch field.Interface().(type) {
		case codegrant.Secret:
			field.Set(reflect.ValueOf(codegrant.NewSecret(text)))
		case time.Time:
			at := epoch.Add(time.Duration(variant)*time.Minute + time.Duration(i)*time.Second)
			field.Set(reflect.ValueOf(at))
		case codegrant.Status:
			field.SetInt(int64(variant+i)%int64(codegrant.StatusUnbound) + 1)
		case codegrant.EndedBy:
			field.SetString(string(pick(variant, codegrant.EndedByUser, codegrant.EndedByMerchant, codegrant.EndedByGateway)))
		case codegrant.Wallet:
			field.SetString(string(pick(variant, codegrant.RabbitLINEPay, codegrant.TNGeWallet, codegrant.Boost)))
		case codegrant.Outcome:
			field.SetString(string(pick(variant+i, codegrant.Succeeded, codegrant.Failed, codegrant.Pending)))
		case codegrant.PaymentStatus:
			field.SetString(string(pick(variant, codegrant.PaymentSuccess, codegrant.PaymentFailed, codegrant.PaymentClosed)))
		case string:
			field.SetString(text)
		case int, int64:
			field.SetInt(int64(variant+i) + 1)
		case []codegrant.RefundRecord:
			field.Set(reflect.MakeSlice(field.Type(), 1+variant%3, 1+variant%3))
			for j := range field.Len() {
				fillFields(field.Index(j), fmt.Sprint(own, "-", j), epoch, variant+j)
			}
		case codegrant.Amount, codegrant.PaymentNotification, codegrant.RefundNotification:
			fillFields(field, own+"-"+name, epoch, variant)
		default:
			panic("storetest: no test value for the field " + name + " of " + record.Type().String())
		}
	}
}

func pick[T any](i int, from ...T) T { return from[i%len(from)] }

// spell returns t with the text in every field that holds free text, in the
// clear or secret. The fingerprint is always that of the value, and who ended
// an agreement is one of three words.
func spell(t codegrant.Token, text string) codegrant.Token {
	spellFields(reflect.ValueOf(&t).Elem(), text)
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	return t
}

// spellPayment is spell for payments; the outcomes are words of their own.
func spellPayment(p codegrant.Payment, text string) codegrant.Payment {
	p.Refunds = slices.Clone(p.Refunds)
	spellFields(reflect.ValueOf(&p).Elem(), text)
	p.Last.Token = codegrant.Secret{}
	return p
}

func spellFields(record reflect.Value, text string) {
	for i := range record.NumField() {
		switch field := record.Field(i); field.Interface().(type) {
		case codegrant.Secret:
			field.Set(reflect.ValueOf(codegrant.NewSecret(text)))
		case string, codegrant.Wallet:
			field.SetString(text)
		case []codegrant.RefundRecord:
			for j := range field.Len() {
				spellFields(field.Index(j), text)
			}
		case codegrant.Amount, codegrant.PaymentNotification, codegrant.RefundNotification:
			spellFields(field, text)
		}
	}
}

// eachTime calls f with the name and the value of each time of a record.
func eachTime[R any](record R, f func(name string, at time.Time)) {
	eachTimeOfFields("", reflect.ValueOf(record), f)
}

func eachTimeOfFields(name string, v reflect.Value, f func(name string, at time.Time)) {
	switch at, ok := v.Interface().(time.Time); {
	case ok:
		f(name, at)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachTimeOfFields(fmt.Sprintf("%s[%d]", name, i), v.Index(i), f)
		}
	case isRecord(v):
		for i := range v.NumField() {
			eachTimeOfFields(inner(name, v.Type().Field(i).Name), v.Field(i), f)
		}
	}
}

// isRecord reports whether a value is compared field by field.
func isRecord(v reflect.Value) bool {
	switch v.Interface().(type) {
	case time.Time, codegrant.Secret:
		return false
	}
	return v.Kind() == reflect.Struct
}

func inner(outer, field string) string {
	if outer == "" {
		return field
	}
	return outer + "." + field
}

// differences says, field by field, how got is not want. Times are the same
// when they are the same instant, and no list is an empty one.
func differences[R any](want, got R) []string {
	return differ("", reflect.ValueOf(want), reflect.ValueOf(got))
}

func differ(name string, want, got reflect.Value) []string {
	var found []string
	switch {
	case isRecord(want):
		for i := range want.NumField() {
			found = append(found, differ(inner(name, want.Type().Field(i).Name), want.Field(i), got.Field(i))...)
		}
	case want.Kind() == reflect.Slice:
		if want.Len() != got.Len() {
			return []string{fmt.Sprintf("%s has %d elements, want %d", name, got.Len(), want.Len())}
		}
		for i := range want.Len() {
			found = append(found, differ(fmt.Sprintf("%s[%d]", name, i), want.Index(i), got.Index(i))...)
		}
	case !equal(want.Interface(), got.Interface()):
		return []string{name + " is " + compare(printable(got.Interface()), printable(want.Interface()))}
	}
	return found
}

func equal(want, got any) bool {
	switch want := want.(type) {
	case codegrant.Secret:
		return want.Reveal() == got.(codegrant.Secret).Reveal()
	case time.Time:
		return want.Equal(got.(time.Time))
	}
	return want == got
}

// printable shows secrets, too: they are the suite's own.
func printable(field any) string {
	switch value := field.(type) {
	case codegrant.Secret:
		return fmt.Sprintf("%q", value.Reveal())
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	case codegrant.Status:
		return fmt.Sprintf("%d", int8(value))
	}
	return fmt.Sprintf("%#v", field)
}

// compare shows two texts, and of long ones the part where they part.
func compare(seen, wanted string) string {
	same := 0
	for same < min(len(seen), len(wanted)) && seen[same] == wanted[same] {
		same++
	}
	from := max(0, same-20)
	return cut(seen, from) + ", want " + cut(wanted, from)
}

func cut(s string, from int) string {
	const room = 100
	if len(s) <= room {
		return s
	}
	return fmt.Sprintf("…%s… (%d bytes)", strings.ToValidUTF8(s[from:min(len(s), from+room)], ""), len(s))
}
