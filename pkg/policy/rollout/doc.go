// Package rollout is how a plan of guarded steps walks: a table of transitions and what has to be done in each state.
//
// [Step] takes what a rollout was and what is seen of the world, and returns what it is now and what is to be done. It is called on every
// look (about each second) and on every action of a user. It is level-triggered: what is to be done follows from the state and from what is
// seen, not from the call in which something changed, and is returned again on every look until it is seen to be done.
//
// What a caller owes:
//
//   - The state is stored before its effects are performed, by compare-and-swap, whenever [MustSave] says so. Of counts alone ([State.Bake])
//     an older one may be stored: a crash then makes a step longer, never shorter. A [Rollback] may be performed first and stored beside it.
//   - Notes that were taken need not be stored as taken. Of a rollout with a hook that is over, the state is stored once more when the outbox is
//     empty, or the last notes would be told again after every start of the server.
//   - Effects are performed at least once, with their ID as the key: whoever is asked for the same ID again does nothing. IDs are functions
//     of the plan, the step, and how often a user has sent the plan back to that step.
//   - A change of the split carries the ID that caused it, and what is seen of the split says it ([Split.Cause]). That is how a change by hand
//     is told from one of the plan, over a crash as well. [Inputs.Made] says which were performed.
//
// [Compile] and [Compiled.For] make a plan of a document; [StartRun], [WithState], [ReadWalk] and [ResumeRun] keep its run in the document.
//
// The clock of the wall is written down, never compared: time is counted from [Tick].
// The table is in docs/design/rollouts.md, kept equal by a test.
package rollout
