package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
)

//go:embed templates
var files embed.FS

// pages are the templates by name.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	parsed := make(pages)
	for _, name := range []string{"overview", "unsettled", "matches", "user", "record", "message"} {
		t, err := template.ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		parsed[name] = t
	}
	return parsed, nil
}

func secureHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex")
}

// page is what every page has. show fills the fields below the line.
type page struct {
	Title   string
	Nav     string // which link of the navigation is current
	Content any

	Staff    string // empty for those who may not see anything
	Accounts []string
	Orders   bool
	At       moment
}

func (v *visit) show(name string, p page) error { return v.write(http.StatusOK, name, p) }

func (v *visit) write(status int, name string, p page) error {
	p.Staff, p.Accounts, p.Orders, p.At = v.staff, v.ids, v.cfg.Payments != nil, v.at(v.now)
	var out bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&out, "layout", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(out.Bytes())
	return nil
}

func (v *visit) style(context.Context) error {
	css, err := files.ReadFile("templates/style.css")
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = v.w.Write(css)
	return nil
}

// problem is what the page of an error says.
type problem struct {
	Status           int
	Code, Head, Text string
}

// refuse answers with a page that tells the code and nothing of the cause.
func (v *visit) refuse(err error) {
	code := codeOf(v.r.Context(), err)
	p := problem{Code: string(code)}
	var none *nothing
	switch {
	case code == codegrant.ErrUnauthenticated:
		p.Status, p.Head, p.Text = http.StatusForbidden, "Not for you", "Sign in as a member of staff who may see this page."
	case code == codegrant.ErrCrossOrigin:
		p.Status, p.Head, p.Text = http.StatusForbidden, "Not from this site", "Open the page itself and press the button there."
	case errors.As(err, &none):
		p.Status, p.Head, p.Text = http.StatusNotFound, "Nothing found", "There is no user, sign-up, order or token of that name in the accounts that are shown here."
		if none.shortened {
			p.Text += " A shortened fingerprint cannot be looked up: use all 64 digits, or the number of the sign-up that stands beside it in the log."
		}
	case code == codegrant.ErrNotFound:
		p.Status, p.Head, p.Text = http.StatusNotFound, "Nothing here", "There is no such record in the accounts that are shown here."
	case code == codegrant.ErrInvalidRequest:
		p.Status, p.Head, p.Text = http.StatusBadRequest, "That cannot be looked up", "Type a name or a number, in one line."
	case code == codegrant.ErrTooLarge:
		p.Status, p.Head, p.Text = http.StatusRequestEntityTooLarge, "That is too long", fmt.Sprintf("No name, number or token is longer than %d characters.", maxText)
	case code == codegrant.ErrMethod:
		p.Status, p.Head, p.Text = http.StatusMethodNotAllowed, "Not like this", "Use the links and buttons of these pages."
	case code == codegrant.ErrDisabled:
		p.Status, p.Head, p.Text = http.StatusNotFound, "Switched off", "This is not configured here."
	default:
		p.Status, p.Head, p.Text = http.StatusServiceUnavailable, "It cannot be read at the moment", "Nothing was changed. Try again in a minute; your log has the reason under this code."
	}
	if p.Status != http.StatusNotFound {
		v.logFailure(code, err)
	}
	if err := v.write(p.Status, "message", page{Title: p.Head, Content: p}); err != nil {
		http.Error(v.w, "This page is broken.", http.StatusInternalServerError)
	}
}

// logFailure logs who met what, and never what was searched for.
func (v *visit) logFailure(code codegrant.Code, err error) {
	level := slog.LevelWarn
	switch code {
	case codegrant.ErrStore, codegrant.ErrDeadline, codegrant.ErrAccounts:
		level = slog.LevelError
	}
	v.cfg.Logger.LogAttrs(v.r.Context(), level, "codegrant: refused", slog.String("code", string(code)), slog.String("op", "console"),
		slog.String("staff", v.staff), slog.String("error", err.Error()))
}

// moment is a time as people read it.
type moment struct{ t, now time.Time }

func (v *visit) at(t time.Time) moment { return moment{t.UTC(), v.now} }

// Known is false for the zero time.
func (m moment) Known() bool { return !m.t.IsZero() }

// ISO is for machines.
func (m moment) ISO() string { return m.t.Format(time.RFC3339) }

// UTC is for people.
func (m moment) UTC() string { return m.t.Format("2 Jan 2006, 15:04:05 UTC") }

// Past is false for a time that is still to come.
func (m moment) Past() bool { return !m.t.After(m.now) }

// Ago says how long it is from now, either way.
func (m moment) Ago() string {
	d := m.now.Sub(m.t)
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return "in " + span(-d)
	}
	return span(d) + " ago"
}

// span is d in its largest unit of which there are two.
func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / unit.length; n >= 2 || (n == 1 && unit.length < time.Hour) {
			return fmt.Sprintf("%d %s", n, unit.name)
		}
	}
	return "less than 1 s"
}
