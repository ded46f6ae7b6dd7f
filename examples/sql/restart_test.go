package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn, file string) {
		s := newShopfront(t, dsn, file)
		mia := s.visit("Mia Ünal")
		mia.agree(mia.startConnecting("GCash"))
		mia.wants("active", func() string { return mia.wallet("GCash") })
		tea := mia.buy("tea")
		mia.wants("paid", func() string { return mia.order(tea) })
		undecided := mia.startConnecting("DANA")
		agreed := mia.startConnecting("Boost")
		oldForm := buyForm(mia.get("/?wallet=GCash"), "notebook")
		mia.agree(agreed)
		mug := mia.buy("mug")
		require.Equal(t, "paid", mia.order(mug), "the answer has told")
		require.Equal(t, "pending", mia.wallet("Boost"), "agreed, and not yet notified")

		s.kill()
		s.start()
		require.Contains(t, mia.get("/"), ">Mia Ünal<")
		require.Equal(t, "paid", mia.order(tea))
		require.Equal(t, "active", mia.wallet("GCash"))
		require.Contains(t, mia.get("/wallets"), "GCash was connected")
		mia.wants("paid", func() string { return mia.order(mug) })
		mia.wants("active", func() string { return mia.wallet("Boost") })
		notebook := mia.press(oldForm)
		mia.wants("paid", func() string { return mia.order(notebook) })
		require.Equal(t, "pending", mia.wallet("DANA"))
		mia.agree(undecided)
		mia.wants("active", func() string { return mia.wallet("DANA") })
		mia.send(s.url+"/orders/refund", url.Values{"order": {tea}})
		require.Equal(t, "refunded", mia.order(tea), "the answer has told")

		s.interrupt()
		s.start()
		mia.wants("refunded", func() string { return mia.order(tea) })
		require.Equal(t, "paid", mia.order(mug))
		umbrella := mia.buy("umbrella")
		mia.wants("paid", func() string { return mia.order(umbrella) })
		require.Contains(t, s.visit("mia ünal").get("/orders"), umbrella, "the same name finds the same orders")
		id := attribute(mia.get("/wallets"), `type="hidden" name="id"`, "value")
		mia.send(s.url+"/wallet/unbind", url.Values{"id": {id}, "returnTo": {"/wallets"}})
		s.interrupt()

		books := s.books()
		require.Len(t, books.Charges, 4)
		require.Len(t, books.Refunds, 1)
		require.Empty(t, books.ChargedTwice())
		db, err := openDatabase(t.Context(), dsn, file)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		requireHookOnce(t, db, 4)
		requireNoSecrets(t, s, db, 3)
	})
}

// requireHookOnce checks that each thing was written once: three wallets were
// connected and one of them disconnected.
func requireHookOnce(t *testing.T, db *database, want int) {
	t.Helper()
	var all, different int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*), COUNT(DISTINCT item) FROM shop_news").Scan(&all, &different))
	require.Equal(t, want, all)
	require.Equal(t, want, different)
}

// requireNoSecrets looks for the tokens of the simulator's books in the tables,
// in the database's files and in the log.
func requireNoSecrets(t *testing.T, s *shopfront, db *database, live int) {
	t.Helper()
	text, tables := dump(t, db)
	require.Equal(t, 7, tables)
	require.Contains(t, text, "cgs1.k1.", "sealed tokens are in it")
	places := map[string]string{"the tables": text, "the log": s.log.String()}
	beside := strings.TrimSuffix(s.file, ".db")
	for _, suffix := range []string{".db", ".db-wal"} {
		raw, err := os.ReadFile(beside + suffix)
		if !os.IsNotExist(err) {
			require.NoError(t, err)
			places[suffix] = string(raw)
		}
	}
	tokens := 0
	for _, a := range s.books().Agreements {
		for _, secret := range []string{a.Token, a.Reference, a.LoginID, gatewaytest.DefaultSalt} {
			for place, text := range places {
				require.False(t, secret != "" && strings.Contains(text, secret), "%s of %s in %s", secret, a.Wallet, place)
			}
		}
		if a.Token != "" {
			tokens++
		}
	}
	require.Equal(t, live, tokens)
	for _, suffix := range []string{".keys", ".simulator.json"} {
		info, err := os.Stat(beside + suffix)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	left, err := filepath.Glob(beside + "*.tmp")
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOtherKeysAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	s := newShopfront(t, "", filepath.Join(t.TempDir(), "shop.db"))
	ben := s.visit("Ben")
	ben.agree(ben.startConnecting("GCash"))
	ben.wants("active", func() string { return ben.wallet("GCash") })
	s.interrupt()
	keys := strings.TrimSuffix(s.file, ".db") + ".keys"
	require.NoError(t, os.Remove(keys))
	err := run(t.Context(), []string{"-addr", s.addr, "-gateway-addr", s.gateway, "-db", s.file}, s.log)
	require.ErrorContains(t, err, "the keys do not open the tokens in the database")
}

// stage orders what a page may show of an order: it never goes back.
var stage = map[string]int{"waiting": 1, "declined": 2, "paid": 3, "refunding": 4, "refunded": 5}

// TestKilledAgainAndAgain kills the shop at any moment while five people buy.
// Whatever a page has shown must be so afterwards, or further.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn, file string) {
		s := newShopfront(t, dsn, file)
		var crowd []*person
		for _, name := range []string{"Ann", "Bo", "Cy", "Di", "Ed"} {
			p := s.visit(name)
			p.agree(p.startConnecting("GCash"))
			crowd = append(crowd, p)
		}
		for _, p := range crowd {
			p.wants("active", func() string { return p.wallet("GCash") })
		}
		seen := make([]map[string]string, len(crowd)) // the last state of each order
		for i := range seen {
			seen[i] = make(map[string]string)
		}
		for round := range 6 {
			ctx, stop := context.WithCancel(t.Context())
			var busy sync.WaitGroup
			for i, p := range crowd {
				busy.Go(func() { p.shop(ctx, seen[i]) })
			}
			time.Sleep(time.Duration(250+round*431%900) * time.Millisecond) // some moment
			s.kill()
			stop()
			busy.Wait()
			s.start()
			for i, p := range crowd {
				now := ordersIn(p.get("/orders"))
				for id, state := range seen[i] {
					require.GreaterOrEqual(t, stage[now[id]], stage[state], "%s was %s and is %s", id, state, now[id])
				}
			}
		}
		total, paid, refunded := 0, 0, 0
		for i, p := range crowd {
			p.wants("settled", func() string {
				for id, state := range ordersIn(p.get("/orders")) {
					if state == "waiting" || state == "refunding" {
						return id + " " + state
					}
				}
				return "settled"
			})
			now := ordersIn(p.get("/orders"))
			total += len(now)
			for id, state := range now {
				require.GreaterOrEqual(t, stage[state], stage[seen[i][id]])
				switch state {
				case "refunded":
					refunded++
					fallthrough
				case "paid":
					paid++
				}
			}
			last := p.buy("tea")
			p.wants("paid", func() string { return p.order(last) })
			paid++
		}
		s.interrupt()
		books := s.books()
		require.Empty(t, books.ChargedTwice())
		charged := 0
		for _, c := range books.Charges {
			if c.Status == gatewaytest.StatusSuccess {
				charged++
			}
		}
		require.Equal(t, paid, charged, "every charge is a paid order and the other way round")
		require.Len(t, books.Refunds, refunded)
		require.Greater(t, total, 10)
		db, err := openDatabase(t.Context(), dsn, file)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		requireHookOnce(t, db, len(crowd))
		requireNoSecrets(t, s, db, len(crowd))
		t.Logf("%d orders, %d paid, %d of them refunded", total, paid, refunded)
	})
}

// shop buys and now and then asks for money back, until the shop is gone.
func (p *person) shop(ctx context.Context, seen map[string]string) {
	for ctx.Err() == nil {
		_, home, err := p.try(ctx, p.url+"/?wallet=GCash", nil)
		if err != nil {
			return
		}
		if _, body, err := p.try(ctx, p.url+"/buy", buyForm(home, "tea")); err == nil {
			for id, state := range ordersIn(body) {
				seen[id] = state
			}
		}
		for id, state := range seen {
			if state == "paid" {
				if _, body, err := p.try(ctx, p.url+"/orders/refund", url.Values{"order": {id}}); err == nil {
					seen[id] = ordersIn(body)[id]
				}
				break
			}
		}
	}
}

// ordersIn returns the states that the orders page shows.
func ordersIn(body string) map[string]string {
	found := make(map[string]string)
	for _, match := range regexp.MustCompile(`data-order="([^"]+)" data-state="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		found[match[1]] = match[2]
	}
	return found
}
