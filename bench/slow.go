package main

import "context"

func (s *session) slow(ctx context.Context) error { return leftOut("x") }
func slowSQLite(string) error                     { return nil }
func reasons([]goal, []string) []string           { return nil }
