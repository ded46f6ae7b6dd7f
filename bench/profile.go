package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// explain adds, where a goal was missed, what a benchmark spends its time on,
// or what allocates.
func (s *session) explain(ctx context.Context, what string, one suite, timeMet, allocsMet bool) {
	file := filepath.Join(s.tmp, "bench.prof")
	for _, kind := range []struct {
		met           bool
		about, sample string
		flags         []string
	}{
		{timeMet, "the time goes", "cpu", []string{"-test.benchtime=1s", "-test.cpuprofile=" + file}},
		{allocsMet, "the allocations come from", "alloc_objects", []string{
			"-test.benchtime=2000x", "-test.memprofilerate=1", "-test.memprofile=" + file,
		}},
	} {
		if kind.met || !s.profiles {
			continue
		}
		if _, err := s.benchmark(ctx, one, kind.flags...); err != nil {
			s.missing("profile of "+what, err)
			return
		}
		s.profile(ctx, kind.about+", "+what, one.binary, file, kind.sample)
	}
}

// profile adds the first lines of a profile to the page.
func (s *session) profile(ctx context.Context, what, binary, file, sample string) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=45", "-sample_index="+sample,
		binary, file).Output()
	if err != nil {
		s.missing("profile: "+what, err)
		return
	}
	_, rows, _ := strings.Cut(string(out), "      flat  ")
	kept := []string{"      flat  "}
	for line := range strings.Lines(rows) {
		if fields := strings.Fields(line); len(fields) < 6 || !within(fields[5]) {
			kept = append(kept, line)
		}
	}
	s.reasons = append(s.reasons, "Where "+what+" (`pprof -top -cum`):\n\n```text\n"+
		strings.TrimRight(strings.Join(kept[:min(len(kept), 14)], ""), "\n")+"\n```")
}

// within reports functions that only call what is of interest.
func within(name string) bool {
	for _, prefix := range []string{"testing.", "runtime.main", "main.main", "runtime.mcall", "runtime.goexit", "runtime.systemstack"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.Contains(name, ".Benchmark") || strings.Contains(name, "/bench.newCalls") || strings.HasSuffix(name, ".judge")
}
