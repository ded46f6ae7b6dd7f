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
	{"sqlstore save by the bare driver", "Alone in flight it is what sqlstore checks and binds. With many, a batch is BEGIN, one " +
		"statement for each power of two in its number of rows, and COMMIT, one after the other, where the bare driver has as many " +
		"commits under way as connections. That round trips are then the cost is read from the code, not measured."},
	{"durable notify", "A delivery also looks its record up, by number, token and user, which sharing a commit does not make cheaper: " +
		"saves alone gain more, see the table of saves."},
	{"notify handler on one core", "It finds the record in a store, copies the body, and takes a lock for the record; the floor does " +
		"neither. The profile says how much net/http itself takes."},
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
