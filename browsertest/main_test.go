// Package browsertest drives the example shop in headless Chromium, as a person
// would: it signs up, pays, refunds and disconnects from both sides, on a phone
// and on a desktop, and keeps a screenshot of every step in screenshots/.
//
// It is a module of its own so that nobody who uses the kit downloads a browser
// driver.
package browsertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/codegrant/codegrant"
)

const screenshots = "screenshots"

// street is everything that a test walks through.
type street struct {
	shop    *shop
	browser *browser
}

func TestShopInABrowser(t *testing.T) {
	chromium := findChromium(t)
	s := &street{startShop(t), startChromium(t, chromium)}

	t.Run("main job", func(t *testing.T) {
		buyers := []buyer{
			{wallet: codegrant.GCash, phone: "Mia Santos", desktop: "Ben Reyes", price: "350.00 PHP"},
			{wallet: codegrant.AlipayHK, phone: "Wing Chan", desktop: "Ka Yan Lee", price: "48.00 HKD"},
			{wallet: codegrant.Kakaopay, phone: "Min-jun Kim", desktop: "Seo-yeon Park", price: "8500 KRW"},
		}
		for _, b := range buyers {
			t.Run(string(b.wallet)+" on a phone", func(t *testing.T) { t.Parallel(); s.mainJob(t, b, phone) })
			t.Run(string(b.wallet)+" on a desktop", func(t *testing.T) { t.Parallel(); s.mainJob(t, b, desktop) })
		}
	})
	t.Run("other ways", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"the wallet refuses":                        s.refusal,
			"left undecided, then continued":            s.undecided,
			"without scripts":                           s.withoutScripts,
			"an empty name":                             s.emptyName,
			"a merchant without pages of their own":     s.kitPages,
			"somebody else's return page shows nothing": s.othersReturnPage,
			"somebody else's link to the wallet":        s.othersConsent,
			"other sites cannot frame a page":           s.framing,
			"other sites cannot press a button":         s.forgery,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
		}
	})
	t.Run("the ledger", s.ledger)
	t.Run("lost notifications", s.lost)
	t.Run("Ctrl+C", s.shop.interrupt)
}

// TestMain removes the screenshots that an earlier run left.
func TestMain(m *testing.M) {
	err := os.MkdirAll(screenshots, 0o755)
	old, _ := filepath.Glob(filepath.Join(screenshots, "*.png"))
	for _, each := range old {
		err = errors.Join(err, os.Remove(each))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
