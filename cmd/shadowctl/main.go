// Command shadowctl is the command line of Crossfade, for people and for scripts: it talks only to the API (and validates, explains
// and breaks glass without it). One file holds one command. Standard output has the result and nothing else; errors and progress go
// to standard error; the exit code says which kind of error it was.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// sameSignal is for how long a second signal is taken for the first: of a job that is stopped, the terminal or the runner signals the whole group, and a
// wrapper passes it on.
const sameSignal = time.Second

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })() // then a second signal ends the process, whatever a command still waits for
	out := int(os.Stdout.Fd())
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		env: os.Getenv, now: time.Now,
	}
	if term.IsTerminal(out) {
		a.color = a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
		if width, height, err := term.GetSize(out); err == nil {
			a.width, a.height = width, height
		}
	}
	return a.run(ctx, os.Args[1:])
}
