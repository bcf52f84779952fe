package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/crossfade-proxy/crossfade/bench/internal/role"
)

// profiler is what each child can say of where its time and memory go.
type profiler struct {
	profile *os.File
}

// ProfileArgs name the file of a profile.
type ProfileArgs struct {
	File string
}

// StartProfile begins a CPU profile.
func (p *profiler) StartProfile(args ProfileArgs, _ *struct{}) (err error) {
	if p.profile, err = os.Create(args.File); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.profile)
}

// StopProfile ends it.
func (p *profiler) StopProfile(struct{}, *struct{}) error {
	pprof.StopCPUProfile()
	return p.profile.Close()
}

// HeapProfile writes what is alive.
func (p *profiler) HeapProfile(args ProfileArgs, _ *struct{}) error {
	f, err := os.Create(args.File)
	if err != nil {
		return err
	}
	defer f.Close()
	runtime.GC()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

// profiled asks both children of a runner for a profile, if there are to be any.
func (r *runner) profiled(ctx context.Context, method, of string) error {
	if r.profiles == "" {
		return nil
	}
	for _, c := range []*role.Child{r.server, r.fleet} {
		name := fmt.Sprintf("%s-%dx%d-%d-%s-%s.prof", r.system, r.Clients, r.Workload.Services, r.number+1, c.Name(), of)
		if err := c.Call(ctx, method, ProfileArgs{filepath.Join(r.profiles, name)}, nil); err != nil {
			return err
		}
	}
	return nil
}
