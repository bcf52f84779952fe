package cloudmap

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fake is a Cloud Map that answers as AWS documents it, in memory, so that it works inside a bubble of testing/synctest. Its shapes are
// those that moto and the SDK agree on; TestAgainstMoto asks the same of moto.
type fake struct {
	mu       sync.Mutex
	services map[string]map[string]instance // by "namespace/service", by ID of the instance
	hosts    map[string]bool
	asked    []string                                               // actions, in order
	fault    func(action, service string) (status int, code string) // of the next answers; 0 is none
	hang     bool
	key      string // the access key that it accepts; "" is any
}

func newFake() *fake {
	return &fake{services: map[string]map[string]instance{}, hosts: map[string]bool{}}
}

// Do makes it an HTTP client of the SDK.
func (f *fake) Do(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	hang := f.hang
	f.hosts[r.URL.Host] = true
	f.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	f.serve(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

type question struct {
	NamespaceName, ServiceName, HealthStatus string
	ServiceID                                string `json:"ServiceId"`
	NextToken                                string
	MaxResults                               int
	Filters                                  []struct {
		Name, Condition string
		Values          []string
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.asked = append(f.asked, action)
	var q question
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &q); err != nil {
		refuseWith(w, http.StatusBadRequest, "SerializationException")
		return
	}
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+f.key) {
		refuseWith(w, http.StatusBadRequest, "UnrecognizedClientException")
		return
	}
	service := q.NamespaceName + "/" + q.ServiceName
	if q.ServiceID != "" {
		service = strings.TrimPrefix(q.ServiceID, "srv-")
	}
	if f.fault != nil {
		if status, code := f.fault(action, service); status != 0 {
			refuseWith(w, status, code)
			return
		}
	}
	f.answer(w, action, service, q)
}

func (f *fake) answer(w http.ResponseWriter, action, service string, q question) {
	namespace, _, _ := strings.Cut(service, "/")
	instances, there := f.services[service]
	switch action {
	case "ListNamespaces":
		var all []any
		for _, n := range f.namespaces() {
			if len(q.Filters) == 1 && q.Filters[0].Name == "HTTP_NAME" && slices.Contains(q.Filters[0].Values, n) {
				all = append(all, map[string]any{"Id": "ns-" + n, "Name": n, "Properties": map[string]any{"HttpProperties": map[string]any{"HttpName": n}}})
			}
		}
		page(w, "Namespaces", all, q)
	case "ListServices":
		var all []any
		for _, s := range slices.Sorted(maps.Keys(f.services)) {
			if n, name, _ := strings.Cut(s, "/"); len(q.Filters) == 1 && slices.Contains(q.Filters[0].Values, "ns-"+n) {
				all = append(all, map[string]any{"Id": "srv-" + s, "Name": name})
			}
		}
		page(w, "Services", all, q)
	case "DiscoverInstances":
		switch {
		case !slices.Contains(f.namespaces(), namespace):
			refuseWith(w, http.StatusBadRequest, "NamespaceNotFound")
		case !there:
			refuseWith(w, http.StatusBadRequest, "ServiceNotFound")
		default:
			discovered(w, instances, q)
		}
	case "ListInstances", "GetInstancesHealthStatus":
		if !there {
			refuseWith(w, http.StatusBadRequest, "ServiceNotFound")
			return
		}
		f.list(w, action, instances, q)
	default:
		refuseWith(w, http.StatusBadRequest, "UnknownOperationException")
	}
}

// discovered answers DiscoverInstances: in random order, by health, up to so many.
func discovered(w http.ResponseWriter, instances map[string]instance, q question) {
	anyHealthy := false
	for _, i := range instances {
		anyHealthy = anyHealthy || i.health == "HEALTHY"
	}
	var all []any
	for _, i := range instances {
		if (q.HealthStatus == "" || q.HealthStatus == "HEALTHY_OR_ELSE_ALL") && anyHealthy && i.health != "HEALTHY" {
			continue
		}
		all = append(all, map[string]any{"InstanceId": i.id, "HealthStatus": i.health, "Attributes": i.attributes})
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	if q.MaxResults == 0 {
		q.MaxResults = 100
	}
	write(w, map[string]any{"Instances": all[:min(len(all), q.MaxResults)], "InstancesRevision": 1})
}

func (f *fake) list(w http.ResponseWriter, action string, instances map[string]instance, q question) {
	ids := slices.Sorted(maps.Keys(instances))
	if action == "ListInstances" {
		all := make([]any, len(ids))
		for i, id := range ids {
			all[i] = map[string]any{"Id": id, "Attributes": instances[id].attributes}
		}
		page(w, "Instances", all, q)
		return
	}
	from, to, next := pageOf(len(ids), q)
	status := map[string]string{}
	for _, id := range ids[from:to] {
		status[id] = instances[id].health
	}
	answer := map[string]any{"Status": status}
	if next != "" {
		answer["NextToken"] = next
	}
	write(w, answer)
}

func (f *fake) namespaces() []string {
	var out []string
	for s := range f.services {
		n, _, _ := strings.Cut(s, "/")
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func pageOf(n int, q question) (from, to int, next string) {
	from, _ = strconv.Atoi(q.NextToken)
	if q.MaxResults == 0 || q.MaxResults > 100 {
		q.MaxResults = 100
	}
	if to = min(from+q.MaxResults, n); to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func page(w http.ResponseWriter, name string, all []any, q question) {
	from, to, next := pageOf(len(all), q)
	answer := map[string]any{name: all[from:to]}
	if next != "" {
		answer["NextToken"] = next
	}
	write(w, answer)
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_ = json.NewEncoder(w).Encode(answer)
}

func refuseWith(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":"com.amazonaws.servicediscovery#%s","message":"of the fake"}`, code)
}

// register adds instances. They are told as "10.1.0.1", "10.1.0.1 unhealthy"; the address is also their ID.
func (f *fake) register(service string, instances ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.services[service] == nil {
		f.services[service] = map[string]instance{}
	}
	for _, text := range instances {
		i := instanceOf(text)
		f.services[service][i.id] = i
	}
}

func instanceOf(text string) instance {
	address, health, _ := strings.Cut(text, " ")
	if health == "" {
		health = "healthy"
	}
	return instance{id: address, health: strings.ToUpper(health), attributes: map[string]string{attributeIPv4: address, attributePort: "8080", attributeZone: "a"}}
}

func (f *fake) deregister(service string, ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.services[service], id)
	}
}

// asking returns the hosts that were asked.
func (f *fake) asking() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.hosts))
}

// hanging makes it answer nothing from now on.
func (f *fake) hanging() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = true
}

func (f *fake) remove(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.services, service)
}

// failing sets what goes wrong from now on; nil is nothing.
func (f *fake) failing(fault func(action, service string) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}
