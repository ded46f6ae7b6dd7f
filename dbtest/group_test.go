package dbtest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// Whatever shares a commit with a record, what becomes of the record is the
// same as if it were alone.
func TestSavesThatShareACommitAreJudgedOneByOne(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		const kinds, each, rounds = 4, 40, 8
		for round := range rounds {
			at := func(kind, i int) codegrant.Token { return token(fmt.Sprintf("R%d-%d-%d", round, kind, i)) }
			for kind := range kinds - 1 {
				for i := range each {
					require.NoError(t, store.Save(t.Context(), at(kind, i)))
				}
			}
			// The first kind gets its next revision, the second one that it is not
			// ready for; the third is there already, and the fourth is new. In the
			// first rounds there are no bad ones.
			var wg sync.WaitGroup
			errs := make([]error, kinds*each)
			save := func(kind, i int) {
				saved := at(kind, i)
				saved.UserID = "changed"
				saved.Revision = []int64{2, 3, 1, 1}[kind]
				wg.Go(func() { errs[kind*each+i] = store.Save(t.Context(), saved) })
			}
			for i := range each {
				save(0, i)
				save(3, i)
				if i < each*round/rounds {
					save(1, i)
					save(2, i)
				}
			}
			wg.Wait()
			for i := range each {
				bad := i < each*round/rounds
				for kind, wrong := range []bool{false, bad, bad, false} {
					if wrong {
						require.Equal(t, codegrant.ErrConflict, errs[kind*each+i])
					} else {
						require.NoError(t, errs[kind*each+i])
					}
					got, err := store.Get(t.Context(), at(kind, i).ID)
					require.NoError(t, err)
					require.Equal(t, kind == 0 || kind == 3, got.UserID == "changed", "kind %d", kind)
				}
			}
		}
	})
}

// A payment's record is saved the same way, in another table.
func TestPaymentsThatShareACommitAreJudgedOneByOne(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		const n = 60
		at := func(i int) codegrant.Payment {
			return codegrant.Payment{
				ID: fmt.Sprint("P", i), AccountID: "A1", OrderID: fmt.Sprint("O", i), UserID: "ann", Wallet: codegrant.GCash,
				Amount:  codegrant.Amount{Minor: int64(i), Currency: "PHP"},
				Attempt: 1, Revision: 1, CreatedAt: created, UpdatedAt: created, UnsettledSince: created,
			}
		}
		for revision := range int64(4) {
			var wg sync.WaitGroup
			var errs, again [n]error
			for i := range n {
				p := at(i)
				p.Revision = revision + 1
				wg.Go(func() { errs[i] = store.SavePayment(t.Context(), p) })
				wg.Go(func() { again[i] = store.SavePayment(t.Context(), p) })
			}
			wg.Wait()
			for i := range n {
				require.ElementsMatch(t, []error{nil, codegrant.ErrConflict}, []error{errs[i], again[i]})
				got, err := store.GetPayment(t.Context(), at(i).ID)
				require.NoError(t, err)
				require.Equal(t, revision+1, got.Revision)
				require.Equal(t, int64(i), got.Amount.Minor)
			}
		}
	})
}
