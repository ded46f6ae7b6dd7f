package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	sessionCookie = "session"
	sessionLength = 12 * time.Hour
)

// validUser is what a user may be called: no dot, which separates the parts of
// the cookie.
var validUser = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// sessions are signed cookies: any instance that has the key knows who is signed
// in, and a restart signs nobody out. It is a login without passwords, for a
// demonstration; put your own in its place.
type sessions struct {
	key    []byte
	secure bool // the shop is on https
}

func newSessions(key string, secure bool) (sessions, error) {
	if len(key) < 16 {
		return sessions{}, errors.New("SHOP_SESSION_KEY is shorter than 16 characters")
	}
	return sessions{key: []byte(key), secure: secure}, nil
}

// start signs a user in.
func (s sessions) start(w http.ResponseWriter, user string, now time.Time) {
	text := user + "." + strconv.FormatInt(now.Add(sessionLength).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure wherever the shop is on https
		Name: sessionCookie, Value: text + "." + s.sign(text), Path: "/", MaxAge: int(sessionLength / time.Second),
		Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// user returns who is signed in, "" for nobody.
func (s sessions) user(r *http.Request, now time.Time) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	cut := strings.LastIndexByte(cookie.Value, '.')
	if cut < 0 || !hmac.Equal([]byte(cookie.Value[cut+1:]), []byte(s.sign(cookie.Value[:cut]))) {
		return ""
	}
	user, ends, _ := strings.Cut(cookie.Value[:cut], ".")
	end, err := strconv.ParseInt(ends, 10, 64)
	if err != nil || now.Unix() >= end {
		return ""
	}
	return user
}

func (s sessions) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
