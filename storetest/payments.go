package storetest

import (
	"slices"
	"testing"

	"github.com/codegrant/codegrant"
)

// RunPayments is [Run] for a [codegrant.PaymentStore]. Where the store is also
// a [codegrant.TxStore], payments are tried inside of its transactions, alone
// and together with tokens.
func RunPayments(t *testing.T, newStore func(t *testing.T) codegrant.PaymentStore) {
	t.Helper()
	run(t, paymentGroups(), func(t *testing.T) any { return newStore(t) })
}

func paymentGroups() []group {
	return []group{{"PaymentStore", paymentStoreCases()}, {"TxStore", paymentTxCases()}}
}

func paymentStoreCases() []testCase {
	return slices.Concat(paymentFieldCases(), paymentTimeCases(), paymentSaveCases(), paymentConcurrencyCases(),
		paymentTogetherCases(), paymentTogetherLookUpCases(), unsettledPaymentCases(), paymentCopyCases(), paymentContextCases())
}

func paymentTxCases() []testCase {
	return slices.Concat(paymentCommitCases(), paymentRollbackCases(), paymentIsolationCases())
}

func allPaymentCases() []testCase { return slices.Concat(paymentStoreCases(), paymentTxCases()) }
