// Package semantics holds what Crossfade promises about requests against real Envoys: they go where the model in package policy says,
// in the shares that the split says, users stay on their side, and applications see what they would see without us. docs/semantics.md
// says what is checked and how to run it. It has tests only.
package semantics
