package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

func newValidate(a *app) *cobra.Command {
	var f files
	cmd := &cobra.Command{
		Use: "validate -f FILE…", Short: "Check files without a server",
		Long: `Check documents by every rule that needs no server: each on its own, and the services of all files against each other.
Clashes with services that only the server knows are found by "diff" and "apply".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.names = append(f.names, args...)
			return a.do(func(context.Context, []string) error { return a.validate(f.names) })(cmd, args)
		},
	}
	f.flag(cmd, "documents to check:")
	return cmd
}

func (a *app) validate(names []string) error {
	docs, err := a.readDocuments(names)
	if err != nil {
		return err
	}
	if _, err := compile(docs); err != nil {
		return err
	}
	list := manifest.List()
	for _, d := range a.docs {
		one := manifest.Map()
		manifest.Put(one, "kind", manifest.Str(manifest.KindOf(d.Document)))
		manifest.Put(one, "name", manifest.Str(manifest.NameOf(d.Document)))
		manifest.Put(one, "file", manifest.Str(d.File))
		manifest.Put(one, "line", manifest.Int(d.Line("")))
		list.Content = append(list.Content, one)
	}
	return a.show(pageOf(list, ""), func() {
		for _, d := range a.docs {
			a.say("%s:%d: %s %s is valid", d.File, d.Line(""), manifest.KindOf(d.Document), manifest.NameOf(d.Document))
		}
	})
}

// compile gives documents their meaning, or says everything that is wrong with them. What is no service has nil in its place.
func compile(docs []*crossfadev1.Document) ([]*policy.Service, error) {
	var (
		found    policy.Errors
		services = make([]*policy.Service, len(docs))
		mirrors  = make([]*policy.Mirror, len(docs))
		seen     = map[string]bool{}
	)
	for i, d := range docs {
		var errs policy.Errors
		switch {
		case d.GetService() != nil:
			services[i], errs = policy.CompileService(d.GetService())
		case d.GetMirror() != nil:
			mirrors[i], errs = policy.CompileMirror(d.GetMirror())
		case d.GetRollout() != nil:
			_, errs = rollout.Compile(d.GetRollout())
		default:
			_, errs = policy.CompileFleet(d.GetFleet())
		}
		if key := manifest.KindOf(d) + " " + manifest.NameOf(d); d.GetService() == nil && seen[key] {
			errs = append(errs, &policy.Error{
				Kind: policy.Invalid, Code: "name_duplicate", Field: "name", Value: manifest.NameOf(d), Message: fmt.Sprintf("two documents set %s %q", strings.ToLower(manifest.KindOf(d)), manifest.NameOf(d)),
			})
		} else {
			seen[key] = true
		}
		found = append(found, at(i, errs)...)
	}
	if len(found) == 0 {
		found = append(policy.CheckServices(services), checkMirrors(mirrors, services)...)
		found = append(found, checkRollouts(docs, services)...)
	}
	return services, found.Err()
}

// checkMirrors sets experiments against those of their services that are in the same files.
func checkMirrors(mirrors []*policy.Mirror, services []*policy.Service) policy.Errors {
	var found policy.Errors
	for i, m := range mirrors {
		for _, s := range services {
			if m != nil && s != nil && s.Name == m.Service {
				_, errs := m.For(s)
				found = append(found, at(i, errs)...)
			}
		}
	}
	return found
}

// checkRollouts looks whether the origins of rollouts are there, of services in the same files. Roles, hooks and what is live are the server's to know.
func checkRollouts(docs []*crossfadev1.Document, services []*policy.Service) policy.Errors {
	var found policy.Errors
	for i, d := range docs {
		for _, s := range services {
			if r := d.GetRollout(); r != nil && s != nil && s.Name == r.GetService() {
				found = append(found, at(i, originsOf(r, s))...)
			}
		}
	}
	return found
}

func originsOf(r *crossfadev1.Rollout, s *policy.Service) policy.Errors {
	var found policy.Errors
	var names []string
	for _, o := range s.Origins {
		names = append(names, o.Name)
	}
	for _, f := range []struct{ field, name string }{{"to", r.GetTo()}, {"from", dashOr(r.GetFrom(), s.Primary)}} {
		if !slices.Contains(names, f.name) {
			found = append(found, policy.InvalidField(f.field, "origin_unknown", f.name, "the service has no origin of this name", "the service's origins are "+strings.Join(names, ", ")))
		}
	}
	return found
}

// at says which document errors are of.
func at(document int, errs policy.Errors) policy.Errors {
	for _, e := range errs {
		e.Document = document
	}
	return errs
}
