// Package eks proves to an EKS cluster who we are: by a token that is a presigned request to AWS for our own identity, which the
// cluster sends to AWS and reads the answer of. It is what `aws eks get-token` prints, without a process for each.
//
// It is a package of its own so that the AWS SDK stays here.
package eks
