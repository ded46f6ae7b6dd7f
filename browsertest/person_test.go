package browsertest

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

const (
	patience = 20 * time.Second      // a refusal shows after 5 s and a poll
	glance   = 50 * time.Millisecond // between two looks at a page
)

// js is a value as JavaScript writes it.
func js(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// ask asks the page something, again if the page was just being left.
func ask[T any](p *person, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	looks := time.NewTicker(glance)
	defer looks.Stop()
	for {
		answer, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
		if err == nil {
			return answer
		}
		select {
		case <-looks.C:
		case <-ctx.Done():
			require.NoError(p.t, err, expression)
		}
	}
}

// wait looks at the page until expression, which tells what is missing, tells
// nothing any more.
func (p *person) wait(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	looks := time.NewTicker(glance)
	defer looks.Stop()
	for {
		missing := ask[string](p, expression)
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			require.Fail(p.t, "waited in vain", "%s\nat %s, which reads:\n%s", missing, p.at(), p.text("body"))
		}
		<-looks.C
	}
}

// sees waits for a visible element.
func (p *person) sees(selector string) {
	p.t.Helper()
	p.wait(`document.querySelector(` + js(selector) + `)?.checkVisibility() ? "" : "no " + ` + js(selector))
}

// reads waits for an element with these words in it.
func (p *person) reads(selector, words string) {
	p.t.Helper()
	p.wait(`(e => !e ? "no " + ` + js(selector) + ` : e.textContent.includes(` + js(words) +
		`) ? "" : "it says: " + e.textContent)(document.querySelector(` + js(selector) + `))`)
}

// arrives waits until the address starts like this and the page is complete.
func (p *person) arrives(prefix string) {
	p.t.Helper()
	p.wait(`location.href.startsWith(` + js(prefix) + `) && document.readyState === "complete" ? "" : "not at " + ` + js(prefix))
}

func (p *person) text(selector string) string {
	p.t.Helper()
	return ask[string](p, `document.querySelector(`+js(selector)+`)?.innerText ?? ""`)
}

func (p *person) count(selector string) int {
	p.t.Helper()
	return ask[int](p, `document.querySelectorAll(`+js(selector)+`).length`)
}

// attribute returns "" when there is none.
func (p *person) attribute(selector, name string) string {
	p.t.Helper()
	return ask[string](p, `document.querySelector(`+js(selector)+`)?.getAttribute(`+js(name)+`) ?? ""`)
}

func (p *person) at() string {
	p.t.Helper()
	return ask[string](p, `location.href`)
}

// visit types an address.
func (p *person) visit(address string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, chromedp.Navigate(address)))
}

// press taps or clicks in the middle of an element, once it is really there:
// nothing covers it, and the page holds still.
func (p *person) press(selector string) {
	p.t.Helper()
	middle := `(() => {
		const e = document.querySelector(` + js(selector) + `);
		if (document.readyState !== "complete" || !e?.checkVisibility() || e.disabled) return null;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		return e.contains(document.elementFromPoint(x, y)) ? {x, y} : null;
	})()`
	p.wait(`(` + middle + `) ? "" : "nothing to press: " + ` + js(selector))
	point := ask[struct{ X, Y float64 }](p, middle)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if !p.screen.touch {
		require.NoError(p.t, chromedp.Do(ctx, chromedp.MouseClickXY(point.X, point.Y)))
		return
	}
	_, err := chromedp.Call(ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{
		Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{{X: point.X, Y: point.Y}},
	})
	require.NoError(p.t, err)
	_, err = chromedp.Call(ctx, input.DispatchTouchEvent, input.DispatchTouchEventParams{
		Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{},
	})
	require.NoError(p.t, err)
}

// types writes into a field, key by key.
func (p *person) types(selector, text string) {
	p.t.Helper()
	p.press(selector)
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS(selector), text)))
}

// opens presses a link that opens a new tab and looks at that one. The function
// returned closes it and goes back.
func (p *person) opens(selector string) (back func()) {
	p.t.Helper()
	mine := chromedp.FromContext(p.ctx).Target.TargetID // others open tabs in this browser too
	opened := chromedp.WaitNewTarget(p.ctx, func(info *target.Info) bool {
		return info.OpenerID == mine && strings.HasPrefix(info.URL, "http")
	})
	p.press(selector)
	var id target.ID
	select {
	case id = <-opened:
	case <-time.After(patience):
		require.Fail(p.t, "no new tab opened", selector)
	}
	first := p.tab
	seen := new(watch)
	ctx, cancel := chromedp.NewContext(first.ctx, chromedp.WithTargetID(id), chromedp.WithListener(seen.event))
	p.tab = &tab{ctx, seen}
	p.prepare()
	return func() {
		p.t.Helper()
		p.calm()
		cancel()
		p.tab = first
		_, err := chromedp.Call(p.ctx, page.BringToFront, struct{}{})
		require.NoError(p.t, err)
	}
}
