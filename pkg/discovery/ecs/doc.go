// Package ecs finds the endpoints of an origin among the tasks of an ECS cluster, on Fargate or EC2, and hears of changes within seconds.
//
// A [Client] looks at each cluster that has an origin with one goroutine, however many services are followed there: it lists the tasks
// that are to run, describes them, and splits them by task group. ECS tells nothing by itself, so it is asked every few seconds.
//
// What makes an answer believed:
//
//   - A look is whole or there is none. If a page or a part of the descriptions cannot be had, or an answer leaves out what was asked, all
//     targets of the cluster are told the error, again with each attempt, and keep what they have.
//   - A task is gone when ECS says so of the task itself. One that left the list is described until it has ended, so its vanishing is
//     announced: see the table at task.presence. A list that leaves tasks out by mistake takes nobody away. Only what ECS knows nothing of
//     any more vanishes without a word, and is doubted by package discovery like any other.
//   - A service that seems to have nothing is asked for by name: a desired count of 0, or a service that is being or was deleted, is
//     meant ([discovery.Look.Meant]). One that ECS does not know is an error, for the wrong account or region looks the same.
//   - Another AWS account that answers under the same names is an error.
//   - One task that cannot be read, say without an address, is left out with a word in the log; see [endpointsOf] for why that is safe. If
//     nothing else takes requests, it is the error.
//
// # Where a task is
//
// In network mode awsvpc a task has an address of its own, and its port is the container's. In bridge and host mode it is at a port of
// its container instance, and ECS and EC2 are asked where that is, once for each instance. Tasks on ECS Anywhere cannot be followed: AWS
// does not know their addresses.
//
// # What it costs
//
// AWS counts calls for each account and region, in buckets: so many may come at once, and so many are granted again each second.
//
//	kind of AWS                actions                                             at once  a second  a minute
//	cluster resource reads     ListTasks, DescribeTasks,                               100        20      1200
//	                           DescribeContainerInstances, and others
//	service reads              DescribeServices, ListServices                          100        20      1200
//	non-mutating, with filter  ec2:DescribeInstances                                   100        20      1200
//
// (Amazon ECS API Reference and Amazon EC2 Developer Guide, "Request throttling", November 2026; an account may have been granted more.)
//
// Of each kind, a [Client] sends at most [Config].Rate a second to each region, 10, which is half of what is granted, and four times as
// many at once. A look at a cluster takes a ListTasks for each 100 tasks in it, and a DescribeTasks for each 100 that are new, starting,
// ill or ending, and for a sixth of the rest: up to 100 tasks are all described in each look, many within six looks. That a task is to
// stop shows in the list, so only health may be known so much later. Tasks that nobody follows are described once.
//
//	200 services                          calls a look     a minute                       a look every
//	2 tasks each, 1 cluster               4 + 1                    60 (5 % of what AWS grants)   5 s
//	5 tasks each, 1 cluster               10 + 2                  144 (12 %)                     5 s
//	20 tasks each, 1 cluster              40 + 7                  564 (47 %)                     5 s
//	20 tasks each, 20 clusters            20 × (2 + 1)            600 (50 %, the limit)          6 s
//	20 tasks each, asked one by one       400                    4800 (400 %: not possible)
//
// TestTheQuota holds the two rows before the last. DescribeServices is called only for services that seem to have nothing, ten at a time: if
// all 200 are scaled to nothing, that is 40 calls a minute (3 %), and 240 (20 %) while they have no tasks but should. Each target more of
// a cluster costs nothing.
//
// Where AWS says that we ask too often, a cluster is looked at less and less often, down to once a minute, and its targets are told.
//
// [Actions] lists what our AWS identity must be allowed.
package ecs
