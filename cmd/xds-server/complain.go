package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// complain writes why the server did not start, or ended, for people: each problem on a line, and below it what to do.
func complain(w io.Writer, err error) {
	var placed manifest.Errors
	var plain policy.Errors
	var one *policy.Error
	switch {
	case errors.As(err, &placed):
	case errors.As(err, &plain):
		for _, e := range plain {
			placed = append(placed, &manifest.Error{Err: e})
		}
	case errors.As(err, &one):
		placed = manifest.Errors{{Err: one}}
	default:
		fmt.Fprintf(w, "error: %v\n", err)
		return
	}
	for _, e := range placed {
		bare := *e.Err
		bare.Next = ""
		fmt.Fprintf(w, "error: %v\n", &manifest.Error{File: e.File, Line: e.Line, Column: e.Column, Err: &bare})
		if e.Err.Next != "" {
			fmt.Fprintf(w, "  %s\n", e.Err.Next)
		}
	}
}
