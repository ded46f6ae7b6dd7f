package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// scalar accepts a JSON string or number, because the signed samples send both
// for amounts and counts (PingPong v4, section 7.1).
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*s = scalar(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	*s = scalar(number)
	return nil
}

// checker keeps the first problem that it finds in a request.
type checker struct{ problem string }

func (c *checker) fail(format string, args ...any) {
	if c.problem == "" {
		c.problem = fmt.Sprintf(format, args...)
	}
}

// read decodes bizContent.
func (c *checker) read(biz []byte, into any) {
	if err := json.Unmarshal(biz, into); err != nil {
		c.fail("bizContent: %v", err)
	}
}

// required wants 1 to most characters.
func (c *checker) required(name, value string, most int) {
	if strings.TrimSpace(value) == "" {
		c.fail("%s is missing", name)
	}
	c.optional(name, value, most)
}

func (c *checker) optional(name, value string, most int) {
	if utf8.RuneCountInString(value) > most {
		c.fail("%s is longer than %d characters", name, most)
	}
}

func (c *checker) exactly(name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.fail("%s must be one of %s", name, strings.Join(allowed, ", "))
	}
}

func (c *checker) webURL(name, value string) {
	c.required(name, value, 255)
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		c.fail("%s must be a full http or https URL", name)
	}
}

// notifyURL follows PingPong v4, section 6, except that private and loopback
// addresses pass: tests live there.
func (c *checker) notifyURL(name, value string) {
	c.webURL(name, value)
	if strings.Contains(value, "?") {
		c.fail("%s must not have a query", name)
	}
}

func (c *checker) ip(name, value string) {
	if _, err := netip.ParseAddr(value); err != nil {
		c.fail("%s must be an IP address", name)
	}
}

// refused returns the answer for a request with a problem.
func (c *checker) refused() (answer, bool) {
	return refuse(codeInvalidParameter, c.problem), c.problem != ""
}
