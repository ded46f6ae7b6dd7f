package codegrant

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"
)

// requestValidator checks requests before they are sent. It caches what it
// learns of each type and is safe for concurrent use.
type requestValidator struct {
	validate *validator.Validate
}

func newRequestValidator() (*requestValidator, error) {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("wire"), "|")
		name, _, _ = strings.Cut(name, ",")
		return name
	})
	v.RegisterCustomTypeFunc(func(f reflect.Value) any { return f.Interface().(Secret).Reveal() }, Secret{})
	v.RegisterCustomTypeFunc(func(f reflect.Value) any {
		amount := f.Interface().(Amount)
		decimal, err := amount.Decimal()
		if err != nil || amount.Minor <= 0 {
			return ""
		}
		return decimal
	}, Amount{})
	err := errors.Join(
		// PingPong v4, Signature Convention: '<' and '>' are rejected.
		v.RegisterValidation("noangle", func(f validator.FieldLevel) bool {
			return !strings.ContainsAny(f.Field().String(), "<>")
		}),
		v.RegisterValidation("trimmed", func(f validator.FieldLevel) bool {
			return strings.TrimSpace(f.Field().String()) == f.Field().String()
		}),
		v.RegisterValidation("printable", func(f validator.FieldLevel) bool {
			s := f.Field().String()
			return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
		}),
		v.RegisterValidation("callback", func(f validator.FieldLevel) bool {
			return publicURLProblem(f.Field().String()) == ""
		}),
		v.RegisterValidation("amount", func(f validator.FieldLevel) bool {
			return f.Field().String() != "" && len(f.Field().String()) <= 12
		}, true),
	)
	if err != nil {
		return nil, err
	}
	v.RegisterAlias("text", "noangle,trimmed,printable")
	return &requestValidator{validate: v}, nil
}

// check returns a [RequestError] with every problem of request, or nil.
func (v *requestValidator) check(op string, request any) error {
	err := v.validate.Struct(request)
	if err == nil {
		return nil
	}
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return &Error{Op: op, Code: ErrInvalidRequest}
	}
	problems := make([]Problem, len(fields))
	for i, f := range fields {
		problems[i] = Problem{Field: f.StructNamespace(), Wire: f.Field(), Rule: ruleText(f)}
	}
	return &RequestError{Operation: op, Problems: problems}
}

// ruleText says in words which rule was broken, without the value.
func ruleText(f validator.FieldError) string {
	switch f.ActualTag() {
	case "required":
		return "is required"
	case "required_without":
		return "is required when " + f.Param() + " is empty"
	case "max":
		return "is longer than " + f.Param() + " characters"
	case "len":
		return "must have " + f.Param() + " characters"
	case "oneof":
		return "must be one of " + f.Param()
	case "noangle":
		return "must not hold '<' or '>'"
	case "trimmed":
		return "must not begin or end with a blank"
	case "printable":
		return "must be valid UTF-8 without control characters"
	case "callback":
		return "must be an https URL without query (http only on a loopback address)"
	case "amount":
		return "must be positive, in a currency whose decimals are known, of at most 12 characters"
	case "ip":
		return "must be an IP address"
	case "email":
		return "must be an e-mail address"
	}
	return fmt.Sprintf("breaks the rule %q", f.ActualTag())
}
