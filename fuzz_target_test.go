package codegrant

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

const shopPage = "https://shop.example/wallet/return/1"

// destination is where a browser on a page of the shop goes.
type destination struct {
	scheme, user, host string
	here               bool // the address names no host of its own
	nowhere            bool // no address at all: the browser stays where it is
}

var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// browserGoes reads target as the WHATWG URL standard tells browsers to, on a
// page whose scheme is https: controls and blanks at the ends and tabs and line
// ends anywhere are dropped, '\' is '/', any number of slashes leads to a host,
// and "https:x" is a path here while "http:x" is a host.
func browserGoes(target string) destination {
	target = strings.TrimFunc(target, func(r rune) bool { return r <= ' ' })
	target = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(target)
	d := destination{scheme: "https"}
	rest := target
	if scheme := schemeForm.FindString(target); scheme != "" {
		d.scheme, rest = strings.ToLower(strings.TrimSuffix(scheme, ":")), target[len(scheme):]
		switch d.scheme {
		case "https":
			d.here = !strings.HasPrefix(rest, "//")
		case "http", "ws", "wss", "ftp", "file":
		default:
			return d // javascript:, data: and their like
		}
	} else {
		d.here = len(rest) < 2 || strings.Trim(rest[:2], `/\`) != ""
	}
	if d.here {
		return d
	}
	authority := strings.TrimLeft(rest, `/\`)
	if end := strings.IndexAny(authority, `/\?#`); end >= 0 {
		authority = authority[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		d.user, authority = authority[:at], authority[at+1:]
	}
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
	}
	if inside, bracketed := strings.CutPrefix(host, "["); bracketed {
		inside, closed := strings.CutSuffix(inside, "]")
		ip, err := netip.ParseAddr(inside)
		d.host = strings.ToLower(inside)
		d.nowhere = err != nil || !closed || ip.Zone() != "" || !ip.Is6()
	} else if unescaped, err := url.PathUnescape(host); err == nil {
		d.host = strings.ToLower(unescaped)
		d.nowhere = strings.ContainsAny(unescaped, "\x00\x7f #/:<>?@[\\]^|%")
	} else {
		d.nowhere = true
	}
	number, err := strconv.Atoi("0" + port)
	d.nowhere = d.nowhere || d.host == "" || err != nil || number > 65535
	return d
}

// FuzzReturnTarget: a path that is accepted as a return target stays on the
// site in every browser, by a link as by a redirect; an absolute target goes,
// by https, to the host that it shows; and only what is on the list is gone to.
func FuzzReturnTarget(f *testing.F) {
	for _, target := range []string{
		"/", "/account", "/a?b=c#d", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "///evil.example",
		"https://shop.example/x", "https://evil.example", "http://evil.example", "http://localhost:8080/", "https:evil.example", "https:/evil.example", "https:///evil.example",
		"javascript:alert(1)", "data:text/html,x", "https://shop.example@evil.example", "https://shop.example\\@evil.example", "/..//evil.example", "/.//evil.example",
		"/%2f/evil.example", "/%5cevil.example", " //evil.example", "\x00//evil.example", "/\x00/evil.example", "https://[::1]/", "https://:443/", "HTTPS://SHOP.example", "?x", "#x", "", "x", "/é",
		"https://shop.example:80:80/", "https://%65vil.example/", "/;//evil.example", "https://evil。example/", "/\u2028/evil.example", "https://shop.example?x", "//", "/?//evil.example", "https://", "/#\x00", "/#\x1b[2J", "https://shop.example/#\x7f",
		"http:evil.example", "http:/evil.example", "http://[::1]:8080/", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://127.1/", "https://shop.example#@evil.example", "https://shop.example%2f@evil.example/", "/a/../..//evil.example", "/./\\/evil.example", "/\r\nLocation: //evil.example", "/a\"><script>", "https://shop.example%00.evil.example/", "https://]", "https://[::1", "https://[fe80::1%25eth0]/", "https://shop.example:99999/",
	} {
		f.Add(target, "/account", target)
		f.Add("/account", target, target+"/")
	}
	f.Fuzz(func(t *testing.T, one, two, asked string) {
		var allowed []string
		for _, target := range []string{one, two} {
			if validTarget(target) {
				requireSafeTarget(t, target)
				allowed = append(allowed, target)
			}
		}
		kit := &Kit{cfg: Config{ReturnTo: allowed}.withDefaults()}
		for _, asked := range []string{asked, one, two, ""} {
			target, ok := kit.returnTarget(asked)
			require.Equal(t, asked == "" || slices.Contains(kit.cfg.ReturnTo, asked), ok)
			switch {
			case !ok:
				require.Empty(t, target)
			case asked == "":
				require.Equal(t, kit.cfg.ReturnTo[0], target)
			default:
				require.Equal(t, asked, target, "matched to the letter")
			}
		}
	})
}

func requireSafeTarget(t *testing.T, target string) {
	require.False(t, strings.ContainsAny(target, `\ <>"`) || strings.IndexFunc(target, unicode.IsControl) >= 0)

	w := httptest.NewRecorder()
	http.Redirect(w, httptest.NewRequest(http.MethodPost, shopPage, nil), target, http.StatusSeeOther)
	for _, seen := range []string{target, w.Header().Get("Location")} {
		goes := browserGoes(seen)
		require.Empty(t, goes.user)
		if strings.HasPrefix(target, "/") {
			require.Equal(t, destination{scheme: "https", here: true}, goes, "a path that leaves the site")
			continue
		}
		require.False(t, goes.here)
		if goes.nowhere {
			continue
		}
		if goes.scheme == "http" && goes.host != "localhost" {
			ip, err := netip.ParseAddr(goes.host)
			require.NoError(t, err)
			require.True(t, ip.IsLoopback(), "http that leaves the machine")
		} else if goes.scheme != "http" {
			require.Equal(t, "https", goes.scheme)
		}
	}
	u, err := url.Parse(target)
	require.NoError(t, err)
	require.Nil(t, u.User)
	require.Equal(t, strings.HasPrefix(target, "/"), u.Hostname() == "", "a path, or an address with a host")
	if goes := browserGoes(target); !goes.here && !goes.nowhere {
		require.Equal(t, strings.ToLower(u.Hostname()), goes.host, "another host than Go sees")
	}
}
