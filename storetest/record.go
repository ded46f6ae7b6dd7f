package storetest

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

// fill returns a token in which no field is zero. Reflection sees to it that a
// field which codegrant gains is filled, and so tested, too. Tokens of other
// variants differ in every field but those that are not a store's to lose:
// Wallet, EndedBy and the statuses have few values.
func fill(own string, epoch time.Time, variant int) codegrant.Token {
	var t codegrant.Token
	v := reflect.ValueOf(&t).Elem()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
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
		case string:
			field.SetString(text)
		case int64:
			field.SetInt(int64(variant) + 1)
		default:
			panic("storetest: no test value for the field " + name + " of codegrant.Token")
		}
	}
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	return t
}

func pick[T any](i int, from ...T) T { return from[i%len(from)] }

// spell returns t with the text in every field that holds free text, in the
// clear or secret. The fingerprint is always that of the value, and who ended
// an agreement is one of three words.
func spell(t codegrant.Token, text string) codegrant.Token {
	v := reflect.ValueOf(&t).Elem()
	for i := range v.NumField() {
		switch field := v.Field(i); field.Interface().(type) {
		case codegrant.Secret:
			field.Set(reflect.ValueOf(codegrant.NewSecret(text)))
		case string, codegrant.Wallet:
			field.SetString(text)
		}
	}
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	return t
}

// eachTime calls f with the name and the value of each time of t.
func eachTime(t codegrant.Token, f func(name string, at time.Time)) {
	v := reflect.ValueOf(t)
	for i := range v.NumField() {
		if at, ok := v.Field(i).Interface().(time.Time); ok {
			f(v.Type().Field(i).Name, at)
		}
	}
}

// differences says, field by field, how got is not want. Times are the same
// when they are the same instant.
func differences(want, got codegrant.Token) []string {
	var found []string
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		if !equal(w.Field(i).Interface(), g.Field(i).Interface()) {
			difference := compare(printable(g.Field(i).Interface()), printable(w.Field(i).Interface()))
			found = append(found, w.Type().Field(i).Name+" is "+difference)
		}
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
