package translate

// BaseLayerNames returns the names of the base layers, in order.
func BaseLayerNames() []string {
	out := make([]string, BaseLayers)
	for i := range out {
		out[i] = BaseLayer(i)
	}
	return out
}

// LayerNames returns every layer that a bootstrap has for the control plane to fill, in order.
func LayerNames() []string { return append(BaseLayerNames(), TopLayer, ReadyLayer) }

// Ready makes the layer that turns the readiness listener green, or keeps it red.
func Ready(on bool) Resource {
	l := Lever{Key: ReadyKey, Fraction: true}
	if on {
		l.Value = On
	}
	return Layer(ReadyLayer, []Lever{l})
}
