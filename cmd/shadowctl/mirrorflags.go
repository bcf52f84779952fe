package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// maxDescriptors bounds a file of descriptors, in bytes: the server takes no more.
const maxDescriptors = 1 << 20

// mirrorFlags are the parts of an experiment on the command line.
type mirrorFlags struct {
	service, control, candidate string
	share                       string
	maxRPS                      int32
	duration, learn             time.Duration
	methods, grpcMethods        []string
	allowWrites, dark           bool
	keep, paths, ignore         []string
	identity, descriptors       string
}

// add declares the flags. Defaults that are the server's are only told: what is not given is not sent.
func (f *mirrorFlags) add(a *app, cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.service, "service", "", "the `SERVICE` whose requests are copied")
	s.StringVar(&f.candidate, "candidate", "", "the `ORIGIN` that is tried")
	s.StringVar(&f.control, "control", "", "the `ORIGIN` whose answers are right (default: the primary)")
	s.StringVar(&f.share, "share", "1%", "how many `PERCENT` of the requests are copied")
	s.Int32Var(&f.maxRPS, "max-rps", 0, "at most `N` copies a second are asked again (default: a tenth of what control gets live)")
	s.DurationVar(&f.duration, "duration", time.Hour, "how `LONG` it runs")
	s.DurationVar(&f.learn, "learn", time.Minute, "how `LONG` nobody is asked at the start, while paths are listed")
	s.StringSliceVar(&f.methods, "methods", nil, "`METHODS` that are copied (default GET,HEAD,OPTIONS)")
	s.BoolVar(&f.allowWrites, "allow-writes", false, "methods that change something may be copied: the origins do again what was asked once")
	s.StringArrayVar(&f.grpcMethods, "grpc-method", nil, "unary gRPC `METHOD` that is copied, \"shop.Orders/Get\"; may be repeated")
	s.StringVar(&f.descriptors, "descriptors", "", "`FILE` with a FileDescriptorSet, for the names of gRPC fields")
	s.StringArrayVar(&f.paths, "path-prefix", nil, "only paths below this `PREFIX`; may be repeated")
	s.StringArrayVar(&f.keep, "keep-header", nil, "`HEADER` with credentials that stays in copies; may be repeated")
	s.StringVar(&f.identity, "identity", "", "test identity that copies get, by its `NAME` in the server's settings")
	s.StringArrayVar(&f.ignore, "ignore", nil, "`PLACE` in answers that may differ, \"$.updatedAt\"; may be repeated")
	s.BoolVar(&f.dark, "dark", false, "ask the candidate alone, for load: nothing is compared")
	_ = cmd.MarkFlagFilename("descriptors", "binpb", "pb") // the flags exist, here and below
	_ = cmd.RegisterFlagCompletionFunc("service", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.completeArgs(completeService)(cmd, nil, word)
	})
	for _, flag := range []string{"candidate", "control"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return a.completeArgs(func(ctx context.Context, a *app, _ []string) []string {
				return completeOrigin(ctx, a, []string{f.service})
			})(cmd, nil, word)
		})
	}
}

// given says which flags describe an experiment, of those that a command line has.
func given(cmd *cobra.Command, others ...string) []string {
	var out []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if cmd.InheritedFlags().Lookup(flag.Name) == nil && !slices.Contains(others, flag.Name) {
			out = append(out, flag.Name)
		}
	})
	return out
}

// mirror builds the document. What is allowed in it is the server's to say, but without these two there is nothing to say.
func (f *mirrorFlags) mirror(name string, given []string) (*crossfadev1.Mirror, error) {
	switch {
	case f.service == "":
		return nil, incomplete("service", "is needed: the service whose requests are copied", name)
	case f.candidate == "":
		return nil, incomplete("candidate", "is needed: the origin that is tried", name)
	}
	share, err := policy.ParseWeight(f.share)
	if err != nil {
		return nil, flagError("share", err)
	}
	m := &crossfadev1.Mirror{
		ApiVersion: policy.APIVersion, Kind: policy.KindMirror, Name: name, Service: f.service, Control: f.control, Candidate: f.candidate, Share: int32(share),
		MaxRps: f.maxRPS, Methods: f.methods, GrpcMethods: f.grpcMethods, AllowWrites: f.allowWrites, PathPrefixes: f.paths, KeepHeaders: f.keep, Identity: f.identity,
	}
	if f.dark {
		m.Mode = modeDark
	}
	if slices.Contains(given, "duration") {
		m.Duration = durationpb.New(f.duration)
	}
	if slices.Contains(given, "learn") {
		m.Learn = durationpb.New(f.learn)
	}
	for _, place := range f.ignore {
		m.Rules = append(m.Rules, &crossfadev1.MirrorRule{Path: place, Action: "ignore"})
	}
	if f.descriptors != "" {
		b, err := readDescriptors(f.descriptors)
		if err != nil {
			return nil, err
		}
		m.Grpc = &crossfadev1.MirrorGrpc{Descriptors: b}
	}
	return m, nil
}

// incomplete says that flags are the whole of an experiment: they change nothing in one that was there.
func incomplete(flag, message, name string) error {
	f := badFlag(flag, "", message)
	f.problems[0].next = "flags describe the whole experiment, so they take --service and --candidate; without any, `shadowctl mirror start " + name + "` runs one that has ended as it was"
	return f
}

func readDescriptors(name string) ([]byte, error) {
	unreadable := func(err error) error {
		f := fileFailure(name, err)
		f.problems[0].field = "--descriptors"
		return f
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxDescriptors+1))
	switch {
	case err != nil:
		return nil, unreadable(err)
	case len(b) > maxDescriptors:
		return nil, badFlag("descriptors", name, fmt.Sprintf("has more than %d bytes: leave out what the methods do not use", maxDescriptors))
	case len(b) == 0:
		return nil, badFlag("descriptors", name, "is empty; `buf build -o FILE` or `protoc --include_imports --descriptor_set_out=FILE` write one")
	}
	return b, nil
}

// flagError names the flag in an error of its value.
func flagError(flag string, err error) error {
	var e *policy.Error
	if !errors.As(err, &e) {
		return badFlag(flag, "", err.Error())
	}
	f := badFlag(flag, e.Value, e.Message)
	f.problems[0].code, f.problems[0].next = e.Code, e.Next
	return f
}
