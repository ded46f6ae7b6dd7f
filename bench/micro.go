package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// bench is what one Go benchmark said, round by round.
type bench struct {
	ns     []float64
	allocs float64
	bytes  float64
}

// microRounds is how many short rounds of Go benchmarks there are in one of
// everything else: of many, some are not disturbed.
const microRounds = 4

// fastest is what counts of a loop that only needs the processor: whatever else
// the machine does makes it slower.
func (b *bench) fastest() float64 { return quantile(b.ns, 0) }

// time is the fastest round with the middle half of all, in units of ns.
func (b *bench) time(unit float64) string {
	return fmt.Sprintf("%s [%s–%s]", number(b.fastest()/unit), number(quantile(b.ns, 0.25)/unit), number(quantile(b.ns, 0.75)/unit))
}

// suite is a compiled test with benchmarks, and the pattern of those to run.
type suite struct{ binary, pattern string }

// benchmarks runs all suites in turns and returns the results by name, without
// the prefix and the number of processors.
func (s *session) benchmarks(ctx context.Context, suites []suite) (map[string]*bench, error) {
	all := make(map[string]*bench)
	for range s.rounds * microRounds {
		for _, one := range suites {
			out, err := s.benchmark(ctx, one)
			if err != nil {
				return nil, err
			}
			_, _ = s.raw.Write(out)
			collect(out, all)
		}
	}
	return all, nil
}

func (s *session) benchmark(ctx context.Context, one suite, more ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, one.binary, append([]string{
		"-test.run=^$", "-test.bench=" + one.pattern, "-test.benchtime=" + s.benchTime, "-test.benchmem", "-test.cpu=1",
	}, more...)...)
	c.Dir = s.tmp
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s %s", filepath.Base(one.binary), err, out, complaint.Bytes())
	}
	return out, nil
}

// collect reads what go test -bench prints.
func collect(out []byte, into map[string]*bench) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		b := into[name]
		if b == nil {
			b = &bench{}
			into[name] = b
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				continue
			}
			switch fields[i+1] {
			case "ns/op":
				b.ns = append(b.ns, v)
			case "allocs/op":
				b.allocs = v
			case "B/op":
				b.bytes = v
			}
		}
	}
}

// compiled builds the tests of a folder.
func (s *session) compiled(ctx context.Context, folder, name string) (string, error) {
	binary := filepath.Join(s.tmp, name)
	c := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c in %s: %w: %s", filepath.Base(folder), err, out)
	}
	return binary, nil
}

// micro measures single messages and single calls in Go benchmarks: those of
// the root package, which can look inside, and those of this module.
func (s *session) micro(ctx context.Context) error {
	inside, err := s.compiled(ctx, filepath.Dir(s.folder), "codegrant.test")
	if err != nil {
		return err
	}
	beside, err := s.besides(ctx)
	if err != nil {
		return err
	}
	suites := []suite{
		{inside, "^Benchmark(SHA256Floor|VerifyEnvelope|RefuseForgery|TwoSalts|VerifyAndParse)$"},
		{beside, "^Benchmark(Take|Call)$"},
	}
	of, err := s.benchmarks(ctx, suites)
	if err != nil {
		return err
	}
	for _, name := range []string{"SHA256Floor", "VerifyEnvelope", "RefuseForgery", "TwoSalts", "Take/codegrant", "Take/stripe-go", "Call/Charge"} {
		if of[name] == nil {
			return fmt.Errorf("there is no benchmark %s", name)
		}
	}
	s.receiving(ctx, of, suites)
	s.calling(ctx, of, suites[1])
	return nil
}

// besides is this module's own compiled test: the process itself where it is
// one.
func (s *session) besides(ctx context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil || strings.HasSuffix(self, ".test") {
		return self, err
	}
	return s.compiled(ctx, s.folder, "bench.test")
}

func (s *session) receiving(ctx context.Context, of map[string]*bench, suites []suite) {
	sha, stripe := of["SHA256Floor"].fastest(), of["Take/stripe-go"].fastest()
	envelope := of["VerifyEnvelope"]
	quick := s.below("verify the envelope, by stripe-go ConstructEvent", 0.10, envelope.fastest()/stripe, "")
	quick = s.below("… by SHA-256 alone", 4, envelope.fastest()/sha, "") && quick
	lean := s.below("… allocations", 0, envelope.allocs, "")
	s.explain(ctx, "verify the envelope", suite{suites[0].binary, "^BenchmarkVerifyEnvelope$"}, quick, lean)

	parse := of["Take/codegrant"]
	quick = s.below("verify and decode (`ParseNotification`), by stripe-go", 0.20, parse.fastest()/stripe, "")
	lean = s.below("… allocations", 6, parse.allocs, "")
	s.explain(ctx, "verify and decode", suite{suites[1].binary, "^BenchmarkTake$/^codegrant$"}, quick, lean)

	quick = s.below("each further live salt, by SHA-256 alone", 2, (of["TwoSalts"].fastest()-envelope.fastest())/sha, "")
	s.explain(ctx, "a further salt", suite{suites[0].binary, "^BenchmarkTwoSalts$"}, quick, true)

	refusal := of["RefuseForgery"]
	quick = s.below("refuse a forgery, by accepting", 1.1, refusal.fastest()/envelope.fastest(), "")
	lean = s.below("… allocations", 0, refusal.allocs, "")
	s.explain(ctx, "refuse a forgery", suite{suites[0].binary, "^BenchmarkRefuseForgery$"}, quick, lean)

	rows := [][]string{}
	add := func(name, does string) {
		b := of[name]
		rows = append(rows, []string{
			does, b.time(1), number(b.allocs), number(b.bytes), number(b.fastest() / stripe), number(b.fastest() / sha),
		})
	}
	add("SHA256Floor", "SHA-256 of the signed text alone")
	add("VerifyEnvelope", "codegrant: envelope read strictly and verified, nothing decoded (inside)")
	add("TwoSalts", "… with an old salt beside the new one (inside)")
	add("RefuseForgery", "… a forgery (inside)")
	add("Take/codegrant", "**codegrant: `ParseNotification`**, the account checked, verified, decoded")
	add("Take/codegrant-two-salts", "… with an old salt beside the new one")
	add("Take/codegrant-forgery", "… a forgery, with the error that tells")
	others, _ := peers() // its error was the benchmark's
	for _, p := range others {
		add("Take/"+p.name, p.name+": "+p.does)
	}
	s.chapter("One message", fmt.Sprintf(
		"A payment notification; every body has %d bytes, those marked \"inside\" 600 to 700. One core. \"Inside\" are benchmarks of the root\n"+
			"package, which can stop before decoding; the others use what everybody can call. Stripe's event is a larger type than\n"+
			"ours; a library that only verifies is followed by `encoding/json` into a struct of the same members. None of them takes\n"+
			"a list of secrets. Times are those of the fastest of %d short rounds, with the middle half of all in brackets.",
		bodySize, len(of["SHA256Floor"].ns)),
		table([]string{"", "ns", "allocations", "bytes", "by stripe-go", "by SHA-256"}, rows))
}

func (s *session) calling(ctx context.Context, of map[string]*bench, own suite) {
	var rows [][]string
	for _, call := range []struct{ name, title, pattern string }{
		{"Charge", "`Charge`", "^BenchmarkCall$/^Charge$"}, {"SignUp", "`StartSignUp`", "^BenchmarkCall$/^SignUp$"},
	} {
		kit, bare := of["Call/"+call.name], of["Call/"+call.name+"-bare"]
		more := (kit.fastest() - bare.fastest()) / 1000
		quick := s.below(call.title+" over a bare signed post, time", 30, more, " µs")
		lean := s.below("… allocations", 40, kit.allocs-bare.allocs, "")
		s.explain(ctx, call.title, suite{own.binary, call.pattern}, quick, lean)
		rows = append(rows, []string{
			call.title, kit.time(1000), bare.time(1000), number(more), number(kit.allocs), number(bare.allocs),
		})
	}
	s.chapter("One call",
		"Against a gateway that answers at once, in the process. `Charge` finds the user's token (memstore), checks the request,\n"+
			"signs, posts, and believes the answer only once it verified; `StartSignUp` also saves its record before and after. The\n"+
			"bare post writes JSON, signs, posts and reads, and checks nothing.",
		table([]string{"", "µs", "bare µs", "difference µs", "allocations", "bare"}, rows))
}
