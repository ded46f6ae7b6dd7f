package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestMinimalSignsUpAndCharges(t *testing.T) {
	t.Parallel()
	gateway := gatewaytest.NewServer(gatewaytest.Config{})
	defer gateway.Close()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	kit, err := newKit(gatewaytest.DefaultAccountID, gatewaytest.DefaultSalt, server.URL+"/wallet",
		codegrant.Endpoints{Host: gateway.URL})
	require.NoError(t, err)
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))

	form := url.Values{"wallet": {"GCash"}}.Encode()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/wallet/signup", strings.NewReader(form))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "user", Value: "mia"})
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusSeeOther, response.StatusCode)
	require.NoError(t, gateway.Approve(response.Header.Get("Location")))

	receipt, err := kit.Charge(t.Context(), codegrant.ChargeParams{
		UserID: "mia", OrderID: "order-1", Amount: codegrant.Amount{Minor: 350_00, Currency: "PHP"},
		ShopperIP: "192.0.2.7", Email: "mia@example.com",
	})
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	require.Len(t, gateway.Ledger().Charges, 1)
	require.Empty(t, gateway.Ledger().ChargedTwice())
}

func TestNobodyIsSignedInWithoutASession(t *testing.T) {
	t.Parallel()
	user, err := signedInUser(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.NoError(t, err)
	require.Empty(t, user)
}

func TestMissingSettingsAreNamed(t *testing.T) {
	t.Parallel()
	_, err := newKit("", "", "", codegrant.Sandbox())
	var problems *codegrant.ConfigError
	require.ErrorAs(t, err, &problems)
	require.ErrorContains(t, err, "ID")
	require.ErrorContains(t, err, "Salts")
	_, err = newKit(gatewaytest.DefaultAccountID, gatewaytest.DefaultSalt, "", codegrant.Sandbox())
	require.ErrorContains(t, err, "BaseURL is missing")
}
