package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/manifest"
)

func newPin(a *app) *cobra.Command {
	return group("pin", "Send chosen requests to one origin, whatever the split", newPinAdd(a), newPinRemove(a), newPinList(a))
}

// pinFlags are the parts of a pin on the command line.
type pinFlags struct {
	origin, header, cookie, query string
	disabled                      bool
}

func newPinAdd(a *app) *cobra.Command {
	var f pinFlags
	cmd := &cobra.Command{
		Use: "add SERVICE PIN --origin ORIGIN --header|--cookie|--query TEST", Short: "Add a pin, or replace the one of that name",
		Long: `Add a pin: requests that match go to one origin, whatever the split. The first pin that matches wins. A pin of that name is replaced:
so one that a rollback switched off is switched on again.

TEST looks at one header, cookie or query parameter:
  x-beta=1          it is exactly this
  x-beta^=test-     it begins with this
  x-beta~=[0-9]+    all of it matches this RE2 expression
  x-beta            it is there
  !x-beta           it is not there`,
		Example: "  shadowctl pin add orders beta --origin eks --header x-beta=1",
		Args:    exactly("SERVICE", "PIN"), ValidArgsFunction: a.completeArgs(completeService, completePin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			pin, err := f.pin(args[1])
			if err != nil {
				return err
			}
			req := &crossfadev1.PutPinRequest{Service: args[0], Pin: pin, Options: a.options()}
			done := "pin " + pinWords(pin)
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.PutPin, req, args[0])
			if err != nil {
				return a.failureAfter(err, done)
			}
			return a.showChange(out.GetChange(), done)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.origin, "origin", "", "`ORIGIN` that gets the requests")
	flags.StringVar(&f.header, "header", "", "`TEST` of a request header")
	flags.StringVar(&f.cookie, "cookie", "", "`TEST` of a cookie")
	flags.StringVar(&f.query, "query", "", "`TEST` of a query parameter")
	flags.BoolVar(&f.disabled, "disabled", false, "add it switched off")
	_ = cmd.RegisterFlagCompletionFunc("origin", func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return a.completeArgs(completeOrigin)(cmd, args[:min(1, len(args))], word)
	}) // the flag exists
	return cmd
}

// pin builds the message. What is allowed in it is the server's to say, but one test is needed to say anything.
func (f *pinFlags) pin(name string) (*crossfadev1.Pin, error) {
	enabled := !f.disabled
	pin := &crossfadev1.Pin{Name: name, Origin: f.origin, Enabled: &enabled}
	given := 0
	if f.header != "" {
		pin.Match, given = &crossfadev1.Pin_Header{Header: valueMatch(f.header)}, given+1
	}
	if f.cookie != "" {
		pin.Match, given = &crossfadev1.Pin_Cookie{Cookie: valueMatch(f.cookie)}, given+1
	}
	if f.query != "" {
		pin.Match, given = &crossfadev1.Pin_Query{Query: valueMatch(f.query)}, given+1
	}
	switch {
	case f.origin == "":
		return nil, badFlag("origin", "", "is needed: the origin that gets the requests")
	case given != 1:
		return nil, usage("pin_match", "exactly one of --header, --cookie and --query is needed")
	}
	return pin, nil
}

// pinWords says what a pin does.
func pinWords(p *crossfadev1.Pin) string {
	words := p.GetName() + " sends " + testWords(p) + " to " + p.GetOrigin()
	if !p.GetEnabled() {
		words += " (off)"
	}
	return words
}

// valueMatch reads a test of a value: name=exact, name^=prefix, name~=regex, name, !name.
func valueMatch(test string) *crossfadev1.ValueMatch {
	name, value, ok := strings.Cut(test, "=")
	switch {
	case !ok && strings.HasPrefix(test, "!"):
		return &crossfadev1.ValueMatch{Name: test[1:], Condition: &crossfadev1.ValueMatch_Present{Present: false}}
	case !ok:
		return &crossfadev1.ValueMatch{Name: test, Condition: &crossfadev1.ValueMatch_Present{Present: true}}
	case strings.HasSuffix(name, "^"):
		return &crossfadev1.ValueMatch{Name: name[:len(name)-1], Condition: &crossfadev1.ValueMatch_Prefix{Prefix: value}}
	case strings.HasSuffix(name, "~"):
		return &crossfadev1.ValueMatch{Name: name[:len(name)-1], Condition: &crossfadev1.ValueMatch_Regex{Regex: value}}
	default:
		return &crossfadev1.ValueMatch{Name: name, Condition: &crossfadev1.ValueMatch_Exact{Exact: value}}
	}
}

// testWords is the reverse of valueMatch, with the part of the request before it.
func testWords(p *crossfadev1.Pin) string {
	part, m := "header ", p.GetHeader()
	if p.GetCookie() != nil {
		part, m = "cookie ", p.GetCookie()
	}
	if p.GetQuery() != nil {
		part, m = "query ", p.GetQuery()
	}
	switch c := m.GetCondition().(type) {
	case *crossfadev1.ValueMatch_Exact:
		return part + m.GetName() + "=" + c.Exact
	case *crossfadev1.ValueMatch_Prefix:
		return part + m.GetName() + "^=" + c.Prefix
	case *crossfadev1.ValueMatch_Regex:
		return part + m.GetName() + "~=" + c.Regex
	case *crossfadev1.ValueMatch_Present:
		if !c.Present {
			return part + "!" + m.GetName()
		}
	}
	return part + m.GetName()
}

func newPinRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rm SERVICE PIN", Aliases: []string{"remove", "delete"}, Short: "Remove a pin",
		Args: exactly("SERVICE", "PIN"), ValidArgsFunction: a.completeArgs(completeService, completePin, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			req := &crossfadev1.DeletePinRequest{Service: args[0], Name: args[1], Options: a.options()}
			done := "pin " + args[1] + " removed"
			out, err := write(ctx, a, crossfadev1.CrossfadeServiceClient.DeletePin, req, args[0])
			if err != nil {
				return a.failureAfter(err, done)
			}
			return a.showChange(out.GetChange(), done)
		}),
	}
}

func newPinList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list SERVICE", Short: "Show the pins of a service, in the order in which they are tried",
		Args: exactly("SERVICE"), ValidArgsFunction: a.completeArgs(completeService, completeNothing),
		RunE: a.do(func(ctx context.Context, args []string) error {
			got, err := read(ctx, a, crossfadev1.CrossfadeServiceClient.Get, &crossfadev1.GetRequest{Kind: "service", Name: args[0]})
			if err != nil {
				return err
			}
			pins := got.GetDocument().GetService().GetPins()
			list := manifest.List()
			for _, p := range pins {
				list.Content = append(list.Content, manifest.Node(p))
			}
			return a.show(pageOf(list, ""), func() {
				if len(pins) == 0 {
					a.note("%s has no pins.", args[0])
					return
				}
				a.write(pinsTable(pins))
			})
		}),
	}
}

func pinsTable(pins []*crossfadev1.Pin) *table {
	t := &table{head: []string{"PIN", "ORIGIN", "STATE", "REQUESTS WITH"}}
	for _, p := range pins {
		t.row(p.GetName(), p.GetOrigin(), pinState(p), testWords(p))
	}
	return t
}

func pinState(p *crossfadev1.Pin) cell {
	if p.Enabled != nil && !p.GetEnabled() {
		return cell{"off", faint}
	}
	return cell{"on", green}
}
