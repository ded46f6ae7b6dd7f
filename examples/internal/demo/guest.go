package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// GuestCookie is the name of the cookie that tells browsers apart.
const GuestCookie = "guest"

// NewGuest returns the cookie of a browser that has none. It is SameSite=Lax and
// not Strict, so that the browser still sends it when the wallet sends it back.
// A shop on https sets Secure as well.
func NewGuest() *http.Cookie {
	return &http.Cookie{ //nolint:gosec // G124: the examples are on http, on loopback
		Name: GuestCookie, Value: rand.Text(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// UserID returns the user id of a browser, "" for one without a cookie. It is
// shown to the gateway, so the cookie cannot be found from it.
func UserID(cookie string) string {
	if cookie == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(cookie))
	return "guest-" + hex.EncodeToString(sum[:8])
}
