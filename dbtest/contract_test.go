package dbtest

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
	"github.com/codegrant/codegrant/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		storetest.Run(t, func(*testing.T) codegrant.TokenStore { return store })
	})
}

func TestStoreKeepsTheContractOfPayments(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		storetest.RunPayments(t, func(*testing.T) codegrant.PaymentStore { return store })
	})
}

// onEachSetting runs test with stores over connections that are set in ways
// that change what a driver sends and reports.
func onEachSetting(t *testing.T, test func(t *testing.T, store *sqlstore.Store)) {
	t.Helper()
	settings := map[string][]string{
		"SQLite": {"_txlock=immediate"},
		"PostgreSQL": {
			"default_query_exec_mode=simple_protocol&default_transaction_isolation=serializable",
			"default_query_exec_mode=exec&default_transaction_isolation=repeatable%20read",
		},
		"MariaDB": {
			"clientFoundRows=true&parseTime=true&loc=Asia%2FHong_Kong&charset=latin1&sql_mode=''",
			"interpolateParams=true&tx_isolation='SERIALIZABLE'",
		},
	}
	onEach(t, func(t *testing.T, s server) {
		for _, setting := range settings[s.name] {
			t.Run(setting, func(t *testing.T) {
				t.Parallel()
				test(t, s.migrated(t, s.open(t, with(s.create(t), setting))))
			})
		}
	})
}

func TestStoreKeepsTheContractWithOtherConnectionSettings(t *testing.T) {
	t.Parallel()
	onEachSetting(t, func(t *testing.T, store *sqlstore.Store) {
		storetest.Run(t, func(*testing.T) codegrant.TokenStore { return store })
	})
}

func TestStoreKeepsTheContractOfPaymentsWithOtherConnectionSettings(t *testing.T) {
	t.Parallel()
	onEachSetting(t, func(t *testing.T, store *sqlstore.Store) {
		storetest.RunPayments(t, func(*testing.T) codegrant.PaymentStore { return store })
	})
}

func TestASealingStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	keys, err := seal.NewKeyring(seal.Key{
		ID:     "k1",
		Secret: codegrant.NewSecret(base64.StdEncoding.EncodeToString([]byte("a key for tests, and for nothing"))),
	})
	require.NoError(t, err)
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		inner := s.store(t, db, sqlstore.Options{})
		require.NoError(t, inner.Migrate(t.Context()))
		store, err := seal.New(inner, keys)
		require.NoError(t, err)
		storetest.Run(t, func(*testing.T) codegrant.TokenStore { return store })
		for _, name := range []string{"token_value", "bind_reference", "login_id"} {
			require.Equal(t, []string{"0"}, column(t, db,
				"SELECT COUNT(*) FROM codegrant_tokens WHERE "+name+" <> '' AND "+name+" NOT LIKE 'cgs1.%'"), name)
		}
	})
}
