package deploys

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/poll"
)

// Cluster is where pods run.
type Cluster struct {
	Kubeconfig string // a file in JSON, as kubetest writes it, of a user who may write EndpointSlices
	Namespace  string // which is there
	Service    string // empty: the name of the application
}

// Kubernetes plays the deployment controller, the EndpointSlice controller and the kubelets for one service.
type Kubernetes struct {
	*Workload
	api       *kubeClient
	namespace string
	service   string

	mu      sync.Mutex
	slices  []*slice
	hidden  bool
	writing sync.Mutex // one writer for a service, as in the controller
}

// perSlice is how many endpoints the controller puts into a slice.
const perSlice = 100

// slice is one EndpointSlice. Pods stay in the slice that they came to.
type slice struct {
	name    string
	pods    []*Replica
	created bool
	dirty   bool
}

// NewKubernetes runs no pod yet. The slices appear with the first one.
func NewKubernetes(c Cluster, s Spec) (*Kubernetes, error) {
	api, err := newKubeClient(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	k := &Kubernetes{api: api, namespace: c.Namespace, service: c.Service}
	if k.service == "" {
		k.service = s.Name
	}
	k.Workload = &Workload{spec: s, on: k}
	return k, nil
}

// Close ends every pod as a power failure does: nothing is announced.
func (k *Kubernetes) Close() {
	k.Workload.Close()
	k.api.http.CloseIdleConnections()
}

// Hide writes slices without endpoints, as if somebody had deleted the selector, and goes on doing so until it is told to show them again.
func (k *Kubernetes) Hide(ctx context.Context, hidden bool) error {
	k.mu.Lock()
	k.hidden = hidden
	for _, s := range k.slices {
		s.dirty = true
	}
	k.mu.Unlock()
	return k.sync(ctx)
}

func (k *Kubernetes) start(ctx context.Context, r *Replica) error {
	if d := k.life().Start; d > 0 {
		if err := k.announce(ctx, r, pending); err != nil {
			return err
		}
		if err := poll.Pause(ctx, d); err != nil {
			return err
		}
	}
	return k.announce(ctx, r, ready)
}

// stop deletes a pod. Its kubelet and the controller learn of that at the same moment; neither waits for the other.
func (k *Kubernetes) stop(ctx context.Context, r *Replica) (killed, err error) {
	life, began := k.life(), time.Now()
	told := make(chan error, 1)
	go func() {
		err := poll.Pause(ctx, life.Lag)
		if err == nil {
			err = k.announce(ctx, r, stopping)
		}
		told <- err
	}()
	if err = poll.Pause(ctx, life.PreStop); err == nil {
		killed = r.terminate(ctx, life, life.grace()-time.Since(began))
	}
	if toldErr := <-told; err == nil {
		err = toldErr
	}
	if err != nil {
		return killed, err
	}
	return killed, k.remove(ctx, r)
}

// announce says in the slices what a pod is now.
func (k *Kubernetes) announce(ctx context.Context, r *Replica, c condition) error {
	k.mu.Lock()
	r.state = c
	k.home(r).dirty = true
	k.mu.Unlock()
	return k.sync(ctx)
}

// remove takes a pod out of its slice.
func (k *Kubernetes) remove(ctx context.Context, r *Replica) error {
	k.mu.Lock()
	s := k.home(r)
	s.pods = slices.DeleteFunc(s.pods, func(other *Replica) bool { return other == r })
	s.dirty = true
	k.mu.Unlock()
	return k.sync(ctx)
}

// home returns the slice of a pod: the first with room if it has none yet. The caller holds mu.
func (k *Kubernetes) home(r *Replica) *slice {
	for _, s := range k.slices {
		if slices.Contains(s.pods, r) {
			return s
		}
	}
	for _, s := range k.slices {
		if len(s.pods) < perSlice {
			s.pods = append(s.pods, r)
			return s
		}
	}
	s := &slice{name: fmt.Sprintf("%s-%05d", k.service, len(k.slices)), pods: []*Replica{r}}
	k.slices = append(k.slices, s)
	return s
}

// sync writes what has changed. Whoever comes while it writes waits, and mostly finds its own change written.
func (k *Kubernetes) sync(ctx context.Context) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	for {
		s, document := k.next()
		if s == nil {
			return nil
		}
		if err := k.write(ctx, s, document); err != nil {
			k.mu.Lock()
			s.dirty = true
			k.mu.Unlock()
			return err
		}
	}
}

// next returns a slice that has changed and what to write.
func (k *Kubernetes) next() (*slice, any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.slices {
		if s.dirty {
			s.dirty = false
			return s, k.document(s)
		}
	}
	return nil, nil
}

func (k *Kubernetes) write(ctx context.Context, s *slice, document any) error {
	collection := "/apis/discovery.k8s.io/v1/namespaces/" + k.namespace + "/endpointslices"
	if !s.created {
		status, err := k.api.do(ctx, http.MethodPost, collection, document)
		if status != http.StatusConflict { // which it is if the answer to an earlier try was lost
			s.created = err == nil
			return err
		}
		s.created = true
	}
	_, err := k.api.do(ctx, http.MethodPut, collection+"/"+s.name, document)
	return err
}

// document is the slice as the controller writes it. The caller holds mu.
func (k *Kubernetes) document(s *slice) any {
	type object = map[string]any
	endpoints := []object{}
	for _, r := range s.pods {
		if k.hidden {
			break
		}
		endpoints = append(endpoints, object{
			"addresses": []string{r.Address.Addr().String()}, "zone": r.Zone,
			"targetRef":  object{"kind": "Pod", "namespace": k.namespace, "name": r.ID},
			"conditions": object{"ready": r.state == ready, "serving": r.state != pending, "terminating": r.state == stopping},
		})
	}
	return object{
		"metadata": object{"name": s.name, "labels": object{
			"kubernetes.io/service-name": k.service, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
		}},
		"addressType": "IPv4", "endpoints": endpoints,
		"ports": []object{{"name": "http", "port": k.spec.Port, "protocol": "TCP"}},
	}
}
