package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

func main() {
	if was, err := serveRole(); was {
		exit(err)
	}
	exit(run(os.Args[1:], os.Stdout))
}

func exit(err error) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-fleet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are the flags.
type options struct {
	plan
	pairs   int
	systems []string
	quick   bool
	results string
	seed    uint64
	args    []string
}

func parse(args []string) (*options, error) {
	o := &options{args: args}
	f := flag.NewFlagSet("bench-fleet", flag.ContinueOnError)
	f.IntVar(&o.Clients, "clients", 1000, "simulated proxies")
	f.IntVar(&o.Workload.Services, "services", 200, "services")
	f.IntVar(&o.Workload.Flipping, "flipping", 20, "services whose weights change, in turn")
	f.IntVar(&o.Flips, "flips", 100, "measured changes per run")
	f.IntVar(&o.pairs, "pairs", 5, "runs of each system, alternating")
	systems := f.String("peers", linear+","+linearRoutes, "what to compare with")
	f.BoolVar(&o.quick, "quick", false, "everything once and small: shows that it works, not how fast")
	f.StringVar(&o.results, "results", "", "folder for results (default bench/results)")
	f.StringVar(&o.Profiles, "profiles", "", "folder for CPU and heap profiles of the servers, which cost time")
	f.Uint64Var(&o.seed, "seed", 1, "of the intervals")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if o.systems = append([]string{crossfade}, strings.Split(*systems, ",")...); f.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if o.quick {
		set := map[string]bool{}
		f.Visit(func(f *flag.Flag) { set[f.Name] = true })
		for name, value := range map[string]string{"clients": "50", "services": "20", "flipping": "5", "flips": "10", "pairs": "1"} {
			if !set[name] {
				if err := f.Set(name, value); err != nil {
					return nil, err
				}
			}
		}
	}
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
		if name != linear && name != linearRoutes {
			return fmt.Errorf("-peers: there is no %q; there are %s and %s", name, linear, linearRoutes)
		}
	}
	return nil
}

// maxFlipping is how many services the small layer of the server holds.
const maxFlipping = 64

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.results == "" {
		root, err := report.Root()
		if err != nil {
			return err
		}
		o.results = filepath.Join(root, "bench", "results")
	}
	r := report.NewRun("fleet", strings.Join(append([]string{"go run ./bench/fleet"}, args...), " "), o.seed, time.Now(),
		"github.com/envoyproxy/go-control-plane", "google.golang.org/grpc", "google.golang.org/protobuf")
	runs, err := o.measure(out)
	if err != nil {
		return err
	}
	o.lines(runs, r.Add)
	folder := r.Folder(o.results, o.quick)
	if err := r.Write(folder); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", filepath.Join(folder, "summary.md"))
	for _, missed := range r.Missed() {
		fmt.Fprintln(out, "aim missed:", missed)
	}
	return nil
}

// measure runs the systems in turn, each round in another order, so that what changes on the machine meanwhile hits all alike.
func (o *options) measure(out io.Writer) (map[string][]*measured, error) {
	runs := map[string][]*measured{}
	for pair := range o.pairs {
		order := slices.Clone(o.systems)
		if pair%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			began := time.Now()
			m, err := o.run(name, pair)
			if err != nil {
				return nil, err
			}
			runs[name] = append(runs[name], m)
			last := slices.Sorted(slices.Values(m.Last))
			fmt.Fprintf(out, "%-19s run %d: flip p50 %.1f ms p99 %.1f ms, %.1f ms CPU, %.0f kB; memory %.0f MB, peak %.0f; cold %.2f s; storm %.2f s (took %.0f s)\n",
				name, pair+1, report.Quantile(last, 0.5)*1e3, report.Quantile(last, 0.99)*1e3, m.FlipCPU*1e3, m.FlipBytes/1e3,
				float64(m.RSS)/1e6, float64(m.Peak)/1e6, m.Cold, m.Storm, time.Since(began).Seconds())
		}
	}
	return runs, nil
}
