package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// acts are what a process of these tests can be, by its first argument.
func acts() map[string]func() {
	return map[string]func(){
		"wait": func() { say("%d", os.Getpid()); forever() },
		"fail": func() { os.Exit(3) },
		"orderly": func() {
			term := make(chan os.Signal, 1)
			signal.Notify(term, syscall.SIGTERM)
			say("%d", os.Getpid())
			<-term
			say("goodbye")
		},
		"deaf": func() {
			signal.Ignore(syscall.SIGTERM)
			say("%d", os.Getpid())
			forever()
		},
		"variables": func() { say("%s", strings.Join(os.Environ(), " ")); forever() },
		"eat":       eat,
		"parent":    parent,
	}
}

// forever waits for a signal that nobody sends. A bare select would do where the race detector is on; without it, Go ends a process in which
// nothing can happen any more.
func forever() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	<-never
}

// say writes a line to the test.
func say(format string, args ...any) {
	if _, err := fmt.Fprintf(os.NewFile(3, "test"), format+"\n", args...); err != nil {
		os.Exit(4)
	}
}

// eat takes 400 MiB of memory, and then waits.
func eat() {
	say("%d", os.Getpid())
	memory, err := syscall.Mmap(-1, 0, 400<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		os.Exit(5)
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	forever()
}

// parent has a child of its own.
func parent() {
	Start(context.Background(), Config{Name: "toy", Args: []string{"wait"}, Files: []*os.File{os.NewFile(3, "test")}, Log: slog.New(slog.DiscardHandler)})
	forever()
}
