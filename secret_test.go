package codegrant_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
)

const hidden = "SENTINEL-hidden-value"

// requireHidden looks for the hidden value in every spelling fmt has.
func requireHidden(t testing.TB, text, how string) {
	t.Helper()
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(hidden)), "[]")
	for _, form := range []string{
		hidden, "SENTINEL", hex.EncodeToString([]byte(hidden)), strings.ToUpper(hex.EncodeToString([]byte(hidden))),
		fmt.Sprintf("% x", hidden), fmt.Sprintf("%# x", hidden), fmt.Sprintf("%U", []rune(hidden)), decimal,
		base64.StdEncoding.EncodeToString([]byte(hidden)), strings.ReplaceAll(decimal, " ", ","),
	} {
		require.NotContains(t, text, form, how)
	}
}

func everyFormat() []string {
	var formats []string
	for _, verb := range "vsqxXdobBcUeEfFgGtpTwZ!" {
		for _, flags := range []string{"", "+", "#", " ", "-", "0", "# ", "+#", "40", "-40", ".3", "#40.30", "*", "[1]"} {
			formats = append(formats, "%"+flags+string(verb))
		}
	}
	return formats
}

type holder struct {
	Exported codegrant.Secret
	private  codegrant.Secret
	pointer  *codegrant.Secret
	slice    []codegrant.Secret
	array    [1]codegrant.Secret
	byKey    map[string]codegrant.Secret
	asKey    map[codegrant.Secret]int
	any      any
	nested   struct{ inner codegrant.Secret }
	stringer fmt.Stringer
}

func newHolder() holder {
	s := codegrant.NewSecret(hidden)
	h := holder{
		Exported: s, private: s, pointer: &s, slice: []codegrant.Secret{s}, array: [1]codegrant.Secret{s},
		byKey: map[string]codegrant.Secret{"k": s}, asKey: map[codegrant.Secret]int{s: 1}, any: s, stringer: s,
	}
	h.nested.inner = s
	return h
}

// secretive is every value of the package that holds a secret, filled by
// reflection, so that a new field is covered by itself.
func secretive(t testing.TB) map[string]any {
	values := map[string]any{}
	for _, sample := range []any{
		codegrant.Token{}, codegrant.Payment{}, codegrant.RefundRecord{}, codegrant.Account{}, codegrant.ClientConfig{}, codegrant.Notification{}, codegrant.PaymentNotification{},
		codegrant.SignUpResponse{}, codegrant.SignUpQuery{}, codegrant.SignUpState{}, codegrant.UnbindRequest{}, codegrant.PayRequest{},
		codegrant.ApplyTokenRequest{}, codegrant.ApplyTokenResponse{}, codegrant.CancelTokenRequest{}, codegrant.ListTokensRequest{},
		codegrant.ListedToken{}, codegrant.Change{}, codegrant.PaymentQuery{},
	} {
		v := reflect.New(reflect.TypeOf(sample))
		hideIn(v.Elem())
		values[v.Elem().Type().Name()], values["*"+v.Elem().Type().Name()] = v.Elem().Interface(), v.Interface()
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: "2018092714313010016291", Salts: codegrant.Salts(hidden, hidden+"2")},
		Endpoints: codegrant.Sandbox(),
	})
	require.NoError(t, err)
	values["*Client"], values["Client"] = client, reflect.ValueOf(client).Elem().Interface()
	secret := codegrant.NewSecret(hidden)
	config := newConfig(t)
	config.Client = client
	full := codegrant.Token{ID: "R", AccountID: "A", UserID: "ann", Revision: 1}
	hideIn(reflect.ValueOf(&full).Elem())
	require.NoError(t, config.Store.Save(t.Context(), full))
	kit, err := codegrant.New(config)
	require.NoError(t, err)
	values["Config"], values["*Config"], values["memstore.Store"] = config, &config, config.Store
	values["*Kit"], values["Kit"] = kit, reflect.ValueOf(kit).Elem().Interface()
	several := codegrant.AccountsConfig{Kits: []*codegrant.Kit{kit}, Store: config.Store}
	accounts, err := codegrant.NewAccounts(several)
	require.NoError(t, err)
	values["AccountsConfig"], values["*AccountsConfig"] = several, &several
	values["*Accounts"], values["Accounts"] = accounts, reflect.ValueOf(accounts).Elem().Interface()
	values["seal.Key"], values["*seal.Key"] = seal.Key{ID: "k1", Secret: secret}, &seal.Key{ID: "k1", Secret: secret}
	h := newHolder()
	for name, err := range nestedErrors(full, h) {
		values[name] = err
	}
	values["Secret"], values["*Secret"], values["[]Secret"] = secret, &secret, []codegrant.Secret{secret}
	values["map"] = map[string]codegrant.Secret{"k": secret}
	values["Salts"] = codegrant.Salts(hidden)
	values["struct"], values["*struct"] = h, &h
	values["slice of structs"], values["slice of any"] = []holder{h}, []any{secret, &secret, h, &h}
	return values
}

// nestedErrors are all kinds of error of the package, one inside the other,
// around causes that somebody made of values with secrets in them.
func nestedErrors(token codegrant.Token, h holder) map[string]error {
	cause := fmt.Errorf("saving %v of %+v failed: %#v %s %q %x %d", token, h, h, token, token.Value, token.Value, h.private)
	gateway := &codegrant.GatewayError{Operation: "unifiedPay", Code: "102000", Description: fmt.Sprint(token), RequestID: "R", HTTPStatus: 200}
	request := &codegrant.RequestError{Operation: "unifiedPay", Problems: []codegrant.Problem{{Field: "PayRequest.Token", Wire: "token", Rule: "is required"}}}
	config := &codegrant.ConfigError{Problems: []string{fmt.Sprint(token.Value)}}
	inner := &codegrant.Error{Op: "save", Code: codegrant.ErrStore, Err: errors.Join(cause, gateway, request, config)}
	unknown := &codegrant.UnknownOutcomeError{Op: "charge", OrderID: "O", RequestID: "R", Err: inner}
	return map[string]error{
		"*GatewayError": gateway, "*RequestError": request, "*ConfigError": config, "*Error": inner, "*UnknownOutcomeError": unknown,
		"a wrapped error": fmt.Errorf("buying %v: %w", token, &codegrant.Error{Op: "charge", Code: codegrant.ErrOutcomeUnknown, Err: unknown}),
		"seal.Error":      &seal.Error{Code: seal.ErrCorrupt, RecordID: token.ID, Field: "Value", KeyID: "k1"},
		"a path error":    &fs.PathError{Op: "open", Path: fmt.Sprint(token), Err: inner},
	}
}

// hideIn puts the hidden value into every Secret below v.
func hideIn(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[codegrant.Secret]():
		v.Set(reflect.ValueOf(codegrant.NewSecret(hidden)))
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				hideIn(v.Field(i))
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		hideIn(v.Index(0))
		hideIn(v.Index(1))
	case v.Kind() == reflect.Pointer && strings.HasSuffix(v.Type().Elem().PkgPath(), "/codegrant") && v.Type().Elem().Kind() == reflect.Struct:
		if v.Type().Elem() != reflect.TypeFor[codegrant.Client]() {
			v.Set(reflect.New(v.Type().Elem()))
			hideIn(v.Elem())
		}
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	formats := everyFormat()
	for name, value := range secretive(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, format := range formats {
				args := []any{value}
				if strings.Contains(format, "*") {
					args = []any{30, value}
				}
				requireHidden(t, fmt.Sprintf(format, args...), format)
			}
			requireHidden(t, fmt.Sprint(value), "Sprint")
			requireHidden(t, fmt.Sprintln(value, value), "Sprintln")
			requireHidden(t, fmt.Errorf("failed with %v", value).Error(), "Errorf")
			requireHidden(t, fmt.Sprint(func() (recovered any) {
				defer func() { recovered = recover() }()
				panic(value)
			}()), "panic")

			var text, logged bytes.Buffer
			options := &slog.HandlerOptions{Level: slog.LevelDebug}
			for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, options), slog.NewJSONHandler(&logged, options)} {
				logger := slog.New(handler).With("with", value).WithGroup("group")
				logger.InfoContext(context.Background(), "m", "value", value, slog.Any("any", value), slog.Group("g", "in", value))
			}
			requireHidden(t, logged.String(), "slog")
			if data, err := json.Marshal(value); err == nil {
				requireHidden(t, string(data), "json")
			} else {
				requireHidden(t, err.Error(), "json error")
			}
			if err := xml.NewEncoder(&text).Encode(value); err != nil {
				requireHidden(t, err.Error(), "xml error")
			}
			requireHidden(t, text.String(), "xml")
		})
	}
}

func TestASecretShowsThatItIsOne(t *testing.T) {
	t.Parallel()
	s := codegrant.NewSecret(hidden)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		require.Equal(t, "[redacted]", fmt.Sprintf(format, s), format)
		require.Empty(t, fmt.Sprintf(format, codegrant.Secret{}), format)
	}
	data, err := json.Marshal(map[string]any{"s": s, "zero": codegrant.Secret{}})
	require.NoError(t, err)
	require.JSONEq(t, `{"s":"[redacted]","zero":""}`, string(data))
	require.Equal(t, "[redacted]", s.LogValue().String())
	require.Equal(t, hidden, s.Reveal())
	require.False(t, s.IsZero())
	require.True(t, codegrant.NewSecret("").IsZero())
	require.Equal(t, codegrant.Secret{}, codegrant.NewSecret(""))
	require.Empty(t, codegrant.Secret{}.Reveal())
	require.Len(t, codegrant.Salts("a", "", "b"), 3)
	require.Empty(t, codegrant.Salts())
}

func TestASecretIsNotReadBackFromText(t *testing.T) {
	t.Parallel()
	type record struct{ Token codegrant.Secret }
	var r record
	for _, text := range []string{`{"Token":"[redacted]"}`, `{"Token":"` + hidden + `"}`} {
		err := json.Unmarshal([]byte(text), &r)
		require.ErrorIs(t, err, codegrant.ErrRedacted)
		requireHidden(t, err.Error(), "error")
		require.True(t, r.Token.IsZero())
	}
	require.Error(t, json.Unmarshal([]byte(`{"Token":{"value":"x"}}`), &r))
	r.Token = codegrant.NewSecret(hidden)
	require.NoError(t, json.Unmarshal([]byte(`{"Token":""}`), &r))
	require.True(t, r.Token.IsZero())
	var x struct{ Token codegrant.Secret }
	require.Error(t, xml.Unmarshal([]byte("<x><Token>[redacted]</Token></x>"), &x))
}

func TestEqualSecretsAndFingerprints(t *testing.T) {
	t.Parallel()
	a := codegrant.NewSecret("abc")
	require.True(t, a.Equal(codegrant.NewSecret("abc")))
	require.False(t, a.Equal(codegrant.NewSecret("abd")))
	require.False(t, a.Equal(codegrant.NewSecret("abcd")))
	require.False(t, a.Equal(codegrant.Secret{}))
	require.True(t, codegrant.Secret{}.Equal(codegrant.Secret{}))
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", codegrant.Fingerprint(a)) // FIPS 180-4
	require.Empty(t, codegrant.Fingerprint(codegrant.Secret{}))
}

// fill gives every field below v a value of its own.
func fill(t testing.TB, v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == reflect.TypeFor[codegrant.Secret]():
		v.Set(reflect.ValueOf(codegrant.NewSecret(fmt.Sprintf("secret %d, 礼\"\\\u2028<&>", *n))))
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, *n*1000, time.UTC)))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("text %d, 礼\"\\\u2028<&>", *n))
	case v.CanInt():
		v.SetInt(int64(*n))
	case v.CanUint():
		v.SetUint(uint64(*n))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("teach this test to fill a %s", v.Type())
	}
}

// plain is every field of t as text, secrets revealed.
func plain(token codegrant.Token) map[string]string {
	fields := map[string]string{}
	v := reflect.ValueOf(token)
	for i := range v.NumField() {
		value := v.Field(i).Interface()
		if s, ok := value.(codegrant.Secret); ok {
			value = "secret " + s.Reveal()
		}
		fields[v.Type().Field(i).Name] = fmt.Sprintf("%T %#v", value, value)
	}
	return fields
}

func TestATokenSurvivesBinary(t *testing.T) {
	t.Parallel()
	var full codegrant.Token
	n := 0
	fill(t, reflect.ValueOf(&full).Elem(), &n)
	full.Status, full.Handled = codegrant.StatusUnbound, codegrant.StatusActive
	for name, token := range map[string]codegrant.Token{"full": full, "zero": {}, "pending": {ID: "R", Status: codegrant.StatusPending, Revision: 1}} {
		data, err := token.MarshalBinary()
		require.NoError(t, err, name)
		read := full // what was there before must not shine through
		require.NoError(t, read.UnmarshalBinary(data), name)
		require.Equal(t, plain(token), plain(read), name)
		again, err := read.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, data, again, "%s: the form is stable", name)
	}
	for _, value := range plain(full) {
		require.NotRegexp(t, `""$| 0$|0001, time`, value, "the test fills every field")
	}
}

func TestGarbageIsNoToken(t *testing.T) {
	t.Parallel()
	good, err := codegrant.Token{ID: "R", Value: codegrant.NewSecret(hidden)}.MarshalBinary()
	require.NoError(t, err)
	garbage := [][]byte{
		nil, {}, []byte("x"), []byte("[]"), []byte(`"R"`), []byte(`{"ID":7}`), []byte(`{"Status":"active"}`),
		[]byte(`{"Status":1000}`), []byte(`{"CreatedAt":"yesterday"}`), []byte(`{"Value":"` + hidden + `","Revision":"` + hidden + `"}`),
		good[:len(good)/2], append(bytes.Clone(good), '}'), append(bytes.Clone(good), good...),
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		noise := make([]byte, random.IntN(200))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		garbage = append(garbage, noise)
	}
	for _, data := range garbage {
		before := codegrant.Token{ID: "before"}
		err := before.UnmarshalBinary(data)
		require.Error(t, err, "%.60q", data)
		requireHidden(t, err.Error(), "error")
		require.Equal(t, "before", before.ID, "a failed read changes nothing")
	}
}

func TestSecretsStayHiddenInErrors(t *testing.T) {
	t.Parallel()
	s := codegrant.NewSecret(hidden)
	err := errors.Join(fmt.Errorf("a %w", codegrant.ErrStore), fmt.Errorf("b %v %#v", s, newHolder()))
	requireHidden(t, fmt.Sprintf("%v %+v %#v %q", err, err, err, err), "joined")
	client, clientErr := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: "2018092714313010016291", Salts: codegrant.Salts(hidden)},
		Endpoints: codegrant.Endpoints{Host: rigHost},
		HTTPClient: &http.Client{Transport: &wireTap{reply: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("could not send %v to %v", r.Header, r.URL)
		}}},
	})
	require.NoError(t, clientErr)
	for _, o := range operations() {
		_, err := o.send(t.Context(), client)
		requireDiscreet(t, err, rigToken, "SENTINEL", "auth-code-1234567")
	}
}
