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

// statusOf is 503 for every code that is not named here.
func statusOf(code codegrant.Code) int {
	switch code {
	case codegrant.ErrUnauthenticated, codegrant.ErrCrossOrigin:
		return http.StatusForbidden
	case codegrant.ErrNotFound, codegrant.ErrDisabled:
		return http.StatusNotFound
	case codegrant.ErrInvalidRequest:
		return http.StatusBadRequest
	case codegrant.ErrTooLarge:
		return http.StatusRequestEntityTooLarge
	case codegrant.ErrMethod:
		return http.StatusMethodNotAllowed
	}
	return http.StatusServiceUnavailable
}

// refuse answers with a page that tells the code and nothing of the cause.
func (v *visit) refuse(err error) {
	code := codeOf(v.r.Context(), err)
	if code != codegrant.ErrNotFound {
		v.logFailure(code, err)
	}
	err = v.write(statusOf(code), "message", page{Title: "Not shown", Content: struct {
		Code      string
		Shortened bool
		MaxText   int
	}{string(code), errors.Is(err, errShortened), maxText}})
	if err != nil {
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

func (v *visit) at(t time.Time) moment { return moment{now: v.now}.Of(t) }

// Of is another time as of the same now.
func (m moment) Of(t time.Time) moment { return moment{t.UTC(), m.now} }

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
