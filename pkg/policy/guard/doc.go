// Package guard says of windows of observations whether a rollout may go on: Pass, Fail, Inconclusive or Error. It is apart from the rest because
// a verdict that rolls traffic back has to be the same function of the same windows wherever it is asked: in the server, in a simulation of ten
// thousand rollouts, and in a test.
//
// A guard is looked at each second for as long as a rollout takes, so a test for a fixed number of requests would fail healthy rollouts again and
// again. The evidence here is a mixture of likelihood ratios over how bad it may be and over when it may have begun. While the limit is kept it is a
// supermartingale that began at 1 at most, so that over all looks together it ever reaches 1/a with a probability of a at most. All guards of a
// rollout share one budget, [DefaultFalseRollbacks].
//
// Sources: J. Ville, 1939 (the bound over all looks); A. Wald, 1945, and H. Robbins, 1970 (likelihood ratios, mixtures of them); A. Shiryaev, 1963,
// and S. Roberts, 1966 (sums over when it began); J. Shin, A. Ramdas and A. Rinaldo, "E-detectors", 2023 (the same without a model); I. Waudby-Smith
// and A. Ramdas, "Estimating means of bounded random variables by betting", 2023 (means); J. Przyborowski and H. Wilenski, 1940 (two rates, by the
// split of their sum); J. von Neumann, 1941 (dispersion from successive differences). What they are put together to, what it costs and what it does
// not do: docs/design/guards.md.
package guard
