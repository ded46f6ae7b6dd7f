package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/sqlstore"
)

func TestMain(m *testing.M) {
	if served() { // the parts start this program again
		return
	}
	os.Exit(m.Run())
}

// smallest is a session that measures as little as there is.
func smallest(t *testing.T) *session {
	t.Helper()
	folder, err := os.Getwd()
	require.NoError(t, err)
	s := &session{folder: folder, tmp: t.TempDir(), log: io.Discard, raw: new(bytes.Buffer)}
	s.folders = new([]string)
	t.Cleanup(func() {
		for _, folder := range *s.folders {
			require.NoError(t, os.RemoveAll(folder))
		}
	})
	s.size = size{rounds: 1, benchTime: "1x", stretch: 20 * time.Millisecond, conns: 10, rows: 300}
	return s
}

// Each part runs, and says what it should. Whether a goal is met is not asked:
// nothing is measured by so little.
func TestEveryPartRuns(t *testing.T) {
	for _, c := range []struct {
		part     string
		raw      string // a line of what benchstat reads
		page     []string
		goals    int
		optional bool // what it needs need not be there, not even in CI
	}{
		{part: "micro", raw: "BenchmarkTake/codegrant", page: []string{"stripe-go", "go-github", "`Charge`", "`StartSignUp`"}, goals: 12},
		{part: "handlers", raw: "BenchmarkHandler/codegrant", page: []string{"**codegrant `Notify`**", "svix"}, goals: 2},
		{part: "memory", raw: "BenchmarkConnection/stalled/codegrant", page: []string{"stalled, half"}},
		{part: "save", raw: "BenchmarkSave/SQLite/bare/64", page: []string{"SQLite, 64"}, goals: 3},
		{part: "notify", raw: "BenchmarkNotify/SQLite/one-each/64", page: []string{"SQLite, 64"}, goals: 3},
		{part: "slow", raw: "BenchmarkNotify/", page: []string{"2 ms slower"}, optional: true},
		{part: "lookups", raw: "BenchmarkLookup/SQLite", page: []string{"SQLite, by fingerprint"}, goals: 3},
	} {
		t.Run(c.part, func(t *testing.T) {
			s := smallest(t)
			chosen, err := choose(c.part)
			require.NoError(t, err)
			require.NoError(t, s.measure(t.Context(), chosen))
			if len(s.chapters) == 0 {
				require.True(t, c.optional, "%v", s.left)
				t.Skip(s.left)
			}
			if os.Getenv("CI") == "true" && !c.optional {
				require.Empty(t, s.left)
			}
			page := s.page(t.Context())
			for _, want := range c.page {
				require.Contains(t, page, want)
			}
			require.Contains(t, s.raw.(*bytes.Buffer).String(), c.raw)
			require.GreaterOrEqual(t, len(s.goals), c.goals)
			require.NotContains(t, page, "| ? |", "a figure is not a number")
			require.NotContains(t, page, s.tmp)
		})
	}
}

func TestAMissedGoalIsProfiled(t *testing.T) {
	s := smallest(t)
	s.profiles = true
	busy := side{name: "busy", do: func(context.Context, int, int) error {
		for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
			_ = sha256.Sum256([]byte("busy"))
		}
		return nil
	}}
	require.NoError(t, s.profileTurn(t.Context(), "nothing", busy, 20, 1))
	s.judge("a", "b", "c", false)
	page := s.page(t.Context())
	require.Contains(t, page, "## Profiles of what misses its goal\n\nWhere the time goes, nothing")
	require.Contains(t, page, "sha256.Sum256")
}

func TestAPartThatFailsIsNamedAndDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	s := smallest(t)
	ran := false
	err := s.measure(t.Context(), []part{
		{"broken", func(*session, context.Context) error { return io.ErrUnexpectedEOF }},
		{"absent", func(*session, context.Context) error { return leftOut("no such server") }},
		{"next", func(*session, context.Context) error { ran = true; return nil }},
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, err.Error(), "absent")
	require.True(t, ran)
	page := s.page(t.Context())
	require.Contains(t, page, "broken: unexpected EOF")
	require.Contains(t, page, "absent: no such server")
}

func TestArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run([]string{"-parts", "micro,nothing"}), `no part "nothing"; there are micro,handlers`)
	require.ErrorContains(t, run([]string{"-database", "Oracle"}), `no database "Oracle"`)
	require.Error(t, run([]string{"-rounds", "many"}))
	require.ErrorContains(t, run([]string{"-rounds", "0"}), "at least 1")
}

func TestGoalsAreJudged(t *testing.T) {
	t.Parallel()
	var r report
	require.True(t, r.below("a", 2, 2, ""))
	require.False(t, r.below("b", 2, 2.1, " µs"))
	require.True(t, r.above("c", 2, 2, ""))
	require.False(t, r.above("d", 2, 1.9, ""))
	require.False(t, r.above("nothing was measured", 2, median(nil), ""))
	require.False(t, r.below("nothing was measured", 2, median(nil), ""))
	s := smallest(t)
	s.goals = r.goals
	page := s.page(t.Context())
	require.Contains(t, page, "| a | ≤ 2 | 2 | met |")
	require.Contains(t, page, "| b | ≤ 2 µs | 2.10 µs | **missed** |")
}

func TestFiguresAreReadFromGoBenchmarks(t *testing.T) {
	t.Parallel()
	of := make(map[string]*bench)
	for _, line := range []string{
		"BenchmarkTake/stripe-go \t 2000\t 12381 ns/op\t 3336 B/op\t 79 allocs/op\n",
		"BenchmarkTake/stripe-go \t 2000\t 12000.5 ns/op\t 55.5 MB/s\t 3336 B/op\t 79 allocs/op\nPASS\n",
	} {
		collect([]byte(line), of)
	}
	require.Equal(t, map[string]*bench{"Take/stripe-go": {ns: []float64{12381, 12000.5}, allocs: 79, bytes: 3336}}, of)
	require.InDelta(t, 12000.5, of["Take/stripe-go"].fastest(), 0)
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0": 0, "0.023": 0.0231, "0.50": 0.5, "12.3": 12.34, "123": 123.4, "1,234": 1234.4, "12,345,678": 12345678, "-1,234": -1234, "-0.50": -0.5,
	} {
		require.Equal(t, want, strings.Replace(number(v), "0.00", "0", 1))
	}
}

// A long measuring of one database does not lose what is known of another.
func TestRecordedLookUpsOfOtherDatabasesStay(t *testing.T) {
	t.Parallel()
	s := smallest(t)
	s.folder = t.TempDir()
	result := func(rows int, databases ...string) recorded {
		r := recorded{Date: "today", Machine: "m", Rows: rows}
		for _, name := range databases {
			r.Lookups = append(r.Lookups, lookup{Database: name, Kind: "by id", Few: []float64{1}, Many: []float64{float64(rows)}})
		}
		return r
	}
	read := func() (r recorded) {
		text, err := os.ReadFile(s.recordedFile())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &r))
		return r
	}
	require.NoError(t, s.record(result(7, "PostgreSQL", "SQLite")))
	again := result(7, "PostgreSQL")
	again.Lookups[0].Few[0] = 2
	require.NoError(t, s.record(again))
	require.Equal(t, []lookup{result(7, "SQLite").Lookups[0], again.Lookups[0]}, read().Lookups)
	require.NoError(t, s.record(result(8, "PostgreSQL")))
	require.Equal(t, result(8, "PostgreSQL"), read(), "of another number of rows nothing is kept")
}

// What the bare side writes is what sqlstore writes, or the two could not be
// compared.
func TestTheBareDriverSavesWhatSqlstoreSaves(t *testing.T) {
	t.Parallel()
	s := smallest(t)
	all, err := s.databases(t.Context())
	t.Cleanup(func() { dropAll(all) })
	require.NoError(t, err)
	for _, d := range all {
		db, store, err := d.open(t.Context())
		require.NoError(t, err)
		by, err := newBare(t.Context(), db, d.dialect)
		require.NoError(t, err)
		at := stored(7)
		at.Revision = 1
		require.NoError(t, store.Save(t.Context(), at))
		want := stored(8)
		want.ID, want.EndedBy, want.DoubtedAt = at.ID, "user", at.CreatedAt
		require.NoError(t, by.save(t.Context(), want))
		got, err := store.Get(t.Context(), at.ID)
		require.NoError(t, err)
		want.CreatedAt, want.UpdatedAt, want.DoubtedAt = got.CreatedAt.Local(), got.UpdatedAt.Local(), got.DoubtedAt.Local()
		require.Equal(t, stored(8).CreatedAt.UnixMicro(), got.CreatedAt.UnixMicro())
		got.CreatedAt, got.UpdatedAt, got.DoubtedAt = want.CreatedAt, want.UpdatedAt, want.DoubtedAt
		require.Equal(t, want, got, d.name)
		require.Error(t, by.save(t.Context(), want), "a revision that is not the next")
		require.NoError(t, db.Close())
	}
}

func TestAFillIsWhatLookUpsExpect(t *testing.T) {
	t.Parallel()
	s := smallest(t)
	d, err := s.sqlite("fill")
	require.NoError(t, err)
	require.Equal(t, sqlstore.SQLite, d.dialect)
	require.NoError(t, s.fill(t.Context(), d, 250))
	db, store, err := d.open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	got, err := store.List(t.Context(), "", 1000)
	require.NoError(t, err)
	require.Len(t, got, 250)
	one, err := store.ByFingerprint(t.Context(), stored(249).Fingerprint)
	require.NoError(t, err)
	require.Equal(t, stored(249).ID, one.ID)
	var indexes int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "+
		"AND tbl_name = 'codegrant_tokens'").Scan(&indexes))
	require.Equal(t, 3, indexes)
	require.FileExists(t, filepath.Join(s.folder, "go.mod"))
}
