package cloudmap

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-proxy/crossfade/pkg/discovery/internal/aws"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Target is where the endpoints of one origin are.
type Target struct {
	// Region, for example "eu-central-1". Empty is that of the environment (AWS_REGION) or of the profile.
	Region string
	// Namespace by name: the HTTP name, which for nearly all is the name itself.
	Namespace string
	// Service by name.
	Service string
	// Port at which all instances listen. 0 is what each says in AWS_INSTANCE_PORT.
	Port int
}

// maxName is how long a name may be in Cloud Map.
const maxName = 1024

// Check returns what is wrong with a target, as policy.Errors; nil if nothing is.
func (t Target) Check() error {
	var wrong policy.Errors
	if bad := aws.CheckRegion(t.Region); bad != nil {
		wrong = append(wrong, bad)
	}
	refuse := func(field, code, value, message, next string) {
		wrong = append(wrong, &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next})
	}
	name := func(field, code, value, id string) {
		switch {
		case !named(value):
			refuse(field, code, value, fmt.Sprintf("a name in Cloud Map is at most %d letters, digits and signs, without spaces", maxName), "")
		case strings.HasPrefix(value, "arn:"), strings.HasPrefix(value, id):
			refuse(field, code, value, fmt.Sprintf("a %s is given by its name", field), "give the name, not the ID or the ARN")
		}
	}
	name("namespace", "namespace_invalid", t.Namespace, "ns-")
	name("service", "service_invalid", t.Service, "srv-")
	if t.Port < 0 || t.Port > 65535 {
		refuse("port", "port_invalid", strconv.Itoa(t.Port), "a port is between 1 and 65535, or 0 for what each instance says", "")
	}
	return wrong.Err()
}

// named says that Cloud Map takes a text as a name: it allows signs that no name has in DNS, but no spaces.
func named(text string) bool {
	return text != "" && len(text) <= maxName && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// String is the target as messages name it.
func (t Target) String() string {
	return fmt.Sprintf("Cloud Map service %q in namespace %q", t.Service, t.Namespace)
}
