package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// report is what becomes the page.
type report struct {
	goals    []goal
	chapters []string
	left     []string // what was not measured, and why
	versions []string
	reasons  []string // profiles of what misses its goal
	busy     string   // a warning that other work was running
}

// goal is a promise with what was measured of it.
type goal struct {
	measure, want, got string
	met                bool
}

// below adds a goal that got is at most limit; above, at least.
func (r *report) below(measure string, limit, got float64, unit string) bool {
	return r.judge(measure, "≤ "+number(limit)+unit, number(got)+unit, got <= limit)
}

func (r *report) above(measure string, limit, got float64, unit string) bool {
	return r.judge(measure, "≥ "+number(limit)+unit, number(got)+unit, got >= limit)
}

func (r *report) judge(measure, want, got string, met bool) bool {
	r.goals = append(r.goals, goal{measure, want, got, met})
	return met
}

func (r *report) chapter(heading string, paragraphs ...string) {
	blocks := []string{"## " + heading}
	for block := range strings.SplitSeq(strings.Join(paragraphs, "\n\n"), "\n\n") {
		if !strings.HasPrefix(block, "|") {
			block = wrapped(block, "")
		}
		blocks = append(blocks, block)
	}
	r.chapters = append(r.chapters, strings.Join(blocks, "\n\n"))
}

func list(items []string) string {
	var lines []string
	for _, item := range items {
		lines = append(lines, wrapped("- "+item, "  "))
	}
	return strings.Join(lines, "\n")
}

// wrapped breaks a paragraph into lines as long as those of the other pages.
func wrapped(text, indent string) string {
	const width = 118
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case length == 0:
		case length+1+n > width:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	return b.String()
}

func (r *report) missing(what string, why error) { r.left = append(r.left, what+": "+why.Error()) }

func (r *report) version(of string) {
	if of != "" && !slices.Contains(r.versions, of) {
		r.versions = append(r.versions, of)
	}
}

// table is a Markdown table; all columns but the first are figures.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
	for _, row := range rows {
		line(row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// number prints three digits that count, and no more.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "?"
	case a >= 1000:
		whole := fmt.Sprintf("%.0f", v)
		for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
			whole = whole[:i] + "," + whole[i:]
		}
		return whole
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1 || v == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func median(of []float64) float64 { return quantile(of, 0.5) }

func quantile(of []float64, q float64) float64 {
	if len(of) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(of))
	if q == 0.5 && len(sorted)%2 == 0 {
		return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// ratios divides round by round, so that what else the machine did in a round
// falls on both.
func ratios(a, b []float64) []float64 {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, a[i]/b[i])
	}
	return all
}

func ratio(a, b []float64) float64 { return median(ratios(a, b)) }

// spread is the median with the middle half of the values.
func spread(of []float64) string {
	return fmt.Sprintf("%s [%s–%s]", number(median(of)), number(quantile(of, 0.25)), number(quantile(of, 0.75)))
}

const introduction = `# Performance

What codegrant costs, beside what else could stand in its place: other webhook libraries, the bare database driver,
the bare HTTP client. It answers two questions: whether the kit will ever be what makes a server slow, and whether a
change to it made it slower. Absolute figures belong to the machine below; **read the ratios**.

` + "Written by `go -C bench run . -o ../docs/performance.md`, which measures everything in one run; do not edit it.\n" +
	"`go -C bench run . -h` lists the parts. The raw figures go to `bench/results`, in the form that `benchstat` reads."

const method = `## How it is measured

- What is compared takes turns in every round, so that what else the machine does falls on all. A ratio is the median
  of the rounds' ratios; in brackets stands the middle half of them. Absolute figures are medians over the rounds.
- Of the Go benchmarks, which only need a processor, the fastest round counts instead.
- Every library gets a message of the same size that is signed its own way, and is first seen to refuse it with one
  digit changed.
- A commit is durable on every database; the settings stand below. What was written is counted in the database
  afterwards.
- Everything runs on one machine over loopback, without TLS; database, load and server share its cores, except where a
  core is said to be one's own.`

// page is the whole of docs/performance.md.
func (s *session) page(ctx context.Context) string {
	blocks := []string{introduction}
	var rows [][]string
	missed := false
	for _, g := range s.goals {
		verdict := "met"
		if !g.met {
			verdict, missed = "**missed**", true
		}
		rows = append(rows, []string{g.measure, g.want, g.got, verdict})
	}
	if len(rows) > 0 {
		blocks = append(blocks, "## Goals\n\n"+table([]string{"measure", "goal", "measured", ""}, rows))
	}
	if s.busy != "" {
		blocks = append(blocks, wrapped(s.busy, ""))
	}
	if missed {
		blocks = append(blocks, whyMissed(rows))
	}
	blocks = append(blocks, s.chapters...)
	blocks = append(blocks, method, s.machine(ctx))
	if missed && len(s.reasons) > 0 {
		blocks = append(append(blocks, "## Profiles of what misses its goal"), s.reasons...)
	}
	if len(s.left) > 0 {
		blocks = append(blocks, "## Left out of this run\n\n"+list(s.left))
	}
	return strings.Join(blocks, "\n\n") + "\n"
}

func (s *session) machine(ctx context.Context) string {
	lines := []string{
		"date: " + time.Now().UTC().Format("2 January 2006"),
		fmt.Sprintf("machine: %s, %d cores, %s, Linux %s", processor(), runtime.NumCPU(), runtime.GOARCH, output(ctx, "uname", "-r")),
		"load average over the last quarter of an hour, with the measuring itself: " + loadAverage(2),
		"Go: " + runtime.Version(),
	}
	if versions := append(libraries(), s.versions...); len(versions) > 0 {
		lines = append(lines, "versions: "+strings.Join(versions, "; "))
	}
	return "## Machine\n\n" + list(lines)
}

// libraries are the measured ones that this program was built with.
func libraries() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var all []string
	for _, dep := range info.Deps {
		for _, of := range []string{
			"stripe/", "svix/", "standard-webhooks/", "PaddleHQ/", "razorpay/", "google/go-github/", "jackc/pgx/", "go-sql-driver/",
			"modernc.org/sqlite",
		} {
			if strings.Contains(dep.Path, of) {
				all = append(all, strings.TrimPrefix(dep.Path, "github.com/")+" "+dep.Version)
			}
		}
	}
	return all
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// loadAverage is that of the last one, five or fifteen minutes.
func loadAverage(column int) string {
	text, _ := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); len(fields) > 2 {
		return fields[column]
	}
	return "unknown"
}

// lookBusy notes, before anything is measured, whether the machine is doing
// other work.
func (r *report) lookBusy() {
	before, err := strconv.ParseFloat(loadAverage(0), 64)
	if err != nil || before < float64(runtime.NumCPU()) {
		return
	}
	r.busy = fmt.Sprintf("**The machine was busy with other work in this run**: a load average of %s on %d cores before it began. "+
		"The Go benchmarks bear that, for their fastest rounds count. What waits for another process does not: a server that "+
		"shares its core, and one committer among thirty competing connections, lose more to it than what they are compared "+
		"with. Run it again on a quiet machine before you believe those rows.", number(before), runtime.NumCPU())
}

// output is what a command prints, or "" when it cannot be run.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
