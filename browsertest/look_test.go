package browsertest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed audit.js
var audit string

// look keeps a screenshot of the page and checks what holds for every page.
func (p *person) look(step string) {
	p.t.Helper()
	p.wait(`document.readyState === "complete" && [...document.images].every(i => i.complete) ? "" : "still loading"`)
	p.photograph(step)
	problems := ask[[]string](p, fmt.Sprintf("(%s)(%d, %t)", audit, p.screen.width, p.screen.touch))
	require.Empty(p.t, problems, "%s: %s", step, p.at())
	p.calm()
}

// calm checks that no page did what none may do.
func (p *person) calm() {
	p.t.Helper()
	problems, _, _ := p.watch.found()
	require.Empty(p.t, problems)
}

const tallest = 4000 // CSS pixels: the ledger has no end

// photograph keeps a screenshot of the whole page.
func (p *person) photograph(step string) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	var shot page.CaptureScreenshotResult
	sizes, err := chromedp.Call(ctx, page.GetLayoutMetrics, struct{}{})
	if err == nil {
		whole, size := true, sizes.CSSContentSize
		shot, err = chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
			CaptureBeyondViewport: &whole,
			Clip:                  &page.Viewport{Width: size.Width, Height: min(size.Height, tallest), Scale: 1},
		})
	}
	if err != nil {
		p.t.Errorf("no screenshot of %s: %v", step, err)
		return
	}
	p.shots++
	name := fmt.Sprintf("%s-%02d-%s.png", p.album, p.shots, step)
	if err := os.WriteFile(filepath.Join(screenshots, name), shot.Data, 0o600); err != nil {
		p.t.Error(err)
	}
}
