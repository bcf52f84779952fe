package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// exitUnavailable is shadowctl's exit code where no server answers.
const exitUnavailable = 5

// shadowctl shows a command, runs it, and lets it print what it prints.
func (d *demo) shadowctl(ctx context.Context, args ...string) error {
	return d.shadowctlExits(ctx, 0, args...)
}

// shadowctlExits is [demo.shadowctl] where another exit code is expected.
func (d *demo) shadowctlExits(ctx context.Context, want int, args ...string) error {
	return d.shadowctlAs(ctx, "", want, args...)
}

// shadowctlAs is the same by somebody; empty: by whoever runs the demo.
func (d *demo) shadowctlAs(ctx context.Context, who string, want int, args ...string) error {
	typed := "shadowctl " + quoted(args)
	if who != "" {
		typed = "USER=" + who + " " + typed
	}
	d.typed(typed)
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "shadowctl"), args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "CROSSFADE_SERVER="+d.Server.API)
	if who != "" {
		cmd.Env = append(cmd.Env, "USER="+who)
	}
	cmd.Stdout, cmd.Stderr = d.file, d.file
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("`%s` exited %d, not %d", typed, got, want)
	}
	return nil
}

// quoted joins arguments as one would type them.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if out[i] = a; strings.ContainsAny(a, " *?'&") {
			out[i] = `"` + a + `"`
		}
	}
	return strings.Join(out, " ")
}
