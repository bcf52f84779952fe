package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// app is one invocation of the command line: where it reads and writes, and its global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time
	color    bool // whether out takes colours
	width    int  // of the terminal in columns; 0: not a terminal, nothing is cut
	height   int  // of the terminal in rows

	server         string
	tlsGiven       tlsFlags
	output         string
	reason         string
	wait           string
	timeout        time.Duration
	expectRevision int64
	idempotencyKey string

	conn *grpc.ClientConn  // nil until the server is needed
	docs []manifest.Parsed // documents read in this invocation, for the lines of errors
}

// run executes one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	out := &sink{Writer: a.out}
	a.out = out
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if a.conn != nil {
		_ = a.conn.Close() // nothing is sent any more
	}
	if err == nil && out.err != nil {
		err = out.failure()
	}
	if err == nil {
		return int(exitOK)
	}
	return int(a.fail(err))
}

// action is the body of a command.
type action func(ctx context.Context, args []string) error

// do makes an action the body of a cobra command. Errors that reach cobra otherwise are its own complaints about usage.
func (a *app) do(body action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := body(cmd.Context(), args); err != nil {
			return a.failureOf(err)
		}
		return nil
	}
}
