package cornershop

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	sessionCookie = "session"
	sessionLife   = 12 * time.Hour
	maxName       = 40
)

// Session is one signed-in browser.
type Session struct {
	ID      string // the cookie: a secret of the browser's
	UserID  string // what the gateway knows as merchantUserId
	Name    string
	FormKey string // signs the order numbers in the session's forms
	Ends    time.Time
}

// Sessions is a login without passwords: for a demonstration on one's own
// machine only. Put your own login in its place.
type Sessions interface {
	// UserID returns the user id that belongs to a name, in whatever case. A new
	// name gets a new one.
	UserID(ctx context.Context, name string) (string, error)
	// Start keeps a session.
	Start(ctx context.Context, s Session) error
	// Find returns the session with this ID; false means that there is none or
	// that it has ended.
	Find(ctx context.Context, id string) (Session, bool, error)
	// End forgets a session, if there is one.
	End(ctx context.Context, id string) error
}

// validName reports whether name can be shown and typed again.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxName &&
		strings.IndexFunc(name, unicode.IsControl) < 0
}

// startSession signs a browser in. The session's id is always a new one: an id
// that somebody else planted in the browser before must not become a signed-in
// one.
func (s *Shop) startSession(w http.ResponseWriter, r *http.Request, name string) error {
	userID, err := s.sessions.UserID(r.Context(), name)
	if err != nil {
		return err
	}
	if old, err := r.Cookie(sessionCookie); err == nil {
		if err := s.sessions.End(r.Context(), old.Value); err != nil {
			return err
		}
	}
	started := Session{
		ID: rand.Text(), UserID: userID, Name: name, FormKey: rand.Text(), Ends: time.Now().Add(sessionLife),
	}
	if err := s.sessions.Start(r.Context(), started); err != nil {
		return err
	}
	s.setCookie(w, started.ID, int(sessionLife.Seconds()))
	return nil
}

// setCookie uses SameSite=Lax and not Strict, so that the browser is still
// signed in when the wallet sends it back.
func (s *Shop) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure follows the shop's own scheme
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.baseURL, "https://"),
	})
}

// findSession returns the session of the request's cookie, if it has one.
func (s *Shop) findSession(r *http.Request) (Session, bool, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return Session{}, false, nil
	}
	return s.sessions.Find(r.Context(), cookie.Value)
}

// userID is Config.User: it tells the kit who is signed in.
func (s *Shop) userID(r *http.Request) (string, error) {
	found, ok, err := s.findSession(r)
	if !ok {
		return "", err
	}
	return found.UserID, err
}

type sessionKey struct{}

// signedIn lets only signed-in people through.
func (s *Shop) signedIn(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok, err := s.findSession(r)
		switch {
		case err != nil:
			s.broken(w, r, err)
		case ok:
			next(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, found)))
		case r.URL.Path == "/":
			http.Redirect(w, r, "/login", http.StatusSeeOther) // a first visit needs no reproach
		default:
			http.Redirect(w, r, "/login?m=sign-in", http.StatusSeeOther)
		}
	})
}

// sessionOf returns what signedIn found.
func sessionOf(r *http.Request) Session {
	found, _ := r.Context().Value(sessionKey{}).(Session)
	return found
}

// visitor is who looks at a page, signed in or not; the zero Session is
// nobody, or not known at the moment.
func (s *Shop) visitor(r *http.Request) Session {
	if found := sessionOf(r); found.ID != "" {
		return found
	}
	found, ok, err := s.findSession(r)
	s.check("session", err)
	if !ok || err != nil {
		return Session{}
	}
	return found
}

func (s *Shop) loginPage(w http.ResponseWriter, r *http.Request) {
	if s.visitor(r).ID != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "login", page{Title: "Sign in"})
}

func (s *Shop) login(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.PostFormValue("name"))
	if !validName(name) {
		s.show(w, r, http.StatusUnprocessableEntity, "login", page{
			Title: "Sign in", Error: fmt.Sprintf("Type a name of 1 to %d characters.", maxName),
		})
		return
	}
	if err := s.startSession(w, r, name); err != nil {
		s.broken(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Shop) logout(w http.ResponseWriter, r *http.Request) {
	if old, err := r.Cookie(sessionCookie); err == nil {
		if err := s.sessions.End(r.Context(), old.Value); err != nil {
			s.broken(w, r, err)
			return
		}
	}
	s.setCookie(w, "", -1)
	http.Redirect(w, r, "/login?m=signed-out", http.StatusSeeOther)
}
