// Package engine walks rollouts: it looks, asks the table of package rollout what to do, and has it done.
//
// Each rollout that is on its way has a walker, one goroutine. Several times a second, and when reports or somebody's decision arrive, it takes one
// look: the windows of both origins go to the guards, their verdicts and what is seen of the split, the fleets, hooks and mirrors go to
// [rollout.Step], and of what that returns
//
//   - the state is kept first: transitions by compare-and-swap in the store, as revisions with the verdict as their reason; counts and what guards
//     have learnt in a file, every few seconds ([Keeper]);
//   - then the effects are performed, at least once, by their IDs. A rollback waits for nothing: it is live before anything is written.
//
// Nothing that may wait (the store, a webhook, Prometheus) is waited for inside of a look: one write is on its way at a time, and looks go on meanwhile,
// so that a hung disk never delays a rollback. All else is level-triggered: what is not done is returned by the next look again.
package engine
