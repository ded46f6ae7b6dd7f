package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/codegrant/codegrant/gatewaytest"
)

const instances = 3

// clusterConfig is what a cluster needs.
type clusterConfig struct {
	DSN     string             // of a database that is its own
	Port    int                // of nginx; the instances have the next three
	Log     io.Writer          // of nginx and the instances; may be called concurrently
	Gateway gatewaytest.Config // of the simulator
	Sweep   time.Duration      // see the instance's -sweep; zero means the kit's default
	Level   slog.Level         // of the instances' log; zero means Info
}

// cluster is everything that runs. Its methods are for one goroutine, but for
// what they say otherwise.
type cluster struct {
	url         string // of the shop
	gateway     *gatewaytest.Server
	proxy       *proxy
	instances   [instances]*instanceProcess
	config      clusterConfig
	environment []string // what the instances share
}

// instanceProcess is one instance: its address is for ever, its process changes.
type instanceProcess struct {
	name, address, url string
	process            *process
}

// patience bounds each step of a start, a restart and the end: more than the
// grace that an instance and nginx give what is under way.
const patience = 50 * time.Second

func startCluster(ctx context.Context, cfg clusterConfig) (_ *cluster, err error) {
	address := func(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port+i)) }
	if err := requireFree(address, 1+instances); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := &cluster{url: "http://" + address(0), config: cfg, gateway: gatewaytest.NewServer(cfg.Gateway)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	// A secret manager's work: every instance has the same ones.
	c.environment = []string{
		"SHOP_DSN=" + cfg.DSN,
		"SHOP_SESSION_KEY=" + rand.Text(),
		"CODEGRANT_KEYS=k1:" + newSealingKey(),
	}
	var servers []string
	for i := range c.instances {
		a := address(1 + i)
		c.instances[i] = &instanceProcess{name: "instance " + strconv.Itoa(i+1), address: a, url: "http://" + a}
		servers = append(servers, a)
	}
	for _, each := range c.instances { // all at once: each of them migrates
		if err := c.start(each); err != nil {
			return nil, err
		}
	}
	for _, each := range c.instances {
		if err := each.awaitReady(ctx); err != nil {
			return nil, err
		}
	}
	if c.proxy, err = startProxy(ctx, address(0), servers, cfg.Log); err != nil {
		return nil, err
	}
	return c, nil
}

// requireFree gives a clear answer before anything has been started.
func requireFree(address func(int) string, n int) error {
	for i := range n {
		listener, err := net.Listen("tcp", address(i))
		if err != nil {
			return fmt.Errorf("%s is not free, choose other ports with -port: %w", address(i), err)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

func newSealingKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// start starts an instance's process and does not wait for it.
func (c *cluster) start(each *instanceProcess) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	each.process, err = startProcess(each.name, c.config.Log, c.environment, program, instanceCommand,
		"-listen", each.address, "-url", c.url, "-gateway", c.gateway.URL, "-sweep", c.config.Sweep.String(), "-log-level", c.config.Level.String(), "-leash")
	return err
}

// awaitReady waits until the instance says that it is ready.
func (i *instanceProcess) awaitReady(ctx context.Context) error {
	return poll(ctx, i.process, i.name, func() error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			err = errors.New(response.Status)
		}
		return errors.Join(err, response.Body.Close())
	})
}

// rollingRestart restarts one instance after the other. The next one's turn
// comes when the one before is ready and gets requests again.
func (c *cluster) rollingRestart(ctx context.Context) error {
	for _, each := range c.instances {
		if err := c.restart(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

// restart is the recipe: out of nginx first, then stop; ready first, then back
// in.
//
// nginx is told by a reload and not left to notice by itself. It asks nobody
// whether they are ready, it only learns from requests that fail, and a POST
// that fails can not be sent again. Nor is it enough that connections to a
// stopped instance are refused: the kernel resets those that it had taken on
// but that the instance had not yet accepted.
func (c *cluster) restart(ctx context.Context, each *instanceProcess) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.proxy.takeOut(ctx, each.address); err != nil {
		return err
	}
	if err := each.process.stop(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	if err := c.start(each); err != nil {
		return err
	}
	if err := each.awaitReady(ctx); err != nil {
		return err
	}
	return c.proxy.putBack(ctx, each.address)
}

// close ends everything: nginx first, so that no new request comes in, and the
// gateway last, because the instances may be waiting for it. It ends what has
// been started, also when that is not all.
func (c *cluster) close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if c.proxy != nil {
		err = c.proxy.close(ctx)
	}
	for _, each := range c.instances {
		if each != nil && each.process != nil {
			err = errors.Join(err, each.process.stop(ctx, syscall.SIGTERM))
		}
	}
	c.gateway.Close()
	return err
}
