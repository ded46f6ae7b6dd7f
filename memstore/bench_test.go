package memstore_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// BenchmarkNotify is the whole handler, from the request to the answer, for a
// repeated delivery among n stored records.
func BenchmarkNotify(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n, " records"), func(b *testing.B) {
			gateway := gatewaytest.New(gatewaytest.Config{})
			defer gateway.Close()
			store := memstore.New()
			kit, err := codegrant.New(codegrant.Config{
				Client: gateway.Client(), Store: store, BaseURL: "https://shop.example/wallet",
				User:   func(*http.Request) (string, error) { return "ann", nil },
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				id := fmt.Sprintf("REQ-%d", i)
				if err := store.Save(b.Context(), codegrant.Token{
					ID: id, AccountID: gatewaytest.DefaultAccountID, UserID: "user-" + id,
					Status: codegrant.StatusPending, Handled: codegrant.StatusPending, Revision: 1,
				}); err != nil {
					b.Fatal(err)
				}
			}
			body := string(gateway.SignedBody(`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0",`+
				`"token":"7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"}`, nil))
			handler := kit.Notify()
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/notify/REQ-0", strings.NewReader(body)))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
