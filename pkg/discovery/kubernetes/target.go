package kubernetes

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// Target is where the endpoints of one origin are.
type Target struct {
	Namespace string
	// Service by name. Its slices are those that carry it in the label kubernetes.io/service-name, whoever writes them.
	Service string
	// Port is the name of a port of the service, or the number at which its pods listen: the target port, which need not be the
	// service's own. It may be empty if there is only one port.
	Port string
}

// Check returns what is wrong with a target, as policy.Errors; nil if nothing is.
func (t Target) Check() error {
	var wrong policy.Errors
	refuse := func(field, code, value, message, next string) {
		wrong = append(wrong, &policy.Error{Kind: policy.Invalid, Code: code, Field: field, Value: value, Message: message, Next: next})
	}
	if len(validation.IsDNS1123Label(t.Namespace)) > 0 {
		refuse("namespace", "namespace_invalid", t.Namespace, "a namespace is at most 63 lower-case letters, digits and dashes", "")
	}
	if len(validation.IsDNS1035Label(t.Service)) > 0 && len(validation.IsDNS1123Label(t.Service)) > 0 {
		refuse("service", "service_invalid", t.Service, "a service is at most 63 lower-case letters, digits and dashes",
			"give its name alone, without the namespace and without svc.cluster.local")
	}
	if number, err := strconv.Atoi(t.Port); err == nil {
		if len(validation.IsValidPortNum(number)) > 0 {
			refuse("port", "port_invalid", t.Port, "a port is between 1 and 65535", "")
		}
	} else if t.Port != "" && len(validation.IsDNS1123Label(t.Port)) > 0 {
		refuse("port", "port_invalid", t.Port, "a port is a number, or a name of lower-case letters, digits and dashes", "")
	}
	return wrong.Err()
}

// String is the target as messages name it.
func (t Target) String() string {
	return fmt.Sprintf("service %q in namespace %q", t.Service, t.Namespace)
}
