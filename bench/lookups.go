package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// manyRows is from where on a result is worth keeping: it takes a long time.
const manyRows = 10_000_000

// lookup is how long one kind of look-up takes among few and many stored
// tokens, in µs, round by round.
type lookup struct {
	Database, Kind string
	Few, Many      []float64
}

// recorded is a result that later pages show as well.
type recorded struct {
	Date, Machine string
	Rows          int
	Lookups       []lookup
}

func (s *session) recordedFile() string { return filepath.Join(s.folder, "recorded.json") }

// lookups measures whether finding a token costs more where more are stored.
func (s *session) lookups(ctx context.Context) error {
	few, err := s.databases(ctx)
	defer dropAll(few)
	if err != nil {
		return err
	}
	many, err := s.databases(ctx)
	defer dropAll(many)
	if err != nil {
		return err
	}
	var found []lookup
	for i := range min(len(few), len(many)) {
		if few[i].dialect == sqlstore.MySQL {
			continue
		}
		results, err := s.lookupsOn(ctx, few[i], many[i])
		if err != nil {
			return fmt.Errorf("%s: %w", few[i].name, err)
		}
		found = append(found, results...)
		_ = many[i].drop() // frees the disk for the next
	}
	now := recorded{
		Date:    time.Now().UTC().Format("2 January 2006"),
		Machine: processor(), Rows: s.rows, Lookups: found,
	}
	paragraphs := []string{
		"`sqlstore` by one caller, random keys, among many tokens and among 10,000, by turns: by record, by the fingerprint of\n" +
			"the token value, and by user. The median of each turn counts. Every look-up is checked to have found its record.",
		now.describe(),
	}
	judged := now
	if s.rows >= manyRows {
		if err := s.record(now); err != nil {
			return err
		}
	} else if text, err := os.ReadFile(s.recordedFile()); err == nil {
		if err := json.Unmarshal(text, &judged); err != nil {
			return err
		}
		paragraphs = append(paragraphs, judged.describe())
	}
	for _, l := range judged.Lookups {
		s.below(fmt.Sprintf("look-up %s, %s, among %s tokens by 10,000", l.Kind, l.Database, number(float64(judged.Rows))),
			1.5, ratio(l.Many, l.Few), "")
	}
	s.chapter("Finding a token among many", paragraphs...)
	return nil
}

// record keeps a result, and what was kept before of other databases.
func (s *session) record(now recorded) error {
	measured := make(map[string]bool)
	for _, l := range now.Lookups {
		measured[l.Database] = true
	}
	if text, err := os.ReadFile(s.recordedFile()); err == nil {
		var before recorded
		if err := json.Unmarshal(text, &before); err != nil {
			return err
		}
		for _, l := range before.Lookups {
			if before.Rows == now.Rows && before.Machine == now.Machine && !measured[l.Database] {
				now.Lookups = append(now.Lookups, l)
			}
		}
	}
	slices.SortStableFunc(now.Lookups, func(a, b lookup) int { return strings.Compare(b.Database, a.Database) }) // SQLite first
	text, err := json.MarshalIndent(now, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(s.recordedFile(), append(text, '\n'), 0o644)
}

func (r recorded) describe() string {
	var rows [][]string
	for _, l := range r.Lookups {
		rows = append(rows, []string{
			l.Database + ", " + l.Kind, number(median(l.Few)), number(median(l.Many)), spread(ratios(l.Many, l.Few)),
		})
	}
	return fmt.Sprintf("%s, %s, among %s tokens:\n\n", r.Date, r.Machine, number(float64(r.Rows))) +
		table([]string{"", "10,000: µs", number(float64(r.Rows)) + ": µs", "ratio"}, rows)
}

func (s *session) lookupsOn(ctx context.Context, few, many database) ([]lookup, error) {
	var stores [2]*sqlstore.Store
	rows := [2]int{s.rows, min(fewRows, s.rows)}
	for i, d := range []database{many, few} {
		began := time.Now()
		if err := s.fill(ctx, d, rows[i]); err != nil {
			return nil, err
		}
		fmt.Fprintf(s.log, "%s: %d tokens stored in %.0f s\n", d.name, rows[i], time.Since(began).Seconds())
		db, store, err := d.open(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		stores[i] = store
	}
	var found []lookup
	for _, kind := range []struct {
		name string
		find func(ctx context.Context, store *sqlstore.Store, t codegrant.Token) (string, error)
	}{
		{"by id", func(ctx context.Context, store *sqlstore.Store, t codegrant.Token) (string, error) {
			got, err := store.Get(ctx, t.ID)
			return got.ID, err
		}},
		{"by fingerprint", func(ctx context.Context, store *sqlstore.Store, t codegrant.Token) (string, error) {
			got, err := store.ByFingerprint(ctx, t.Fingerprint)
			return got.ID, err
		}},
		{"by user", func(ctx context.Context, store *sqlstore.Store, t codegrant.Token) (string, error) {
			got, err := store.ByUser(ctx, t.AccountID, t.UserID)
			if len(got) != 1 {
				return "", errors.Join(err, fmt.Errorf("%d tokens", len(got)))
			}
			return got[0].ID, err
		}},
	} {
		var sides [2]side
		for i, name := range []string{"many", "few"} {
			var wanted []codegrant.Token
			sides[i] = side{
				name: name,
				prepare: func(_ context.Context, n int) error {
					wanted = make([]codegrant.Token, n)
					for j := range wanted {
						wanted[j] = stored(rand.IntN(rows[i]))
					}
					return nil
				},
				do: func(ctx context.Context, _, j int) error {
					id, err := kind.find(ctx, stores[i], wanted[j])
					if err == nil && id != wanted[j].ID {
						err = errors.New("found another record")
					}
					return err
				},
			}
		}
		out, err := s.turns(ctx, fmt.Sprintf("Lookup/%s/%d", few.name, s.rows), 1, sides)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		l := lookup{Database: few.name, Kind: kind.name}
		for r := range out[0].P50 {
			l.Many, l.Few = append(l.Many, math.Round(1e6*out[0].P50[r])/1000), append(l.Few, math.Round(1e6*out[1].P50[r])/1000)
		}
		found = append(found, l)
	}
	return found, nil
}

// stored is the live token of user number i.
func stored(i int) codegrant.Token {
	sum := sha256.Sum256(fmt.Appendf(nil, "value %d", i))
	at := time.UnixMicro(1_700_000_000_000_000 + int64(i))
	t := codegrant.Token{
		ID: fmt.Sprintf("BENCH%021d", i), AccountID: gatewaytest.DefaultAccountID, UserID: fmt.Sprint("user-", i),
		Wallet: codegrant.GCash, Status: codegrant.StatusActive, Handled: codegrant.StatusActive, Revision: 2, ReturnTo: "/",
		Value: codegrant.NewSecret(hex.EncodeToString(sum[:])), CreatedAt: at, UpdatedAt: at,
	}
	t.Fingerprint = codegrant.Fingerprint(t.Value)
	return t
}
