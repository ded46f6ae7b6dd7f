package mask_test

import (
	"testing"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"a token":                     {`"token":"short"`, `"token":"[5 characters]"`},
		"a name that ends like one":   {`"cardToken":"short"`, `"cardToken":"[5 characters]"`},
		"a token in any letter case":  {`TOKEN=short&x=1`, `TOKEN=[5 characters]&x=1`},
		"hexadecimal digits anywhere": {`see 7dda0a6f6958105204fd6637 there`, `see [24 characters] there`},
		"an account and its number":   {`accId=2022102018024210348883&transactionId=2023092012345678901`, `accId=2022102018024210348883&transactionId=2023092012345678901`},
		"letters and digits mixed":    {`"vault":"pk_9aZ2kQ7mX4cV8bN1tR6wY3"`, `"vault":"[25 characters]"`},
		"base64 with slashes":         {`"vault":"9aZ2kQ7m/X4cV8bN1+tR6wY3aa=="`, `"vault":"[28 characters]"`},
		"the parts of a JWT":          {`eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0x1.x`, `[36 characters].[29 characters].x`},
		"an order that is known":      {`"merchantTransactionId":"PMT-PR5GFUNZQP1695182276082"`, `"merchantTransactionId":"PMT-PR5GFUNZQP1695182276082"`},
		"one escaped for a log":       {`\x22merchantTransactionId\x22:\x22PMT-PR5GFUNZQP1695182276082\x22`, `\x22merchantTransactionId\x22:\x22PMT-PR5GFUNZQP1695182276082\x22`},
		"an order of another name":    {`"tag":"PMT-PR5GFUNZQP1695182276082"`, `"tag":"[27 characters]"`},
		"a URL":                       {`https://shop.example/wallet/notify/order-1/step2?a=b`, `https://shop.example/wallet/notify/order-1/step2?a=b`},
		"a credential in a URL":       {`https://shop.example/w/9aZ2kQ7mX4cV8bN1tR6wY3xx?a=b`, `https://shop.example/w/[24 characters]?a=b`},
		"a long word without a digit": {`ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER`, `ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER`},
		"a salt in other letter case": {`my salty-salt-1 here`, `my [12 characters] here`},
		"what would steer a terminal": {"a\x1b[31mb\u202ec\n", `a\x1b[31mb\x202ec\n`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, mask.Text(test.text, []string{"SALTY-SALT-1", "ab"}))
		})
	}
}

func TestAroundShowsNoPartOfASecret(t *testing.T) {
	t.Parallel()
	m := mask.Masker{}
	require.Equal(t, `"a":"b","token":"****","c":"d"`, m.Around(`"a":"b","token":"five","c":"d"`, 18))
	require.Equal(t, `************************************`, m.Around("7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97", 0))
}
