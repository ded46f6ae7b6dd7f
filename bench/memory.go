package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// memory measures what a connection costs while it does nothing: after a
// request, or in the middle of one that does not go on.
func (s *session) memory(ctx context.Context) error {
	var rows [][]string
	for _, state := range []string{"idle", "stalled"} {
		row := []string{map[string]string{
			"idle": "idle, after an answered request", "stalled": "stalled, half of the body sent",
		}[state]}
		for _, name := range []string{"read-only", "codegrant"} {
			u, err := s.perConnection(ctx, name, state)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, state, err)
			}
			fmt.Fprintf(s.raw, "BenchmarkConnection/%s/%s 1 %.0f rss-B/conn %.0f heap-B/conn %.0f stack-B/conn\n", state, name, u.RSS, u.Heap, u.Stack)
			for _, v := range []float64{u.RSS, u.Heap, u.Stack} {
				row = append(row, number(v/1024))
			}
		}
		rows = append(rows, row)
	}
	s.chapter("Memory of a connection", fmt.Sprintf(
		"KiB for each of %d connections to a server in a process of its own, after collecting garbage: resident memory, heap and\n"+
			"stacks. The floor is a net/http handler that only reads the body. The kit cuts a stalled sender off after\n"+
			"`Config.ReadTimeout`, 5 s by default, also in a server without time-outs; net/http alone keeps it for good.", s.conns),
		table([]string{"", "floor RSS", "heap", "stacks", "codegrant RSS", "heap", "stacks"}, rows))
	return nil
}

func (s *session) perConnection(ctx context.Context, name, state string) (usage, error) {
	one, err := startServer(ctx, name, -1)
	if err != nil {
		return usage{}, err
	}
	defer one.stop()
	paths, bodies, header, err := messages(name)
	if err != nil {
		return usage{}, err
	}
	request := rawRequest(paths[0], bodies[0], header)
	// What is only made once is not a connection's.
	if err := s.visit(one.address, request); err != nil {
		return usage{}, err
	}
	before, err := one.usage()
	if err != nil {
		return usage{}, err
	}
	conns := make([]net.Conn, s.conns)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	for i := range conns {
		if conns[i], err = (&net.Dialer{}).DialContext(ctx, "tcp", one.address); err != nil {
			return usage{}, err
		}
		sent := request
		if state == "stalled" {
			sent = request[:len(request)-bodySize/2]
		}
		if _, err := conns[i].Write(sent); err != nil {
			return usage{}, err
		}
		if state == "idle" {
			if err := readAnswer(bufio.NewReaderSize(conns[i], 512)); err != nil {
				return usage{}, err
			}
		}
	}
	after, err := s.settled(ctx, one)
	n := float64(s.conns)
	return usage{
		RSS: (after.RSS - before.RSS) / n, Heap: (after.Heap - before.Heap) / n, Stack: (after.Stack - before.Stack) / n,
	}, err
}

func (s *session) visit(address string, request []byte) error {
	for range 100 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		_, err = c.Write(request)
		if err == nil {
			err = readAnswer(bufio.NewReader(c))
		}
		_ = c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// settled asks until the server has read what was sent: two answers in a row
// that are alike.
func (s *session) settled(ctx context.Context, one *server) (usage, error) {
	var last usage
	for range 50 {
		u, err := one.usage()
		if err != nil || last.Heap > 0 && u.Heap/last.Heap < 1.01 && u.Heap/last.Heap > 0.99 {
			return u, err
		}
		last = u
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return u, ctx.Err()
		}
	}
	return last, nil
}
