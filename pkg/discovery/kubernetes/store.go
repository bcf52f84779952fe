package kubernetes

import (
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// store is what client-go's reflector fills: the slices of a namespace, by service. A list replaces all of them at once.
type store struct{ *namespace }

// Add is called for a slice that is new.
func (s *store) Add(obj any) error { return s.Update(obj) }

// Update is called for a slice that has changed.
func (s *store) Update(obj any) error {
	slice, err := sliceOf(obj)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.serviceOf[slice.Name]; ok && before != service(slice) {
		s.remove(slice.Name)
	}
	s.put(slice)
	s.wake(service(slice))
	return nil
}

// Delete is called for a slice that is gone.
func (s *store) Delete(obj any) error {
	slice, err := sliceOf(obj)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(slice.Name)
	return nil
}

// Replace is called with each list: at first, and when a watch could not go on where it was.
func (s *store) Replace(list []any, _ string) error {
	slices := make([]*discoveryv1.EndpointSlice, len(list))
	for i, obj := range list {
		var err error
		if slices[i], err = sliceOf(obj); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.services)
	clear(s.serviceOf)
	for _, slice := range slices {
		s.put(slice)
	}
	s.synced = true
	s.recovered()
	s.wake("")
	return nil
}

// Resync does nothing: nothing is derived from the slices.
func (s *store) Resync() error { return nil }

func (s *store) put(slice *discoveryv1.EndpointSlice) {
	name := service(slice)
	if name == "" {
		return // of nobody that could be named
	}
	if s.services[name] == nil {
		s.services[name] = map[string]*discoveryv1.EndpointSlice{}
	}
	s.services[name][slice.Name] = slice
	s.serviceOf[slice.Name] = name
}

func (s *store) remove(slice string) {
	name, ok := s.serviceOf[slice]
	if !ok {
		return
	}
	delete(s.serviceOf, slice)
	delete(s.services[name], slice)
	if len(s.services[name]) == 0 {
		delete(s.services, name)
	}
	s.wake(name)
}

func service(slice *discoveryv1.EndpointSlice) string {
	return slice.Labels[discoveryv1.LabelServiceName]
}

// sliceOf returns a slice without what only its writers need.
func sliceOf(obj any) (*discoveryv1.EndpointSlice, error) {
	slice, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return nil, fmt.Errorf("a list of endpoint slices has a %T", obj)
	}
	slice.ManagedFields, slice.Annotations = nil, nil
	return slice, nil
}
