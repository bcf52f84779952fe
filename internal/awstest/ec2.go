package awstest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// answerEC2 carries out DescribeInstances: instances by ID, or by the filter instance-id.
func (e *ECS) answerEC2(w http.ResponseWriter, r *http.Request, form url.Values) {
	action := form.Get("Action")
	fault := e.count(action, "")
	if !e.slow(r) {
		return
	}
	switch {
	case fault != nil:
		writeEC2Error(w, fault.status(), fault.Code, fault.message(action))
		return
	case action != "DescribeInstances":
		writeEC2Error(w, http.StatusBadRequest, "InvalidAction", "only DescribeInstances is known here")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []string
	for _, id := range filtered(form) {
		if m := e.byEC2(id); m != nil {
			found = append(found, m.xml())
		}
	}
	for _, id := range values(form, "InstanceId.") {
		m := e.byEC2(id)
		if m == nil {
			writeEC2Error(w, http.StatusBadRequest, "InvalidInstanceID.NotFound", fmt.Sprintf("The instance ID '%s' does not exist", id))
			return
		}
		found = append(found, m.xml())
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>00000000</requestId><reservationSet>%s</reservationSet></DescribeInstancesResponse>`,
		strings.Join(found, ""))
}

// filtered returns the IDs that the filter instance-id names.
func filtered(form url.Values) []string {
	for i := 1; form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		if form.Get(fmt.Sprintf("Filter.%d.Name", i)) == "instance-id" {
			return values(form, fmt.Sprintf("Filter.%d.Value.", i))
		}
	}
	return nil
}

func values(form url.Values, prefix string) []string {
	var out []string
	for i := 1; form.Has(fmt.Sprintf("%s%d", prefix, i)); i++ {
		out = append(out, form.Get(fmt.Sprintf("%s%d", prefix, i)))
	}
	return out
}

// byEC2 finds an instance that EC2 knows. The caller holds mu.
func (e *ECS) byEC2(id string) *Machine {
	for _, m := range e.machines {
		if m.EC2 == id && m.Address != "" {
			return m
		}
	}
	return nil
}

func (m *Machine) xml() string {
	field := "privateIpAddress"
	if a, err := netip.ParseAddr(m.Address); err == nil && a.Is6() {
		field = "ipv6Address"
	}
	return fmt.Sprintf(`<item><reservationId>r-1</reservationId><instancesSet><item><instanceId>%s</instanceId><%s>%s</%s>`+
		`<instanceState><code>16</code><name>running</name></instanceState><placement><availabilityZone>%s</availabilityZone></placement>`+
		`</item></instancesSet></item>`, escape(m.EC2), field, escape(m.Address), field, escape(m.Zone))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func writeEC2Error(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>00000000</RequestID></Response>`,
		escape(code), escape(message))
}
