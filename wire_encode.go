package codegrant

import (
	"fmt"
	"reflect"
	"strconv"
)

// encodeBiz writes request, a struct, as the bizContent string. Empty texts
// are left out, because no rule says how an empty one is signed; numbers and
// booleans always stand.
func encodeBiz(request any) ([]byte, error) {
	w := wireWriter{out: make([]byte, 0, 1024)}
	if err := w.object(reflect.ValueOf(request)); err != nil {
		return nil, err
	}
	return w.out, nil
}

type wireWriter struct {
	out  []byte
	open []string // the objects that out is inside of; a path of the plan
}

// object writes a struct as an object.
func (w *wireWriter) object(v reflect.Value) error {
	w.out = append(w.out, '{')
	fields := wirePlanOf(v.Type()).fields
	for i := range fields {
		if err := w.field(&fields[i], v.Field(fields[i].index)); err != nil {
			return err
		}
	}
	w.descend(nil)
	w.out = append(w.out, '}')
	return nil
}

func (w *wireWriter) field(f *wireField, v reflect.Value) error {
	path := f.path
	switch {
	case f.form == wireSecret:
		w.text(path, v.Interface().(Secret).Reveal())
	case f.form == wireAmount:
		amount := v.Interface().(Amount)
		decimal, err := amount.Decimal()
		if err != nil {
			return err
		}
		w.text(path, decimal)
		w.text(f.currencyPath, amount.Currency)
	case f.form == wireText:
		w.text(path, v.String())
	case v.Kind() == reflect.Int:
		w.name(path)
		w.out = strconv.AppendInt(w.out, v.Int(), 10)
	case v.Kind() == reflect.Slice:
		return w.list(path, v)
	default:
		return fmt.Errorf("codegrant: field %s has a type the wire has no form for", f.tag)
	}
	return nil
}

// list writes a slice of structs as an array of objects.
func (w *wireWriter) list(path []string, v reflect.Value) error {
	if v.Len() == 0 {
		return nil
	}
	w.name(path)
	w.out = append(w.out, '[')
	outside := w.open
	w.open = nil
	for i := range v.Len() {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.object(v.Index(i)); err != nil {
			return err
		}
	}
	w.open = outside
	w.out = append(w.out, ']')
	return nil
}

func (w *wireWriter) text(path []string, value string) {
	if value == "" {
		return
	}
	w.name(path)
	w.out = appendJSONString(w.out, value)
}

// name writes a member's name, after entering the objects it is in.
func (w *wireWriter) name(path []string) {
	last := len(path) - 1
	w.descend(path[:last])
	w.comma()
	w.out = appendJSONString(w.out, path[last])
	w.out = append(w.out, ':')
}

// descend closes and opens objects until out is inside those of path.
func (w *wireWriter) descend(path []string) {
	same := 0
	for same < len(path) && same < len(w.open) && path[same] == w.open[same] {
		same++
	}
	for range len(w.open) - same {
		w.out = append(w.out, '}')
	}
	for _, name := range path[same:] {
		w.comma()
		w.out = appendJSONString(w.out, name)
		w.out = append(w.out, ':', '{')
	}
	w.open = path
}

func (w *wireWriter) comma() {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
}

// appendJSONString writes s with no escape that JSON does not demand: the
// gateway signs the string as it arrives.
func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0 // where what is still to be copied begins
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		if c < 0x20 {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}
