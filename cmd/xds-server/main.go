// Command xds-server is the control plane of Crossfade: it serves the proxies of all fleets and the API that changes where traffic goes. In
// another role it compares for one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/crossfade-proxy/crossfade/internal/version"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitInvalid = 2 // bad flags, environment or file
)

// stopSignals end the server in order; a second one ends the process.
var stopSignals = []os.Signal{syscall.SIGTERM, os.Interrupt}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals...)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main without what belongs to the process.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && storeCommands[args[0]] != nil {
		return onStore(ctx, args, stdout, stderr)
	}
	c, err := parse(args, env)
	switch {
	case errors.Is(err, errHelp):
		fmt.Fprint(stdout, usage())
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "xds-server "+version.String())
		return exitOK
	case err != nil:
		complain(stderr, err)
		return exitInvalid
	}
	work := serve
	if c.role == roleComparator {
		work = compare
	}
	if err := work(ctx, c, stderr); err != nil {
		complain(stderr, err)
		return exitFailed
	}
	return exitOK
}
