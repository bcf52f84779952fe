package report

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Size is how much of a benchmark runs.
type Size int

// The sizes.
const (
	Short Size = iota // minutes: what is far from its aim shows; not kept
	Quick             // seconds: shows that everything runs, and says nothing about speed; no aims; not kept
	Full              // as much as the aims need: these results are committed
)

// suffix ends the name of the folder of a report: what is not full, or is full of flags or variables that were given by hand, is not what others are
// compared with.
func (o *Options) suffix() string {
	if o.Size == Full && o.custom {
		return custom
	}
	return [...]string{Short: "-short", Quick: "-quick", Full: ""}[o.Size]
}

// What ends the names of folders of full reports that others cannot repeat by the command of the benchmark and a commit.
const (
	custom = "-custom"
	dirty  = "-dirty"
)

// mayBeLatest says that a report in a folder of this name may be the latest of its benchmark.
func mayBeLatest(folder string) bool {
	return !slices.ContainsFunc([]string{"-short", "-quick", custom, dirty}, func(end string) bool { return strings.HasSuffix(folder, end) })
}

// Options are what every benchmark takes.
type Options struct {
	Size    Size
	Only    string // part of the names of the parts to run; then nothing is written
	Results string // folder; empty: bench/results
	Seed    uint64

	bench  string
	env    []string // variables that change what is measured, as NAME=VALUE
	args   []string
	custom bool // such a variable is set, or a flag that is of the measuring was given
}

// Words are what differs between benchmarks in the help of their common flags.
type Words struct {
	Quick, Short, Full string // how long each size takes on two cores
	Parts              string // names of the parts; empty: there are none
	Seed               string // what it is of
}

// Flags are the common flags of a benchmark, to which it adds its own.
func (o *Options) Flags(bench string, w Words) *flag.FlagSet {
	o.bench = bench
	f := flag.NewFlagSet("bench-"+bench, flag.ContinueOnError)
	size := func(to Size) func(string) error {
		return func(value string) error {
			if on, err := strconv.ParseBool(value); err != nil || !on {
				return err
			}
			if o.Size != Short && o.Size != to {
				return errors.New("-quick and -full exclude each other")
			}
			o.Size = to
			return nil
		}
	}
	f.BoolFunc("quick", fmt.Sprintf("everything small, %s instead of %s: shows that it works, and says nothing about speed", w.Quick, w.Short), size(Quick))
	f.BoolFunc("full", fmt.Sprintf("as much as the aims need, %s", w.Full), size(Full))
	f.StringVar(&o.Results, "results", "", "folder for results (default bench/results)")
	f.Uint64Var(&o.Seed, "seed", 1, "of "+w.Seed)
	if w.Parts != "" {
		f.StringVar(&o.Only, "only", "", "run only the parts whose name ("+w.Parts+") contains this; writes no results")
	}
	return f
}

// Smaller are the values that flags have in smaller runs where they were not given, in pairs of name and value.
type Smaller map[Size][]string

// Parse parses the arguments of a benchmark. What its flags say without arguments is a full run.
func (o *Options) Parse(f *flag.FlagSet, args []string, smaller Smaller) error {
	o.args, o.env = args, measuring(os.Environ())
	o.custom = len(o.env) > 0
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) {
		given[f.Name] = true
		o.custom = o.custom || !slices.Contains([]string{"quick", "full", "results", "seed", "only"}, f.Name)
	})
	for pair := range slices.Chunk(smaller[o.Size], 2) {
		if given[pair[0]] {
			continue
		}
		if err := f.Set(pair[0], pair[1]); err != nil {
			return fmt.Errorf("-%s: %w", pair[0], err)
		}
	}
	return nil
}

// Report is a run of the benchmark: what measure adds is concluded, unless it fails. The modules are those whose versions matter.
func (o *Options) Report(measure func(*Run) error, modules ...string) error {
	var err error
	if o.Results, err = Results(o.Results); err != nil {
		return err
	}
	r := NewRun(o.bench, command(o.bench, o.env, o.args), o.Seed, time.Now(), modules...)
	if err := measure(r); err != nil {
		return err
	}
	return r.conclude(o)
}

// measuring are the variables of an environment that change what is measured, sorted: those of Go's runtime, and ours, of which each flag of xds-server is
// one. Three of ours do not: who a process of a benchmark is, a secret that has no place in a report, and what shadowctl asks.
func measuring(environ []string) (out []string) {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		ours := strings.HasPrefix(name, "CROSSFADE_") && !slices.Contains([]string{"CROSSFADE_BENCH_ROLE", "CROSSFADE_COMPARATOR_TOKEN", "CROSSFADE_SERVER"}, name)
		if value != "" && (ours || slices.Contains([]string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"}, name)) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// command is what a POSIX shell runs a benchmark with these variables and arguments by.
func command(bench string, env, args []string) string {
	var words []string
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		words = append(words, name+"="+quoted(value))
	}
	words = append(words, "go run ./bench/"+bench)
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted is a word that a shell reads as it is.
func quoted(word string) string {
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// plain are the characters that mean themselves to a shell wherever they stand.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@%"

// Part is one of a benchmark's.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Parts runs those that are wanted, one after the other.
func (o *Options) Parts(ctx context.Context, parts []Part) error {
	any := false
	for _, p := range parts {
		if !strings.Contains(p.Name, o.Only) {
			continue
		}
		any = true
		began := time.Now()
		if err := p.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		fmt.Printf("%s took %.0f s\n", p.Name, time.Since(began).Seconds())
	}
	if !any {
		return fmt.Errorf("-only: no part has %q in its name", o.Only)
	}
	return nil
}

// Main is the main function of a benchmark: it runs until it is done or interrupted. Exit code 2: the flags were asked for, 1: it failed.
func Main(bench string, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench-%s: %v\n", bench, err)
		os.Exit(1)
	}
}
