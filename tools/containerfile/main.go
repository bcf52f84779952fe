// Command containerfile reads a Containerfile as BuildKit does, complains as its linter does, and prints the stages as JSON, for tests.
// It is a module of its own because it needs BuildKit's parser.
//
//	containerfile FILE
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stage is what follows one FROM.
type stage struct {
	Name     string    `json:"name,omitempty"`
	From     string    `json:"from"`
	Commands []command `json:"commands"`
}

// command is an instruction: its name, how it is written, and what BuildKit read.
type command struct {
	Name string               `json:"name"`
	Text string               `json:"text"`
	Read instructions.Command `json:"read"`
}

// file is a whole Containerfile.
type file struct {
	Arguments []instructions.ArgCommand `json:"arguments"` // before the first FROM
	Stages    []stage                   `json:"stages"`
	Warnings  []string                  `json:"warnings"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: containerfile FILE")
		os.Exit(2)
	}
	out, err := read(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(out)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// read parses and lints a file.
func read(path string) (file, error) {
	in, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer in.Close()
	parsed, err := parser.Parse(in)
	if err != nil {
		return file{}, err
	}
	var out file
	for _, w := range parsed.Warnings {
		out.Warnings = append(out.Warnings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, url, text string, at []parser.Range) {
		line := 0
		if len(at) > 0 {
			line = at[0].Start.Line
		}
		out.Warnings = append(out.Warnings, fmt.Sprintf("line %d: %s: %s", line, rule, text))
	}})
	stages, arguments, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return file{}, err
	}
	out.Arguments = arguments
	for _, s := range stages {
		one := stage{Name: s.Name, From: s.BaseName}
		for _, c := range s.Commands {
			one.Commands = append(one.Commands, command{Name: c.Name(), Text: fmt.Sprint(c), Read: c})
		}
		out.Stages = append(out.Stages, one)
	}
	return out, nil
}
