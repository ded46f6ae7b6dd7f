package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// profileUnless adds, where a goal was missed, what a benchmark spends its time
// on.
func (s *session) profileUnless(ctx context.Context, met bool, what string, one suite) {
	if met || !s.profiles {
		return
	}
	file := filepath.Join(s.tmp, "cpu.prof")
	if _, err := s.benchmark(ctx, one, "-test.benchtime=1s", "-test.cpuprofile="+file); err != nil {
		s.missing("profile of "+what, err)
		return
	}
	s.profile(ctx, what, one.binary, file)
}

// profile adds the first lines of a CPU profile to the page.
func (s *session) profile(ctx context.Context, what, binary, file string) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=45", binary, file).Output()
	if err != nil {
		s.missing("profile of "+what, err)
		return
	}
	var kept []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 5 && fields[0] == "flat":
			kept = append(kept, line)
		case len(fields) >= 6 && !within(fields[5]):
			kept = append(kept, line)
		}
	}
	s.reasons = append(s.reasons, "Where the time goes, "+what+" (`pprof -top -cum`):\n\n```text\n"+
		strings.TrimRight(strings.Join(kept[:min(len(kept), 14)], ""), "\n")+"\n```")
}

// within reports functions that only call what is of interest.
func within(name string) bool {
	for _, prefix := range []string{"testing.", "runtime.main", "main.main", "runtime.mcall", "runtime.goexit", "runtime.systemstack"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.Contains(name, ".Benchmark")
}
