// Package storetest is the conformance suite for authors of a
// [codegrant.TokenStore] or a [codegrant.PaymentStore]. A store that passes it keeps the contract as far as
// a test can tell. A test of your own runs it in three lines:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return mystore.New(open(t)) })
//	}
//
// Every case is a sub-test that is named after what it expects. A failure
// quotes the sentence of the contract that was broken and says what was seen.
// A store that is also a [codegrant.TxStore] or a [codegrant.ListStore] is
// tried as one; otherwise those cases are skipped. Run it with -race. What is
// said here of [Run] and tokens goes for [RunPayments] and payments.
//
// # Databases
//
// The function that is handed to [Run] is called once per case, and cases run
// in parallel. It may return an empty store each time, or stores over one
// shared database, even the same store again: every case keeps to ids, users,
// accounts and fingerprints of its own, and copes with the records of others.
// The records stay behind, but none of them stays unsettled. Do not point it
// at a database that anybody needs.
//
// Run saves some 3,000 records, most of them in one case, and RunPayments some
// 1,500. They wait only for a transaction that holds up another one, under half
// a second each time.
package storetest
