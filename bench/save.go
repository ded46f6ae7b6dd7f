package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

var inFlights = []int{1, 8, 64}

// save compares sqlstore's Save of a changed record with the bare driver.
func (s *session) save(ctx context.Context) error {
	all, err := s.databases(ctx)
	defer dropAll(all)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, d := range all {
		lines, err := s.saveOn(ctx, d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		rows = append(rows, lines...)
	}
	s.chapter("Saving a record", fmt.Sprintf(
		"`sqlstore.Store.Save` of a changed record against the same statement on the bare driver, prepared, in a commit of its own\n"+
			"(SQLite: with a queue for its one writer); a pool of %d connections for both. With several in flight Save shares\n"+
			"commits, so that it overtakes the bare driver; alone it shows what it adds, by the medians. pgbench is PostgreSQL's own load generator\n"+
			"with the same row, as an upsert. MariaDB's driver has interpolateParams, as package sqlstore recommends; without it one changed\n"+
			"record is prepared for each saving, and was saved at 0.63 (1 in flight) and 0.56 (8) of the speed of the bare driver.", connections),
		table([]string{"database, in flight", "Save/s", "bare/s", "Save by bare", "p50 ms", "bare p50 ms", "p99 ms", "bare p99 ms", "pgbench/s"}, rows))
	return nil
}

// each is how many records one worker saves by turns.
const each = 16

func (s *session) saveOn(ctx context.Context, d database) ([][]string, error) {
	db, store, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	by, err := newBare(ctx, db, d.dialect)
	if err != nil {
		return nil, err
	}
	most := inFlights[len(inFlights)-1]
	saver := func(name string, first int, save func(context.Context, codegrant.Token) error) (side, error) {
		tokens := make([]codegrant.Token, most*each)
		for i := range tokens {
			tokens[i] = pending(first + i)
		}
		_, _, err := flight(ctx, len(tokens), most, func(ctx context.Context, _, i int) error { return store.Save(ctx, tokens[i]) })
		rounds := make([]int, most)
		return side{name: name, do: func(ctx context.Context, worker, _ int) error {
			t := &tokens[worker*each+rounds[worker]%each]
			rounds[worker]++
			t.Revision++
			return save(ctx, *t)
		}}, err
	}
	var sides [2]side
	if sides[0], err = saver("sqlstore", 0, store.Save); err != nil {
		return nil, err
	}
	if sides[1], err = saver("bare", most*each, by.save); err != nil {
		return nil, err
	}
	var rows [][]string
	for _, n := range inFlights {
		out, err := s.turns(ctx, "Save/"+d.name, n, sides)
		if err != nil {
			return nil, err
		}
		pgbench, err := s.pgbench(ctx, d, n)
		if err != nil {
			return nil, err
		}
		r := ratios(out[0].PerSecond, out[1].PerSecond)
		if n == 1 { // one caller is as fast as its median; the rate has the machine's pauses in it
			r = ratios(out[1].P50, out[0].P50)
		}
		if !s.above(fmt.Sprintf("sqlstore save by the bare driver, %s, %d in flight", d.name, n), 0.90, median(r), "") {
			if err := s.profileTurn(ctx, fmt.Sprintf("Save on %s, %d in flight", d.name, n), sides[0], profiled, n); err != nil {
				return nil, err
			}
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s, %d", d.name, n), number(median(out[0].PerSecond)), number(median(out[1].PerSecond)), spread(r),
			number(median(out[0].P50)), number(median(out[1].P50)), number(median(out[0].P99)), number(median(out[1].P99)), pgbench,
		})
	}
	return rows, nil
}

var tps = regexp.MustCompile(`tps = ([\d.]+)`)

// pgbench upserts whole rows with PostgreSQL's own load generator.
func (s *session) pgbench(ctx context.Context, d database, clients int) (string, error) {
	path, err := exec.LookPath("pgbench")
	if err != nil || d.dialect != sqlstore.PostgreSQL {
		return "–", nil
	}
	values := bareValues(pending(0))
	var literals, set []string
	for i, name := range strings.Split(bareFields, ", ") {
		switch v := values[i].(type) {
		case string:
			literals = append(literals, "'"+v+"'")
		case nil:
			literals = append(literals, "NULL")
		default:
			literals = append(literals, fmt.Sprint(v))
		}
		set = append(set, name+" = excluded."+name)
	}
	script := "\\set i random(1, 1000)\nINSERT INTO codegrant_tokens (" + bareFields + ", id) VALUES (" +
		strings.Join(literals, ", ") + ", ('PGBENCH' || :i)::bytea) ON CONFLICT (id) DO UPDATE SET " + strings.Join(set, ", ") + ";\n"
	file := filepath.Join(s.tmp, "upsert.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	seconds := strconv.Itoa(int(max(1, s.stretch.Seconds()*float64(min(s.rounds, 3)))))
	out, err := exec.CommandContext(ctx, path, "-n", "-M", "prepared", "-c", strconv.Itoa(min(clients, connections)),
		"-j", strconv.Itoa(min(clients, 2)), "-T", seconds, "-f", file, d.dsn).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pgbench: %w: %s", err, out)
	}
	found := tps.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("pgbench printed no figure: %s", out)
	}
	perSecond, err := strconv.ParseFloat(string(found[1]), 64)
	fmt.Fprintf(s.raw, "BenchmarkSave/PostgreSQL/pgbench/%d 1 %.0f ns/op %.0f op/s\n", clients, 1e9/perSecond, perSecond)
	return number(perSecond), err
}
