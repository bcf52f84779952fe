// Command demo shows the main job on this machine: real Envoys split live traffic, pin a request, and roll back, with nothing lost.
//
// It is a test as well: what is not as promised is said, and the exit code is 1. The last line on standard output is JSON, for
// scripts. The exit code is 130 after Ctrl-C in the middle of the story.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/envoybin"
)

// errInterrupted ends the story on a signal.
var errInterrupted = errors.New("interrupted")

// options are the flags.
type options struct {
	keep bool
	pace time.Duration // how long the client is watched after each step
	bin  string        // where xds-server and shadowctl are
	dir  string        // for data and logs; removed at the end
}

func main() {
	var o options
	flag.BoolVar(&o.keep, "keep", false, "stay up after the story, to try things out")
	flag.DurationVar(&o.pace, "pace", 5*time.Second, "how long to watch the client after each step, 1s to 10s")
	flag.StringVar(&o.bin, "bin", "", "folder of xds-server and shadowctl (default: that of this program)")
	flag.Parse()
	if flag.NArg() > 0 || o.pace < time.Second || o.pace > 10*time.Second {
		flag.Usage()
		os.Exit(2)
	}
	os.Exit(run(o))
}

// run is main without flags; it returns the exit code.
func run(o options) int {
	ctx, interrupt := context.WithCancelCause(context.Background())
	defer interrupt(nil)
	go awaitSignal(interrupt)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write fails instead of ending the process, which has to clean up
	out := &output{w: os.Stdout, failed: func(err error) { interrupt(fmt.Errorf("the output is gone: %w", err)) }}
	res := &result{}
	s := newScreen(out, os.Stdout)
	if err := play(ctx, o, s, res); err != nil {
		res.broke(err.Error())
		s.say("\n%s", s.paint("The demo ends here: "+err.Error(), red))
	}
	fmt.Fprintln(out, res.line())
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted) && !res.told:
		return 130
	case len(res.why) > 0:
		return 1
	default:
		return 0
	}
}

// awaitSignal interrupts at the first signal; a second one ends the process at once, and the kernel its children.
func awaitSignal(interrupt context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		ends = append(ends, syscall.SIGHUP)
	}
	signal.Notify(signals, ends...)
	<-signals
	signal.Reset(ends...)
	interrupt(errInterrupted)
}

// output notices when nobody reads any more.
type output struct {
	w      io.Writer
	failed func(error)
}

// Write writes to w.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.failed(err)
	}
	return n, err
}

// play prepares, tells the story, and cleans up.
func play(ctx context.Context, o options, s *screen, res *result) (err error) {
	if o.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.bin = filepath.Dir(self)
	}
	if o.dir, err = os.MkdirTemp("", "crossfade-demo-*"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	binary, err := envoybin.Find(ctx, envoybin.Newest, s.out)
	if err != nil {
		return cause(ctx, err)
	}
	d := &demo{options: o, screen: s, result: res}
	defer d.close()
	err = d.story(ctx, binary)
	if (err != nil || len(res.why) > 0) && ctx.Err() == nil {
		d.showLogs()
	}
	return cause(ctx, err)
}

// cause is why ctx ended, where that is what err is about.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
