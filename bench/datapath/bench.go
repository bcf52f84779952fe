package main

import (
	"context"
	"errors"
	"os"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/envoybin"
	"github.com/crossfade-proxy/crossfade/internal/origin"
	"github.com/crossfade-proxy/crossfade/internal/stack"
)

// bench is what the parts share.
type bench struct {
	*options
	r       *report.Run
	dir     string
	binary  string // xds-server
	envoy   envoybin.Binary
	origins [2]*origin.Origin
	load    *loader
	sites   int
}

// originNames are those of the two origins between which all systems divide requests in halves.
var originNames = [2]string{"ecs", "eks"}

func newBench(ctx context.Context, o *options, r *report.Run) (b *bench, err error) {
	b = &bench{options: o, r: r}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "crossfade-bench-*"); err != nil {
		return b, err
	}
	if b.envoy, err = envoybin.Find(ctx, envoybin.Newest, os.Stderr); err != nil {
		return b, err
	}
	r.Version("envoy", b.envoy.Version)
	if b.binary, err = stack.Build(ctx, b.dir, "xds-server"); err != nil {
		return b, err
	}
	for i, name := range originNames {
		if b.origins[i], err = origin.Start(origin.Config{Name: name, Plain: true, Keep: -1}); err != nil {
			return b, err
		}
	}
	b.load, err = startLoader()
	return b, err
}

func (b *bench) close() {
	if b.load != nil {
		b.load.Close()
	}
	for _, o := range b.origins {
		if o != nil {
			o.Close()
		}
	}
	_ = os.RemoveAll(b.dir)
}

// addresses of the origins.
func (b *bench) addresses() [2]string { return [2]string{b.origins[0].Addr(), b.origins[1].Addr()} }

// halves returns an error unless each origin got about half of the requests since it had answered so many.
func (b *bench) halves(before [2]uint64) error {
	const least, slack = 1000, 0.1 // fewer are too few to say
	now := b.answered()
	first, second := float64(now[0]-before[0]), float64(now[1]-before[1])
	if sum := first + second; sum >= least && (first < (0.5-slack)*sum || second < (0.5-slack)*sum) {
		return errors.New("the requests were not divided in halves")
	}
	return nil
}

func (b *bench) answered() [2]uint64 {
	return [2]uint64{b.origins[0].Answered(), b.origins[1].Answered()}
}
