//go:build linux

// Package soak keeps a shop under a steady load with every fault switched on
// and looks whether anything grows that should not. The shop is two processes,
// its nodes, over one PostgreSQL database; they run the kit's endpoints, its
// charges and refunds, and [codegrant.Kit.Run]. The test's own process is the
// rest of the world: the gateway, the customers, the wallets and whoever sends
// what is forged, broken or never ends. So the nodes' goroutines, memory and
// connections are those of the shop and of nothing else.
//
// It is a smoke test of seconds by default. The run to be quoted is
//
//	go test ./soak -v -count=1 -timeout 30m -soak 10m
//
// From 5 min on it also demands that the figures are flat.
package soak

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// envNode makes this binary a node of the shop: see [serve].
const envNode = "SOAK_NODE"

var soakFlag = flag.Duration("soak", 3*time.Second, "how long the load lasts")

func TestMain(m *testing.M) {
	if spec := os.Getenv(envNode); spec != "" {
		if err := serve(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
