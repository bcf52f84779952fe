package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/garbage"
	"github.com/crossfade-proxy/crossfade/internal/version"
)

const (
	// foldAfter is how long weights must be quiet until they leave the small layer for recent changes.
	foldAfter = 5 * time.Second
	// stopGrace is how long calls may go on after SIGTERM until they are told that the change stands; twice that, and they are cut off.
	stopGrace = 1 * time.Second
	// stopTimeout is how long stopping in order may take at most. What is answered is on disk, so that ending at any time loses nothing.
	stopTimeout = 15 * time.Second
)

// serve runs the server until ctx ends or a listener fails.
func serve(ctx context.Context, c *config, stderr io.Writer) error {
	log := c.openLog(stderr)
	hangup, deaf := hangups()
	defer deaf()
	keeper, err := c.openTLS(log)
	if err != nil {
		return err
	}
	ls, err := bind(c)
	if err != nil {
		return err
	}
	defer ls.close()
	d, err := openDisk(c.dataDir)
	if err != nil {
		return err
	}
	err = serveFrom(ctx, c, ls, d, newReloader(c, keeper, log), hangup, log, stderr)
	return errors.Join(err, d.close())
}

// serveFrom serves what is on disk.
func serveFrom(ctx context.Context, c *config, ls listeners, d *disk, again *reloader, hangup <-chan os.Signal, log *slog.Logger, stderr io.Writer) error {
	if err := removeReady(c.readyFile); err != nil {
		return err
	}
	c.token = openToken(c.dataDir, log)
	p, err := assemble(ctx, c, ls, d, again, log)
	switch {
	case ctx.Err() != nil:
		return nil // ended before it began
	case err != nil:
		return err
	}
	defer p.closeControl()
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, failed := errgroup.WithContext(ctx)
	group.Go(func() error { p.fleets.Run(work, foldAfter); return nil })
	group.Go(func() error { garbage.Run(work, p.fleets.Quiet); return nil })
	group.Go(func() error { p.roster.Run(work, p.fleets.Memories); return nil })
	group.Go(func() error { p.attempts.Run(work); return nil })
	group.Go(func() error { return ended("--xds-listen", p.xds.Serve(p.secured.listener(ls, "xds"))) })
	group.Go(func() error { return ended("--api-listen", p.grpc.Serve(p.secured.listener(ls, "api"))) })
	group.Go(func() error { return ended("--http-listen", p.http.Serve(p.secured.web(ls, p.http))) })
	group.Go(func() error { again.run(work, hangup); return nil })
	if p.secured.keeper != nil {
		group.Go(func() error { p.secured.keeper.Run(work); return nil })
	}
	group.Go(func() error { p.desk.Run(work); return nil })
	group.Go(func() error { c.operation.trimHistory(work, d.store, log); return nil })
	group.Go(func() error { p.settleRestored(work, c.dataDir, log); return nil })
	p.comparator = startComparator(work, c, ls["comparator"], reachable(ls["api"]), log)
	p.setServing(true)
	if err := announce(c, ls, log, stderr); err != nil {
		group.Go(func() error { return err })
	}
	<-failed.Done()
	signal.Reset(stopSignals...) // before anybody can read that it stops: the next one ends the process
	log.Info("stopping; proxies keep serving with what they have")
	time.AfterFunc(stopTimeout, func() {
		log.Error("it did not stop in time, perhaps because the disk hangs; ending all the same")
		os.Exit(exitFailed)
	})
	err = removeReady(c.readyFile)
	p.stop()
	stopWork()
	return errors.Join(err, group.Wait())
}

// announce says where the server is, to programs and to people.
func announce(c *config, ls listeners, log *slog.Logger, stderr io.Writer) error {
	at := ls.bound()
	log.Info("serving", "version", version.String(), "xds", at["xds"], "api", at["api"], "http", at["http"], "comparator", at["comparator"], "dataDir", c.dataDir)
	if c.logFormat == "text" {
		fmt.Fprint(stderr, nextCommands(ls.advertised(c.advertise), c.secure()))
	}
	if c.readyFile == "" {
		return nil
	}
	return ready{
		PID: os.Getpid(), Version: version.String(), XDS: at["xds"], Comparator: at["comparator"], API: at["api"], HTTP: at["http"],
	}.write(c.readyFile)
}

// nextCommands is what somebody does who has just started a server.
func nextCommands(at map[string]string, secure bool) string {
	if secure {
		return securedCommands(at)
	}
	server := ""
	if at["api"] != "127.0.0.1:18080" { // shadowctl's default
		server = " --server " + at["api"]
	}
	return fmt.Sprintf(`
Next:
  shadowctl bootstrap --fleet default --node-id default-1 --listen-address 127.0.0.1 --xds %s > bootstrap.yaml
  envoy -c bootstrap.yaml --use-dynamic-base-id
  shadowctl%s apply -f FILE        # "shadowctl example service" prints one
  shadowctl%s get services

`, at["xds"], server, server)
}

func newLog(format string, w io.Writer) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// ended drops the error that only says that a server was stopped.
func ended(what string, err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return wrap("serve "+what, err)
}
