package telemetry

import "slices"

// Overridden names the connected proxies of a fleet whose admin interface overrides what the control plane says, by id.
func (t *Telemetry) Overridden(fleetName string) []string {
	t.mu.Lock()
	f := t.fleets[fleetName]
	t.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, p := range f.proxies {
		if p.overrides && p.streams > 0 {
			out = append(out, p.id)
		}
	}
	slices.Sort(out)
	return out
}
