package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

// show writes a result to standard output: as a tree in JSON or YAML, or as text for people.
func (a *app) show(tree *yaml.Node, text func()) error {
	switch a.output {
	case "json":
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, manifest.JSON(tree), "", "  "); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		return a.print(pretty.String() + "\n")
	case "yaml":
		out, err := manifest.Text(tree)
		if err != nil {
			return fmt.Errorf("write YAML: %w", err)
		}
		return a.print(string(out))
	default:
		text()
		return nil
	}
}

func (a *app) print(s string) error {
	_, err := fmt.Fprint(a.out, s)
	return err
}

// sink is standard output. It remembers that something could not be written, so that no command ends as if it had been.
type sink struct {
	io.Writer
	err error // the first
}

func (r *sink) Write(b []byte) (int, error) {
	n, err := r.Writer.Write(b)
	r.err = cmp.Or(r.err, err)
	return n, err
}

// failure says so. What the command did is done.
func (r *sink) failure() *failure {
	return &failure{exit: exitInternal, problems: []problem{{
		code: "output", message: "the result could not be written whole: " + r.err.Error(), next: "what the command did is done all the same; `shadowctl history` shows changes",
	}}}
}

// say writes a line of the result for people.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// note writes a line of progress or advice, which is no part of the result.
func (a *app) note(format string, args ...any) { fmt.Fprintf(a.err, format+"\n", args...) }

// page is the tree of a list: {"items":[…],"nextPageToken":…}.
func page[M proto.Message](items []M, nextPageToken string) *yaml.Node {
	return pageOf(answers(items), nextPageToken)
}

func pageOf(items *yaml.Node, nextPageToken string) *yaml.Node {
	out := manifest.Map()
	manifest.Put(out, "items", items)
	manifest.Put(out, "nextPageToken", manifest.Str(nextPageToken))
	return out
}

// answers is a list of messages.
func answers[M proto.Message](items []M) *yaml.Node {
	list := manifest.List()
	for _, m := range items {
		list.Content = append(list.Content, manifest.Answer(m))
	}
	return list
}
