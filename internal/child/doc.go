// Package child starts processes that do not outlive this one, however it ends, where the system can do that.
package child
