package mask_test

import (
	"testing"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	const secret = "se\\\"cret-8"
	for name, tc := range map[string]struct{ body, want string }{
		"a member":                          {`{"a": "b", "token" : "secret-1" }`, `{"a": "b", "token" : "[masked token, 8 characters]" }`},
		"a number":                          {`{"token":1234567,"n":2}`, `{"token":"[masked token, 7 digits]","n":2}`},
		"inside a string":                   {`{"bizContent":"{\"token\":\"secret-2\",\"x\":\"y\"}"}`, `{"bizContent":"{\"token\":\"[masked token, 8 characters]\",\"x\":\"y\"}"}`},
		"in an array":                       {`{"queryData":[{"token":"secret-3"},{"token":"secret-4"}],"z":1}`, `{"queryData":[{"token":"[masked token, 8 characters]"},{"token":"[masked token, 8 characters]"}],"z":1}`},
		"in an object":                      {`{"bizContent":{"userLoginId":"mia@example.com"}}`, `{"bizContent":{"userLoginId":"[masked userLoginId, 15 characters]"}}`},
		"a name in escapes":                 {`{"t\u006fken":"secret-5"}`, `{"t\u006fken":"[masked token, 8 characters]"}`},
		"a value in escapes":                {`{"token":"` + secret + `","a":"\u0041"}`, `{"token":"[masked token, 9 characters]","a":"\u0041"}`},
		"an echo behind the member":         {`{"token":"secret-6","description":"no secret-6 here"}`, `{"token":"[masked token, 8 characters]","description":"no [masked token, 8 characters] here"}`},
		"a salt anywhere":                   {`not JSON: ` + "5A17C0DE96A7E5EED0000001", `not JSON: [masked salt]`},
		"a long number in a page":           {`<p>7dda0a6f6958105204fd6637001f900e</p>`, `<p>[masked, 32 hex]</p>`},
		"a return URL":                      {`/return/X?authCode=c0de-123&authState=st&x=1`, `/return/X?authCode=[masked value, 8 characters]&authState=[masked value, 2 characters]&x=1`},
		"a credential without a known name": {`{"vaultRef":"pk_9aZ2kQ7mX4cV8bN1tR6wY3","orderTag":"SPRING-2026"}`, `{"vaultRef":"[masked vaultRef, 25 characters]","orderTag":"SPRING-2026"}`},
		"an order's long number":            {`{"merchantTransactionId":"PMT-PR5GFUNZQP1695182276082"}`, `{"merchantTransactionId":"PMT-PR5GFUNZQP1695182276082"}`},
		"a credential in a URL":             {`{"link":"https://shop.example/wallet/9aZ2kQ7mX4cV8bN1tR6wY3xx/x"}`, `{"link":"https://shop.example/wallet/[masked link, 24 characters]/x"}`},
		"null and empty":                    {`{"token":null,"sign":""}`, `{"token":null,"sign":""}`},
		"nothing secret":                    {`{"merchantUserId":"mia","list":["a",{"b":[1,2]}],"c":true}`, `{"merchantUserId":"mia","list":["a",{"b":[1,2]}],"c":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mask.NewMemory([]string{"5A17C0DE96A7E5EED0000001"})
			require.Equal(t, tc.want, m.Body([]byte(tc.body)))
		})
	}
	m := mask.NewMemory(nil)
	m.Body([]byte(`{"token":"seen-before"}`))
	require.Equal(t, "and [masked token, 11 characters] again", m.Text("and seen-before again"))
}
