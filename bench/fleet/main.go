package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

func main() {
	if was, err := serveRole(); was {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench-fleet:", err)
			os.Exit(1)
		}
		return
	}
	report.Main("fleet", func(_ context.Context, args []string) error { return run(args, os.Stdout) })
}

// options are the flags.
type options struct {
	report.Options
	plan
	pairs   int
	systems []string
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := o.Flags("fleet", report.Words{Quick: "half a minute", Short: "5 minutes", Full: "20 minutes", Seed: "the intervals"})
	f.IntVar(&o.Clients, "clients", 1000, "simulated proxies")
	f.IntVar(&o.Workload.Services, "services", 200, "services")
	f.IntVar(&o.Workload.Flipping, "flipping", 20, "services whose weights change, in turn")
	f.IntVar(&o.Flips, "flips", 200, "measured changes per run")
	f.IntVar(&o.pairs, "pairs", 5, "rounds, in each of which every system runs")
	systems := f.String("peers", strings.Join(allPeers(), ","), "what to compare with")
	f.StringVar(&o.Profiles, "profiles", "", "folder for CPU and heap profiles of the servers, which cost time")
	if err := o.Parse(f, args); err != nil {
		return nil, err
	}
	var sized error
	switch o.Size {
	case report.Quick:
		sized = report.Default(f, "clients", "50", "services", "20", "flipping", "5", "flips", "10", "pairs", "1")
	case report.Short:
		sized = report.Default(f, "flips", "40", "peers", linear)
	case report.Full:
	}
	if sized != nil {
		return nil, sized
	}
	o.systems = append([]string{crossfade}, strings.Split(*systems, ",")...)
	return o, o.check()
}

func (o *options) check() error {
	w := o.Workload
	switch {
	case o.Clients < 1 || o.Flips < 1 || o.pairs < 1 || w.Flipping < 1:
		return errors.New("-clients, -flips, -pairs and -flipping must be at least 1")
	case w.Flipping > min(w.Services, maxFlipping):
		return fmt.Errorf("-flipping must be at most -services and %d", maxFlipping)
	case w.Services > 60_000:
		return errors.New("-services must be at most 60000: each has addresses of its own")
	}
	for _, name := range o.systems[1:] {
		if !slices.Contains(allPeers(), name) {
			return fmt.Errorf("-peers: there is no %q, only %s", name, strings.Join(allPeers(), ", "))
		}
	}
	return nil
}

func allPeers() (names []string) {
	for _, p := range peers {
		names = append(names, p.system)
	}
	return names
}

// maxFlipping is how many services the small layer of the server holds.
const maxFlipping = 64

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	r, err := o.Run("github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "google.golang.org/protobuf")
	if err != nil {
		return err
	}
	runs, err := o.measure(out)
	if err != nil {
		return err
	}
	o.lines(runs, r.Add)
	fmt.Fprintln(out)
	return r.Conclude(&o.Options)
}

// measure runs the rounds, every other one in reverse order.
func (o *options) measure(out io.Writer) (map[string][]*measured, error) {
	runs := map[string][]*measured{}
	for number := range o.pairs {
		order := slices.Clone(o.systems)
		if number%2 == 1 {
			slices.Reverse(order)
		}
		began := time.Now()
		round, err := o.round(order, number)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "round %d of %d took %.0f s\n", number+1, o.pairs, time.Since(began).Seconds())
		for _, name := range o.systems {
			runs[name] = append(runs[name], round[name])
			fmt.Fprintf(out, "  %-20s %v\n", name, round[name])
		}
	}
	return runs, nil
}

// String is what one looks at first.
func (m *measured) String() string {
	return fmt.Sprintf("flip p50 %.1f ms, p99 %.1f, CPU %.1f, %.1f MB; memory %.0f MB, peak %.0f; cold %.2f s, CPU %.2f; storm %.2f s, CPU %.2f; %d streams lost",
		report.ByP50.Of(m.Last)*1e3, report.ByP99.Of(m.Last)*1e3, m.FlipCPU*1e3, m.FlipBytes/1e6,
		float64(m.RSS)/1e6, float64(m.Peak)/1e6, m.Cold, m.ColdCPU, m.Storm, m.StormCPU, m.Lost)
}
