package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagFailure says of a flag that could not be read what it takes.
func flagFailure(cmd *cobra.Command, err error) error {
	bad := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &bad) {
		return usage("bad_flag", "%s", err)
	}
	f := badFlag(bad.GetFlag().Name, bad.GetValue(), err.Error())
	p := &f.problems[0]
	p.next = "usage: " + cmd.UseLine()
	switch bad.GetFlag().Value.Type() {
	case "duration":
		p.message = "must be a duration such as 500ms, 1.5s or 24h"
		if _, err := strconv.ParseFloat(bad.GetValue(), 64); err == nil {
			p.next = "add the unit: " + bad.GetValue() + "s or " + bad.GetValue() + "m"
		}
	case "int", "int32", "int64":
		p.message = "must be a whole number"
	case "bool":
		p.message = "must be true or false"
	}
	return f
}

// flagsOf writes names of flags as they are given.
func flagsOf(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "--" + n
	}
	return out
}
