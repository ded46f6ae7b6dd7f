package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// listCase makes a case of one for a ListStore.
func listCase(name, rule string, run func(*trial, codegrant.ListStore)) testCase {
	return testCase{name, rule, func(c *trial) {
		store, ok := c.store.(codegrant.ListStore)
		if !ok {
			c.skip("not a ListStore")
		}
		run(c, store)
	}}
}

func listStoreCases() []testCase {
	return []testCase{
		listCase("List goes by the bytes of ids and returns whole records", listFinds, func(c *trial, store codegrant.ListStore) {
			all := c.listable()
			c.sameRecords("List", c.list(store, c.own, len(all)), all...)
		}),
		listCase("List begins after afterID, stored or not", listFinds, func(c *trial, store codegrant.ListStore) {
			all := c.listable()
			for i, t := range all {
				c.sameRecords("List", c.list(store, t.ID, len(all)-i-1), all[i+1:]...)
			}
			c.sameRecords("List", c.list(store, all[2].ID+"\x01", 1), all[3])
		}),
		listCase("List walks over all records, page by page", listFinds, func(c *trial, store codegrant.ListStore) {
			all := c.listable()
			for _, limit := range []int{1, 2, 5} {
				var walked []codegrant.Token
				for after := c.own; len(walked) < len(all); {
					page := c.list(store, after, min(limit, len(all)-len(walked)))
					if len(page) == 0 {
						break
					}
					walked, after = append(walked, page...), page[len(page)-1].ID
				}
				c.sameRecords(fmt.Sprintf("List with limit %d, repeated,", limit), walked, all...)
			}
		}),
		listCase("List begins with the first record for the empty id", listFinds, func(c *trial, store codegrant.ListStore) {
			own := len(c.listable())
			page := c.list(store, "", own)
			if len(page) != own {
				c.fatalf("List returned %d records, want the limit %d: there are as many at least", len(page), own)
			}
			if first := page[0].ID; first > c.own+"~" {
				c.errorf("List began with %q, which comes after records that are stored", first)
			}
			if !slices.IsSortedFunc(page, func(a, b codegrant.Token) int { return strings.Compare(a.ID, b.ID) }) {
				c.errorf("List returned the ids %q, which are not in the order of bytes", ids(page))
			}
		}),
		listCase("List with a limit of zero or less returns nothing", noLimit, func(c *trial, store codegrant.ListStore) {
			c.listable()
			for _, limit := range []int{0, -1} {
				c.sameRecords(fmt.Sprintf("List with limit %d", limit), c.list(store, c.own, limit))
			}
		}),
		listCase("an ended context lists nothing", concurrentOrEnded, func(c *trial, store codegrant.ListStore) {
			c.listable()
			for how, ctx := range c.endedContexts() {
				_, err := store.List(ctx, "", 10)
				c.stops(how+" List", err)
			}
		}),
	}
}

// listable stores records whose order differs where ids are not compared by
// their bytes, and returns them in order.
func (c *trial) listable() []codegrant.Token {
	var all []codegrant.Token
	for _, name := range []string{"b", "B", "a", "Z", "_", "é", "e", "f", "10", "9", "a b", "a-b", "ab", "💳", "\uffee"} {
		all = append(all, c.token(name))
	}
	c.save(all...)
	slices.SortFunc(all, func(a, b codegrant.Token) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (c *trial) list(store codegrant.ListStore, afterID string, limit int) []codegrant.Token {
	found, err := store.List(c.ctx, afterID, limit)
	if err != nil {
		c.fatalf("List returned the error %v", err)
	}
	if len(found) > max(limit, 0) {
		c.fatalf("List with limit %d returned %d records", limit, len(found))
	}
	return found
}
