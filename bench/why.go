package main

import "strings"

// why says what is known to stand behind a goal that is missed, by the
// beginning of its name.
var why = []struct{ goal, reason string }{
	{"verify the envelope", "The envelope is read strictly, members and content, before the digest is taken, and that is about as much " +
		"work as two and a half digests more; stripe-go's own share is an HMAC and two decodings."},
	{"verify and decode", "Decoding fills `Notification` and, inside of it, `PaymentNotification` from the wire tags by reflection, " +
		"keeps the received body, and parses amount and time; the account is checked at every call, which a Kit does once."},
	{"`Charge` over a bare signed post", "Each call checks the request by its tags, derives its number, reads the record, writes and signs " +
		"the JSON, verifies the answer's envelope and decodes it; the profiles say how much is whose."},
	{"`StartSignUp` over a bare signed post", "As `Charge`; besides, the record is saved twice and two URLs are made."},
	{"sqlstore save by the bare driver, MariaDB", "A changed record that is saved alone keeps its connection until the count of rows " +
		"is read, and is therefore sent as text, which the server parses each time, where the bare driver's statement is prepared."},
	{"sqlstore save by the bare driver", "Alone in flight it is what sqlstore checks and binds. With many, a batch is BEGIN, its " +
		"statements, and COMMIT, one after the other, where the bare driver has as many commits under way as connections. That round " +
		"trips are then the cost is read from the code, not measured."},
	{"durable notify, SQLite", "What is shared is the flush to the disk, and this disk's is quick: with one of 2 ms the gain is the one " +
		"in the table of the slower disk. The rest is the engine's work on each row, on cores that the load shares; the profile says how much."},
	{"durable notify, PostgreSQL", "The server merges the flushes of commits that come at the same time on its own, so that sharing only " +
		"saves round trips and statements."},
	{"notify handler on one core", "Most of a request is net/http and the system's calls, and even a handler that only reads the body is not " +
		"far above the goal against stripe's (its row). Beyond reading, the kit verifies, decodes, finds the record in a store, and " +
		"bounds the work by a deadline."},
}

// whyMissed explains the goals that are missed.
func whyMissed(rows [][]string) string {
	var items []string
	told := make(map[string]bool)
	current := ""
	for _, row := range rows {
		if !strings.HasPrefix(row[0], "…") {
			current = row[0]
		}
		if row[3] == "met" {
			continue
		}
		for _, w := range why {
			if strings.HasPrefix(current, w.goal) && !told[w.goal] {
				told[w.goal] = true
				items = append(items, w.goal+": "+w.reason)
			}
		}
	}
	if len(items) == 0 {
		return "Why goals are missed: see the profiles at the end."
	}
	return "Why goals are missed, beside the profiles at the end:\n\n" + list(items)
}
