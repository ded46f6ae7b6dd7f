package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	sessionCookie = "session"
	sessionLife   = 12 * time.Hour
	maxName       = 40
)

// session is one signed-in browser.
type session struct {
	ID     string
	UserID string // what the gateway knows as merchantUserId
	Name   string
	ends   time.Time
}

// sessions is a login without passwords: for a demonstration on one's own
// machine only. Put your own login in its place.
type sessions struct {
	secure bool // cookies over https only

	mu      sync.Mutex
	byID    map[string]session
	userIDs map[string]string // by name
}

func newSessions(secure bool) *sessions {
	return &sessions{secure: secure, byID: make(map[string]session), userIDs: make(map[string]string)}
}

// validName reports whether name can be shown and typed again.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxName &&
		strings.IndexFunc(name, unicode.IsControl) < 0
}

// start signs a browser in. The session's id is always a new one: an id that
// somebody else planted in the browser before must not become a signed-in one.
func (s *sessions) start(w http.ResponseWriter, r *http.Request, name string) {
	now := time.Now()
	s.mu.Lock()
	if old, err := r.Cookie(sessionCookie); err == nil {
		delete(s.byID, old.Value)
	}
	maps.DeleteFunc(s.byID, func(_ string, each session) bool { return now.After(each.ends) })
	account := strings.ToLower(name)
	if s.userIDs[account] == "" {
		s.userIDs[account] = fmt.Sprintf("user-%d", len(s.userIDs)+1)
	}
	started := session{ID: rand.Text(), UserID: s.userIDs[account], Name: name, ends: now.Add(sessionLife)}
	s.byID[started.ID] = started
	s.mu.Unlock()
	s.setCookie(w, started.ID, int(sessionLife.Seconds()))
}

func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if old, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		delete(s.byID, old.Value)
		s.mu.Unlock()
	}
	s.setCookie(w, "", -1)
}

// setCookie uses SameSite=Lax and not Strict, so that the browser is still
// signed in when the wallet sends it back.
func (s *sessions) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure follows the shop's own scheme
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure,
	})
}

func (s *sessions) find(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[cookie.Value]
	return found, ok && time.Now().Before(found.ends)
}

// userID tells the kit who is signed in.
func (s *shop) userID(r *http.Request) (string, error) {
	found, _ := s.sessions.find(r)
	return found.UserID, nil
}

type sessionKey struct{}

// signedIn lets only signed-in people through.
func (s *shop) signedIn(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := s.sessions.find(r)
		if !ok {
			target := "/login?m=sign-in"
			if r.URL.Path == "/" {
				target = "/login" // a first visit needs no reproach
			}
			http.Redirect(w, r, target, http.StatusSeeOther)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, found)))
	})
}

// sessionOf returns what signedIn found.
func sessionOf(r *http.Request) session {
	found, _ := r.Context().Value(sessionKey{}).(session)
	return found
}

func (s *shop) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.sessions.find(r); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "login", page{Title: "Sign in"})
}

func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.PostFormValue("name"))
	if !validName(name) {
		s.show(w, r, http.StatusUnprocessableEntity, "login", page{
			Title: "Sign in", Error: fmt.Sprintf("Type a name of 1 to %d characters.", maxName),
		})
		return
	}
	s.sessions.start(w, r, name)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *shop) logout(w http.ResponseWriter, r *http.Request) {
	s.sessions.end(w, r)
	http.Redirect(w, r, "/login?m=signed-out", http.StatusSeeOther)
}
