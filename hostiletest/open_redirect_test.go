package hostiletest

import (
	"encoding/json"
	"html"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// lurer makes up addresses that look like an allowed one to somebody.
type lurer struct {
	random  *rand.Rand
	allowed []string
}

const noisy = `/\.:@#?%&;ae20fc` + "\t\n\r\x00\xc2\xa0 "

// next returns a text that is not allowed.
func (l *lurer) next() string {
	for {
		if made := l.make(); made != "" && !slices.Contains(l.allowed, made) {
			return made
		}
	}
}

func (l *lurer) pick(list ...string) string { return list[l.random.IntN(len(list))] }

func (l *lurer) make() string {
	good := l.pick(l.allowed...)
	scheme := l.pick("", "", "https:", "http:", "HTTPS:", "hTtPs:", "javascript:", "JaVaScRiPt:", "data:text/html,", "blob:https:", "vbscript:", "file:",
		"ftp:", "ws:", "view-source:", "about:", "mailto:", "java\tscript:", "\x01javascript:", " https:", "\u00a0https:", "https", "https%3a", ":", "x:")
	slashes := l.pick("", "/", "//", "///", "////", `\`, `\\`, `/\`, `\/`, `//\\`, "/\t/", "/\n/", "/\r\n/", "\t//", "/%09/", "/%2f/", "%2f%2f", "%5c%5c",
		"/./", "/../", "/.//", "/..//", "/%2e%2e//", "/;/", "/ /", "\u2215\u2215", "／／", "/\u200b/", "/\x00/")
	user := l.pick("", "", "", "shop.test@", "shop.test:443@", "@", "a:b@", "shop.test%40", "shop.test%2f@", `shop.test\@`, "shop.test/@", "shop.test#@", "shop.test?@", "[@]@")
	host := l.pick("evil.example", "evil.example", "EVIL.example", "evil.example.", "shop.test.evil.example", "shop.test", "evilshop.test", "evil。example", "ｅvil.example",
		"evil%2eexample", "%65vil.example", "evil.example%00.shop.test", `evil.example\.shop.test`, "evil.example%5c.shop.test", "shop.test;evil.example",
		"2130706433", "0x7f000001", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "xn--shp-9na.test", "shoр.test", "evil.example,shop.test", "", ".", "..", "-")
	port := l.pick("", "", "", ":", ":443", ":80", ":0", ":99999", ":x", ":443:443", "%3a443")
	path := l.pick("", "/", good, "/"+good, `\account`, "/..", "/../account", "/%2e%2e/account", "/account/..", "?", "?x="+url.QueryEscape(good), "#", "#"+good, "#\r\nSet-Cookie: a=b", "#\x00", "?\n",
		"?"+good, "/%0d%0aLocation:%20//evil.example", "\r\nLocation: //evil.example", "\r\nSet-Cookie: a=b", "\n\n<script>alert(1)</script>", "/\u2028", "\t", " ", "\x00", "\x7f", "\xff")
	switch l.random.IntN(8) {
	case 0: // something around an allowed value
		return l.pick("", slashes, scheme, host, user, " ", "\t", "/", ".") + good + l.pick("", path, "."+host, "@"+host, slashes+host, `\..\`+host, "%00", "/", "?", "#", " ", "\n")
	case 1: // an allowed value in another spelling
		return l.pick(strings.ToUpper(good), url.PathEscape(good), url.QueryEscape(good), strings.ReplaceAll(good, "/", `\`), strings.ReplaceAll(good, "/", "//"),
			strings.ReplaceAll(good, "a", "%61"), good[:len(good)-1], good+good, good+","+good, good+"\x00", good+";", good+"%20", "%2f"+good[1:], strings.ReplaceAll(good, "t", "\u0442"))
	case 2: // any of the parts in any order
		parts := []string{scheme, slashes, user, host, port, path, good}
		l.random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		return strings.Join(parts[:1+l.random.IntN(len(parts))], "")
	case 3: // noise
		noise := make([]byte, 1+l.random.IntN(12))
		for i := range noise {
			noise[i] = noisy[l.random.IntN(len(noisy))]
		}
		return string(noise) + l.pick("", host, good)
	case 4, 5, 6: // a plain address with one or two parts that are odd
		plain := []string{"https:", "//", "", l.pick("evil.example", "shop.test"), "", "/"}
		odd := []string{scheme, slashes, user, host, port, path}
		for range 1 + l.random.IntN(2) {
			i := l.random.IntN(len(plain))
			plain[i] = odd[i]
		}
		return strings.Join(plain, "")
	default:
		return scheme + slashes + user + host + port + path
	}
}

// place is where a browser would go.
type place struct {
	scheme, host string
	ok           bool // false: the browser takes it for no address and stays
}

// here is the shop's own site.
var here = place{"https", "shop.test", true}

// follow reads an address as the URL standard tells browsers to, on a page of
// the shop. It is written from the standard's state machine and shares nothing
// with net/url; of IDNA it knows the dots and the wide letters, and a host that
// it cannot tell is taken for another site.
func follow(raw string) place {
	raw = strings.TrimFunc(strings.ToValidUTF8(raw, "\ufffd"), func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(raw)
	scheme, rest := here.scheme, raw
	if name := schemeOf(raw); name != "" {
		scheme, rest = strings.ToLower(name), raw[len(name)+1:]
		if !slices.Contains([]string{"http", "https", "ws", "wss", "ftp"}, scheme) {
			return place{scheme, "", true}
		}
	}
	slashes := len(rest) - len(strings.TrimLeft(rest, `/\`))
	if scheme == here.scheme && slashes < 2 {
		return here // relative to the page
	}
	rest = rest[slashes:]
	if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	host, port := rest, ""
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, ']') {
		host, port = rest[:colon], rest[colon+1:]
	}
	if !strings.HasPrefix(host, "[") {
		if decoded, err := url.PathUnescape(host); err == nil {
			host = decoded
		}
		host = strings.ToLower(strings.Map(func(r rune) rune {
			switch {
			case r == '\u3002' || r == '\uff0e' || r == '\uff61':
				return '.'
			case r > 0xff00 && r < 0xff5f:
				return r - 0xfee0
			}
			return r
		}, host))
		if strings.ContainsAny(host, "#/:<>?@[\\]^|% \x7f") || strings.ContainsFunc(host, func(r rune) bool { return r < ' ' }) {
			return place{}
		}
	}
	if number, err := strconv.ParseUint("0"+port, 10, 16); host == "" || err != nil {
		return place{} // an empty port, and port 0, are none that stops a browser
	} else if port != "" && number == 443 {
		port = ""
	}
	if port != "" {
		host += ":" + port
	}
	return place{scheme, host, true}
}

func schemeOf(raw string) string {
	name, _, found := strings.Cut(raw, ":")
	if !found || name == "" || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz", rune(name[0]|0x20)) ||
		strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return ""
	}
	return name
}

func TestFollowReadsAddressesAsBrowsersDo(t *testing.T) {
	t.Parallel()
	evil := place{"https", "evil.example", true}
	for raw, want := range map[string]place{ // as Chromium does
		"/account": here, "account": here, "": here, "?x": here, "#x": here, "/%2f/evil.example": here, "/.//evil.example": here, "https:account": here,
		"https:/account": here, `\account`: here, "HTTPS://SHOP.test:443/x": here, "https://a@shop.test": here, "//evil.example": evil, `/\evil.example`: evil,
		`\\evil.example`: evil, "/\t/evil.example": evil, " //evil.example": evil, "///evil.example": evil, "https:\\\\evil.example": evil,
		"https://shop.test@evil.example": evil, `https://evil.example\.shop.test`: evil, "//evil%2eexample": evil, "//evil。example": evil,
		"ht\ntps://evil.example": evil, "javascript:alert(1)": {"javascript", "", true}, "java\nscript:alert(1)": {"javascript", "", true},
		"http:evil.example": {"http", "evil.example", true}, "//evil.example:444": {"https", "evil.example:444", true}, "https://": {}, "//a b": {}, "//evil.example:x": {},
	} {
		require.Equal(t, want, follow(raw), "%q", raw)
	}
}

// lures returns n texts, and makes sure that enough of them would lead away.
func lures(t *testing.T, n int, allowed []string) []string {
	t.Helper()
	l := &lurer{rand.New(rand.NewPCG(seeded(t), 1)), allowed}
	list := make([]string, n)
	away := 0
	for i := range list {
		list[i] = l.next()
		if at := follow(list[i]); at.ok && at != here {
			away++
		}
	}
	require.Greater(t, away, n/8, "too few would lead away")
	t.Logf("%d addresses, %d of which lead away", n, away)
	return list
}

// manyLures is how many addresses there are in all by default.
func manyLures() int { return rounds(10000) }

var anchor = regexp.MustCompile(`<a href="([^"]*)"`)

// link is where the page's only link leads.
func link(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := anchor.FindAllStringSubmatch(w.Body.String(), -1)
	require.Len(t, found, 1)
	return html.UnescapeString(found[0][1])
}

func quiet(c *setup) { c.kit.Logger = slog.New(slog.DiscardHandler) }

// TestNoReturnTargetLeavesTheList asks for each address at a door: forms and
// JSON in turn, and the function beneath them. With -times every door gets all.
func TestNoReturnTargetLeavesTheList(t *testing.T) {
	t.Parallel()
	allowed := []string{"/account", "/checkout?step=2", "https://app.shop.test/done"}
	s := newStorefront(t, quiet, func(c *setup) { c.kit.ReturnTo = allowed })
	ended := s.keep(t, codegrant.StatusUnbound)
	before, calls := s.records(t), s.calls.Load()
	for i, target := range lures(t, manyLures(), allowed) {
		form := url.Values{"wallet": {"GCash"}, "id": {ended}, "returnTo": {target}}
		inJSON, err := json.Marshal(map[string]string{"wallet": "GCash", "id": ended, "returnTo": target})
		require.NoError(t, err)
		for door := range 4 {
			if *timesFlag == 1 && door != i%4 {
				continue
			}
			endpoint := []string{"/signup", "/unbind"}[door/2]
			var w *httptest.ResponseRecorder
			if door%2 == 0 {
				w = s.submit(t, "ann", endpoint, form)
			} else {
				w = s.surf(t, "ann", "POST", "/wallet"+endpoint, string(inJSON), "Content-Type", "application/json")
			}
			require.Equal(t, http.StatusBadRequest, w.Code, "%s %q", endpoint, target)
			require.Empty(t, w.Header().Values("Location"))
			require.Equal(t, allowed[0], link(t, w))
		}
		_, err = s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash, ReturnTo: target})
		require.ErrorIs(t, err, codegrant.ErrInvalidRequest, "%q", target)
	}
	require.Equal(t, before, s.records(t))
	require.Equal(t, calls, s.calls.Load())
	for _, target := range append([]string{""}, allowed...) {
		w := s.submit(t, "ann", "/unbind", url.Values{"id": {ended}, "returnTo": {target}})
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Contains(t, allowed, w.Header().Get("Location"))
	}
}

// TestAStoredTargetLeavesNoList: a record may be older than the list, or come
// from another hand.
func TestAStoredTargetLeavesNoList(t *testing.T) {
	t.Parallel()
	allowed := []string{"/account", "/checkout"}
	handed := ""
	s := newStorefront(t, quiet)
	own := newStorefront(t, quiet, func(c *setup) {
		c.kit.Store = s.store.TokenStore
		c.kit.ReturnPage = func(_ http.ResponseWriter, _ *http.Request, token codegrant.Token) { handed = token.ReturnTo }
	})
	id := s.keep(t, codegrant.StatusActive, func(token *codegrant.Token) { token.ReturnTo = "/checkout" })
	require.Equal(t, "/checkout", link(t, s.surf(t, "ann", "GET", "/wallet/return/"+id, "")))
	record := s.get(t, id)
	for _, target := range lures(t, manyLures()/5, allowed) {
		record.ReturnTo, record.Revision = target, record.Revision+1
		require.NoError(t, s.store.TokenStore.Save(t.Context(), record))
		w := s.surf(t, "ann", "GET", "/wallet/return/"+id, "")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "/account", link(t, w), "%q", target)
		own.surf(t, "ann", "GET", "/wallet/return/"+id, "")
		require.Equal(t, "/account", handed, "%q", target)
	}
}

// TestNoWalletPageLeavesTheHosts answers sign-ups with each address as authUrl.
func TestNoWalletPageLeavesTheHosts(t *testing.T) {
	t.Parallel()
	const good = "https://wallet.test/consent?id=1"
	for name, hosts := range map[string][]string{"any host": nil, "one host": {"Wallet.test"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStorefront(t, quiet, func(c *setup) { c.kit.AuthHosts = hosts })
			authURL := good
			s.says = func(string) (string, map[string]string) {
				biz, err := json.Marshal(map[string]string{"token": "REFERENCE", "authUrl": authURL})
				require.NoError(t, err)
				return string(biz), nil
			}
			require.Equal(t, good, s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}}).Header().Get("Location"))
			list := lures(t, manyLures()/5, []string{good})
			followed := 0
			for _, raw := range list {
				authURL = strings.ReplaceAll(raw, "shop.test", "wallet.test")
				w := s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}})
				location := w.Header().Get("Location")
				if location == "" {
					require.GreaterOrEqual(t, w.Code, 400, "%q", authURL)
					continue
				}
				followed++
				require.Equal(t, http.StatusSeeOther, w.Code)
				require.NotContains(t, location, "\n")
				require.NotContains(t, location, "\r")
				at := follow(location)
				if at.ok { // else the browser goes nowhere
					require.Equal(t, "https", at.scheme, "%q", location)
					require.NotEqual(t, here, at, "%q", location)
					if hosts != nil {
						require.Equal(t, "wallet.test", strings.Split(at.host, ":")[0], "%q", location)
					}
				}
			}
			require.Positive(t, followed)
			t.Logf("%d of %d were followed", followed, len(list))
		})
	}
}

// TestAConfiguredTargetIsWhatItSays: New refuses an address, or it is a path of
// this site or an absolute https URL to browsers too.
func TestAConfiguredTargetIsWhatItSays(t *testing.T) {
	t.Parallel()
	s := newStorefront(t, quiet)
	ended := s.keep(t, codegrant.StatusUnbound)
	config := codegrant.Config{
		Store: s.store.TokenStore, BaseURL: baseURL, Logger: slog.New(slog.DiscardHandler),
		Client: s.gateway.Client(), User: func(*http.Request) (string, error) { return "ann", nil },
	}
	list := lures(t, manyLures()/2, []string{"/account", "https://app.shop.test/done"})
	accepted := 0
	for _, target := range list {
		config.ReturnTo = []string{target}
		kit, err := codegrant.New(config)
		if err != nil {
			require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
			continue
		}
		accepted++
		s.handler = http.StripPrefix("/wallet", kit)
		page := s.surf(t, "ann", "GET", "/wallet/return/"+ended, "")
		redirect := s.submit(t, "ann", "/unbind", url.Values{"id": {ended}})
		require.Equal(t, http.StatusSeeOther, redirect.Code)
		for _, at := range []place{follow(target), follow(link(t, page)), follow(redirect.Header().Get("Location"))} {
			absolute := schemeOf(target) != ""
			local := at.scheme == "http" && (strings.HasPrefix(at.host, "localhost") || strings.HasPrefix(at.host, "127.0.0.1") || strings.HasPrefix(at.host, "[::1]"))
			require.True(t, at.ok && ((!absolute && at == here) || (absolute && (at.scheme == "https" || local))), "%q leads to %v", target, at)
		}
	}
	require.Greater(t, accepted, len(list)/100)
	t.Logf("%d of %d were accepted", accepted, len(list))
}
