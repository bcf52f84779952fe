package shadow

import (
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/endpoint"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// OptionsOf returns the settings of an experiment as its document has them, or what is wrong with its rules, templates and descriptors; the
// errors name fields of the document. Key is that of the hashes, see [Options]; nil suffices to find out whether the document is good.
func OptionsOf(m *policy.Mirror, key []byte) (Options, policy.Errors) {
	o := Options{Key: key, Endpoints: m.Endpoints, Headers: m.Compare, Values: m.Values}
	for _, r := range m.Rules {
		o.Rules = append(o.Rules, rule.Rule{
			Endpoint: r.Endpoint, Path: r.Path, Action: rule.Action(r.Action), Abs: r.Abs, Rel: r.Rel, Window: r.Window, Pattern: r.Pattern, Key: r.Key,
		})
	}
	_, errs := rule.Compile(o.Rules)
	_, wrong := endpoint.New(o.Endpoints)
	errs = append(errs, wrong...)
	if len(m.Descriptors) > 0 {
		d, err := ReadDescriptors(m.Descriptors)
		if err != nil {
			err.Field = "grpc.descriptors"
			errs = append(errs, err)
		}
		o.Descriptors = d
	}
	if len(errs) > 0 {
		return Options{}, errs
	}
	return o, nil
}
