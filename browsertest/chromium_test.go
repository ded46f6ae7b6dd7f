package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// findChromium skips the test where there is none; in CI that is a failure.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	const missing = "Chromium is not installed (Debian: apt-get install chromium)"
	if os.Getenv("CI") == "true" {
		require.FailNow(t, missing)
	}
	t.Skip(missing)
	return ""
}

// browser is one Chromium for all people.
type browser struct{ ctx context.Context }

// startChromium starts it with a profile of its own that is thrown away.
func startChromium(t *testing.T, path string) *browser {
	t.Helper()
	ctx, release := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.Flag("headless", "new"),
		chromedp.Flag("no-sandbox", true),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	)
	t.Cleanup(release)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "Chromium does not start")
	return &browser{ctx}
}

// screen is what a person holds in hand or sits at.
type screen struct {
	name          string
	width, height int64
	scale         float64
	touch         bool
	agent         string // empty means Chromium's own
}

var (
	phone = screen{"phone", 390, 844, 2, true,
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"}
	desktop = screen{"desktop", 1280, 900, 1, false, ""}
)

// person is somebody with a browser of their own: cookies are not shared.
type person struct {
	t      *testing.T
	shop   *shop
	screen screen
	*tab

	album string // starts the names of the screenshots
	shots int
}

// tab is a page that is open, and what was seen of it from outside.
type tab struct {
	ctx   context.Context
	watch *watch
}

// arrive opens a browser for somebody.
func (s *street) arrive(t *testing.T, album string, on screen) *person {
	t.Helper()
	seen := new(watch)
	ctx, cancel := chromedp.NewContext(s.browser.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(seen.event))
	t.Cleanup(cancel)
	p := &person{t: t, shop: s.shop, screen: on, tab: &tab{ctx, seen}, album: album + "-" + on.name}
	t.Cleanup(func() {
		if t.Failed() {
			p.photograph("failed")
		}
	})
	p.prepare()
	return p
}

// prepare makes the tab one of the person's screen.
func (p *person) prepare() {
	p.t.Helper()
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(p.screen.scale), chromedp.EmulatePortrait}
	if p.screen.touch {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	// The first call must not have a deadline: it would become the tab's.
	require.NoError(p.t, chromedp.Do(p.ctx, chromedp.EmulateViewport(p.screen.width, p.screen.height, options...)))
	if p.screen.agent != "" {
		_, err := chromedp.Call(p.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: p.screen.agent})
		require.NoError(p.t, err)
	}
}

// watch collects what no page may do: talk to another machine, or complain in
// the console, as a violated Content-Security-Policy does.
type watch struct {
	mu       sync.Mutex
	requests int
	problems []string
	expected []string // parts of problems that the test wants to see
	met      []string // problems that were expected
}

func (w *watch) event(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		w.request(e.Request.URL)
	case *network.EventWebSocketCreated:
		w.request(e.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			w.report(fmt.Sprintf("log: %s (%s)", e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var text []string
			for _, each := range e.Args {
				text = append(text, string(each.Value)+each.Description)
			}
			w.report("console: " + strings.Join(text, " "))
		}
	case *runtime.EventExceptionThrown:
		w.report("exception: " + e.ExceptionDetails.Text)
	}
}

func (w *watch) request(address string) {
	u, err := url.Parse(address)
	stays := err == nil && (u.Hostname() == "127.0.0.1" || u.Scheme == "data" || u.Scheme == "about")
	w.mu.Lock()
	w.requests++
	w.mu.Unlock()
	if !stays {
		w.report("request beyond loopback: " + address)
	}
}

func (w *watch) report(problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.ContainsFunc(w.expected, func(part string) bool { return strings.Contains(problem, part) }) {
		w.met = append(w.met, problem)
		return
	}
	w.problems = append(w.problems, problem)
}

// expect says which complaint is part of the test.
func (w *watch) expect(part string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, part)
}

// found returns the problems, the complaints that were expected, and how many
// requests there were.
func (w *watch) found() (problems, met []string, requests int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.problems), slices.Clone(w.met), w.requests
}
